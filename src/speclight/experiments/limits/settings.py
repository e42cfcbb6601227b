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
    trace_prompts: int = 40
    """The first prompts of a file, this many, give the traces, the others the oracle."""
    trace_tokens: int = 20_000
    """Tokens of trace, in rounds of one text per prompt; may be raised later."""
    oracle_contexts: int = 400
    """Starts at which the oracle searches; may be raised later."""
    oracle_round: int = 100
    """Starts searched at a time, spread evenly over the texts."""
    max_tokens: int = 192
    """Length limit of a text, in generated tokens."""
    shipped_prompts: int = 10
    """Shipped prompts of each family, on whose texts the strata are chosen."""
    shipped_tokens: int = 64
    """Length limit of their texts."""
    batch_size: int = 40
    """Texts sampled together; part of the plan, because it decides padding and rounding."""
    decode_texts: int = 8
    """Texts along which an oracle decodes; may be raised later."""
    decode_budgets: tuple[int, ...] = (16, 32, 60)
    """Node budgets at which it decodes."""
    decode_starts: int = 96
    """Its calls start before this position of the text."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(
            self, "trace_prompts", "trace_tokens", "oracle_contexts", "batch_size", "decode_texts"
        )
        if not self.temperatures or not self.node_budgets or min(self.node_budgets) < 1:
            raise InvalidInput("the test needs at least one temperature and one node budget >= 1")
        shortest = min(self.max_tokens, self.shipped_tokens)
        if shortest < max(self.node_budgets):
            raise InvalidInput(
                f"texts of {shortest} tokens hold no start for {max(self.node_budgets)} nodes; "
                "sample longer texts"
            )
