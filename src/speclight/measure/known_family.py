"""What is known of one family of prompts; numbers alone need nothing that reads records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from speclight.theory.known import Known

if TYPE_CHECKING:
    from speclight.measure.drafter_profile import DrafterProfile


@dataclass(frozen=True, slots=True)
class KnownFamily:
    """One family of prompts (blank if there is no profile): what is known, and the drafter's own record."""

    family: str
    known: Known
    record: DrafterProfile | None = None

    def without_intervals(self) -> KnownFamily:
        """The same without the replicas behind the drafter's intervals: for many node budgets."""
        if self.known.drafter is None:
            return self
        drafter = replace(self.known.drafter, unsampled=None, replicas=())
        return replace(self, known=replace(self.known, drafter=drafter))
