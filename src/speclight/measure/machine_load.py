"""What else a machine did while something was timed on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import nan

# Runnable threads above the cores before other work is said to have disturbed a timing: our own housekeeping
# is less than this.
SLACK = 0.5


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """The load of a machine around a timing: runnable threads, averaged over a minute (os.getloadavg).

    before: when the run began, after the target was loaded. after: when timing ended, its own threads
    included. NaN where the system does not tell. threads: that the run itself used. cores: of the machine.
    """

    before: float
    after: float
    threads: int
    cores: int

    @property
    def is_shared(self) -> bool:
        """Whether other work wanted the same cores: more runnable threads than cores, by more than SLACK."""
        return any(wanted > self.cores + SLACK for wanted in (self.before + self.threads, self.after))


def load_average() -> float:
    """Runnable threads, averaged over the last minute; NaN where the system does not say."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return nan


def machine_load(before: float, threads: int) -> MachineLoad:
    """The load around a timing that ends now."""
    return MachineLoad(before, load_average(), threads, os.cpu_count() or threads)
