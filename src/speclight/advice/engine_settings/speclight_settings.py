"""Settings of speclight's own loop."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import Served


class Speclight:
    """Does all that a plan can recommend, one setting for all batch sizes."""

    name = "speclight"
    limits = "does all of it"
    sets_budgets = True

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        return True

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """A command for each batch size at which it changes."""
        return tuple(
            f"speclight generate --drafter {shlex.quote(told.drafter)} --rule {told.rule} "
            f"--tree {told.growth} --budget {told.budget}"
            for told in dict.fromkeys(each.configuration for each in served)
            if not told.is_plain
        )

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        return ()
