"""Settings of llama.cpp's server: its flags for speculation.

Source of names: `common/arg.cpp` of llama.cpp, September 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import CHAIN, TARGET_DECIDES, Served, base_name, weights_of
from speclight.advice.engine_settings.vllm import prompt_lookup_note

TYPES = {"eagle3": "draft-eagle3", "model": "draft-simple", "ngram": "ngram-simple"}
# N-gram length looked up by default elsewhere here; shorter ones are not looked up there.
LOOKED_UP = 4


class LlamaCpp:
    """Chains only in the server."""

    name = "llama.cpp"
    limits = "verifies chains only, of eagle3, model and ngram drafters"
    sets_budgets = False

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        return (
            configuration.growth == CHAIN
            and base_name(configuration.drafter) in TYPES
            and configuration.rule in TARGET_DECIDES
        )

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """The server's flags, of the smallest batch size at which it drafts."""
        told = next(each for each in served if each.drafted)
        drafter = told.configuration.drafter
        kind = base_name(drafter)
        flags = f"llama-server -m TARGET --spec-type {TYPES[kind]}"
        if kind == "ngram":
            return (
                f"{flags} --spec-ngram-simple-size-n {LOOKED_UP} --spec-ngram-simple-size-m {told.drafted}",
            )
        # Without the last flag it stops early where the drafter is unsure.
        return (
            f"{flags} --spec-draft-model {weights_of(drafter, 'DRAFTER')} "
            f"--spec-draft-n-max {told.drafted} --spec-draft-p-min 0",
        )

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        return prompt_lookup_note(configuration, self.name)
