"""How much the test of the limits measures."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class LimitsTestSettings:
    """How much to measure, for every family and temperature."""

    temperatures: tuple[float, ...] = (1.0, 0.7)
    """Temperatures, as 1,0.7, each above 0."""
    node_budgets: tuple[int, ...] = (4, 8, 16, 32, 60)
    """Node budgets P compared, as 8,16,60; starts are those that the largest can use."""
    prompts_per_file: int = 80
    """The first prompts of a file, this many at most; the first turn of each, one text after it."""
    max_tokens: int = 128
    """Length limit of a text, in generated tokens."""
    batch_size: int = 40
    """Texts sampled together; part of the plan, because it decides padding and rounding."""
    contexts: int = 400
    """Contexts at which the tree is searched and continued anew, spread over all prompts."""
    searched_nodes: int = 240
    """Nodes of each searched tree: Jensen's gap at P needs several times as many."""
    continuations: int = 16
    """Fresh continuations of each context."""
    splits: int = 200
    """Random halvings of the prompts, each category in half, behind the claim about other prompts."""
    decode_texts: int = 80
    """Texts along which an oracle decodes; may be raised later."""
    decode_budgets: tuple[int, ...] = (16, 60)
    """Node budgets at which it decodes."""
    decode_tokens: int = 96
    """Tokens of each text that it decodes, at the most."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(
            self,
            "prompts_per_file",
            "max_tokens",
            "batch_size",
            "contexts",
            "continuations",
            "splits",
            "decode_texts",
        )
        if not self.temperatures or min(self.temperatures) <= 0.0:
            raise InvalidInput(f"temperatures must each be above 0, got {self.temperatures}")
        if not self.node_budgets or min(self.node_budgets) < 2:
            raise InvalidInput(f"node_budgets must each be at least 2, got {self.node_budgets}")
        if self.searched_nodes < max(self.node_budgets):
            raise InvalidInput(
                f"searched_nodes must be at least the largest budget {max(self.node_budgets)}, got "
                f"{self.searched_nodes}",
                argument="searched_nodes",
            )
        if self.max_tokens < max(self.node_budgets):
            raise InvalidInput(
                f"texts of {self.max_tokens} tokens hold no start for {max(self.node_budgets)} nodes; "
                "sample longer texts",
                argument="max_tokens",
            )
        if self.decode_budgets and not max(self.decode_budgets) <= self.decode_tokens <= self.max_tokens:
            raise InvalidInput(
                f"decode_tokens must lie between the largest decode budget {max(self.decode_budgets)} and "
                f"max_tokens {self.max_tokens}, got {self.decode_tokens}",
                argument="decode_tokens",
            )
