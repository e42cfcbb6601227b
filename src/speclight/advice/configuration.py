"""A setting of speculative decoding that a trace can judge."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.decoding.settings import AUTO
from speclight.drafting.drafter_choices import NO_DRAFTER


def deterministic_rule(temperature: float) -> str:
    """The rule that verifies deterministic trees: greedy at temperature 0, else target_sample.

    All lossless rules emit alike there.
    """
    return "greedy" if temperature == 0.0 else "target_sample"


@dataclass(frozen=True, slots=True, order=True)
class Configuration:
    """Who drafts which tree of how many nodes, and the rule that verifies it.

    drafter: as the trace names it. growth: how the tree is grown, as the command line writes it.
    node_budget: P, the root included. is_auto: whether each call sets its own P (`--budget auto`), of which
    node_budget is then the largest that is considered.
    """

    drafter: str
    growth: str
    rule: str
    node_budget: int
    is_auto: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing is drafted."""
        return self.drafter == NO_DRAFTER

    def __str__(self) -> str:
        if self.is_plain:
            return "no speculation"
        return f"{self.drafter}, {self.growth}, {self.rule}, P = {self.budget}"

    @property
    def budget(self) -> str:
        """P as the command line writes it."""
        return AUTO if self.is_auto else str(self.node_budget)
