"""What any engine's metrics, logs and result files say of its speculation, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from scipy import stats

from speclight.engines.completion import SpeculationSteps
from speclight.errors import InvalidInput

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SpeculationCounts:
    """Counts of verify steps, the same for every engine.

    drafts: verify steps that had a draft. drafted, accepted: draft tokens in them, bonus excluded; drafted is
    None where an engine does not say. accepted_at: [positions] drafts of which at least i + 1 tokens were
    accepted. generated: all tokens emitted, those of steps without a draft too; None where not known. steps:
    each drafted step, where an engine keeps them.
    Raises InvalidInput for counts that contradict each other.
    """

    drafts: int
    accepted: int
    drafted: int | None = None
    accepted_at: tuple[int, ...] = ()
    generated: int | None = None
    steps: SpeculationSteps | None = None

    def __post_init__(self) -> None:
        survivors = (self.drafts, *self.accepted_at)
        falls = all(a >= b >= 0 for a, b in pairwise(survivors))
        if (
            min(self.drafts, self.accepted) < 0
            or not falls
            or (self.drafted is not None and self.drafted < self.accepted)
            or (self.accepted_at and sum(self.accepted_at) != self.accepted)
            or (self.generated is not None and self.generated < self.accepted)
        ):
            raise InvalidInput(
                f"counts contradict each other: {self.drafts} drafts, {self.drafted} drafted and "
                f"{self.accepted} "
                f"accepted tokens, by position {self.accepted_at}, {self.generated} generated; take two "
                "scrapes of "
                "one server process with no restart in between"
            )

    @property
    def tokens_per_draft(self) -> float:
        """Tokens emitted by a step that had a draft: accepted + 1. Engines call it mean acceptance length."""
        return 1.0 + self.accepted / self.drafts if self.drafts else 1.0

    @property
    def tokens_per_step(self) -> float | None:
        """Tokens per target call over all steps, those without a draft counted; None if not known.

        Every step emits exactly one token that was not drafted, so there are generated - accepted of them.
        """
        if self.generated is None:
            return None
        steps = self.generated - self.accepted
        return self.generated / steps if steps else None

    @property
    def survival(self) -> tuple[float, ...]:
        """[positions] share of drafts of which at least i + 1 tokens were accepted."""
        return tuple(count / self.drafts for count in self.accepted_at) if self.drafts else ()

    @property
    def conditional_acceptance(self) -> tuple[float | None, ...]:
        """[positions] acceptance of draft token i + 1 given that all before it were accepted."""
        return tuple(
            count / earlier if earlier else None
            for earlier, count in pairwise((self.drafts, *self.accepted_at))
        )

    def survival_interval(self, position: int) -> tuple[float, float]:
        """95% interval of `survival[position]` (Wilson), steps taken as independent: a lower limit of its
        width.
        """
        found = stats.binomtest(self.accepted_at[position], self.drafts).proportion_ci(CONFIDENCE, "wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class SpeculationReport:
    """One deployment, run or request as its engine reports it.

    engine, source: whose words, and where they stood. label: a setting that the source names, such as K = 3.
    counts: None where the source gives means alone. stated: the tokens per drafted step that the source
    prints. tokens_per_second, step_seconds: as printed. cautions: what this source cannot tell or tells
    differently.
    """

    engine: str
    source: str
    label: str = ""
    counts: SpeculationCounts | None = None
    stated: float | None = None
    tokens_per_second: float | None = None
    step_seconds: float | None = None
    cautions: tuple[str, ...] = ()

    @property
    def tokens_per_draft(self) -> float | None:
        """Tokens per step that had a draft: from counts where there are any, else as printed."""
        return self.stated if self.counts is None else self.counts.tokens_per_draft


def counts_of_steps(steps: SpeculationSteps, generated: int | None = None) -> SpeculationCounts:
    """Counts of single steps: what a detailed trace of one request gives."""
    longest = max(steps.drafted, default=0)
    return SpeculationCounts(
        len(steps.accepted),
        sum(steps.accepted),
        sum(steps.drafted),
        tuple(sum(accepted > place for accepted in steps.accepted) for place in range(longest)),
        generated,
        steps,
    )
