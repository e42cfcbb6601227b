"""Settings of vLLM: the JSON of `--speculative-config`.

Source of names: `SpeculativeConfig` of vLLM 0.32 and its documentation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import CHAIN, TARGET_DECIDES, Served, base_name, weights_of

METHODS = {"eagle3": "eagle3", "model": "draft_model", "medusa": "medusa", "ngram": "ngram"}
# Rules that need samples of the drafter, and what vLLM calls them.
SAMPLED = {"rejection": "standard", "block": "block"}


class Vllm:
    """Chains only: tree attention was removed in May 2026."""

    name = "vLLM"
    limits = "verifies chains only, of eagle3, model, medusa and ngram drafters"
    sets_budgets = False

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        return (
            configuration.growth == CHAIN
            and base_name(configuration.drafter) in METHODS
            and configuration.rule in (*TARGET_DECIDES, *SAMPLED)
        )

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """The option with its JSON; with several batch sizes, how many tokens to draft at each."""
        return (f"vllm serve TARGET --speculative-config '{json.dumps(self.config(served))}'",)

    def config(self, served: Sequence[Served]) -> dict[str, object]:
        """The speculative config itself."""
        drafting = next(each for each in served if each.drafted)
        drafter = drafting.configuration.drafter
        kind = base_name(drafter)
        most = max(each.drafted for each in served)
        config: dict[str, object] = {"method": METHODS[kind], "num_speculative_tokens": most}
        if kind == "ngram":
            config |= {"prompt_lookup_max": 4, "prompt_lookup_min": 1}
        else:
            config["model"] = weights_of(drafter, "DRAFTER")
        if drafting.configuration.rule in SAMPLED:
            config |= {
                "draft_sample_method": "probabilistic",
                "rejection_sample_method": SAMPLED[drafting.configuration.rule],
            }
        if len(served) > 1:
            config["num_speculative_tokens_per_batch_size"] = _by_batch(served)
        return config

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        return prompt_lookup_note(configuration, self.name)


def prompt_lookup_note(configuration: Configuration, engine: str) -> tuple[str, ...]:
    """That prompt lookups of two programs draft alike, not equally."""
    if base_name(configuration.drafter) != "ngram":
        return ()
    return (f"the prediction is of speclight's prompt lookup; {engine} chooses among matches by itself",)


def _by_batch(served: Sequence[Served]) -> list[list[int]]:
    """[smallest, largest, K] of each range of batch sizes: the sizes above the one timed before."""
    ranges: list[list[int]] = []
    smallest = 1
    for each in served:
        ranges.append([smallest, each.batch_size, each.drafted])
        smallest = each.batch_size + 1
    return ranges
