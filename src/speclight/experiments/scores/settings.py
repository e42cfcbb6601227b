"""How many configurations of a trace are decoded, and how far."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ScoreTestSettings:
    """How many configurations of a trace are decoded, and how far. Raises InvalidInput for counts below 1."""

    configurations: int = 32
    """Configurations decoded, spread evenly over the trace's drafters and growths, the node budgets and the
    rules below. Growths that draft the same trees at every start of the trace count once."""
    node_budgets: tuple[int, ...] = (2, 4, 8, 16)
    """Node budgets P to choose among, as 4,8,16."""
    rules: tuple[str, ...] = ()
    """Lossless rules that verify the trees, as --rule target_sample --rule race; block takes chains alone.
    All emit alike with deterministic trees, so that one score is held against each; at temperature 0 all
    emit the same text, so that each tree is decoded with one of them. If not given, greedy at temperature 0
    and target_sample above."""
    texts: int = 40
    """Texts of the trace whose prompts are decoded by each, at the most, spread evenly over its families."""
    batch_size: int = 8
    """Texts decoded at a time."""
    seed: int = 1
    """Seed of the decodes; another one than the trace's, so that texts differ from those it holds."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "configurations", "texts", "batch_size")
        check_whole_numbers(self, "seed", at_least=0)
        if not self.node_budgets or min(self.node_budgets) < 2:
            raise InvalidInput(f"node_budgets must each be at least 2, got {self.node_budgets}")
