"""Settings of Transformers: arguments of `generate`.

Source of names: `GenerationConfig` of Transformers 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import CHAIN, Served, base_name, weights_of
from speclight.advice.engine_settings.vllm import prompt_lookup_note

# An assistant's drafts are sampled where the target's text is, and verified by rejection then.
RULES = {"model": ("greedy", "rejection"), "ngram": ("greedy", "target_sample")}
LONGEST_MATCH = 4


class Transformers:
    """Chains of another model, or of prompt lookup."""

    name = "Transformers"
    limits = "verifies chains only, of model (sampled ones above temperature 0) and ngram drafters"
    sets_budgets = False

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        rules = RULES.get(base_name(configuration.drafter), ())
        return configuration.growth == CHAIN and configuration.rule in rules

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """The call, for one text at a time: `generate` speculates for no more."""
        told = next(each for each in served if each.drafted)
        drafter = told.configuration.drafter
        given = [f"{name}={value!r}" for name, value in self.arguments(told).items()]
        if base_name(drafter) == "model":
            made = f"AutoModelForCausalLM.from_pretrained({weights_of(drafter, 'DRAFTER')!r})"
            return (
                f"assistant = {made}",
                f"model.generate(ids, assistant_model=assistant, {', '.join(given)})",
            )
        return (f"model.generate(ids, {', '.join(given)})",)

    def arguments(self, told: Served) -> dict[str, object]:
        """Of the generation config, the assistant apart."""
        if base_name(told.configuration.drafter) == "ngram":
            return {"prompt_lookup_num_tokens": told.drafted, "max_matching_ngram_size": LONGEST_MATCH}
        return {
            "num_assistant_tokens": told.drafted,
            "num_assistant_tokens_schedule": "constant",
            "assistant_confidence_threshold": 0.0,
        }

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        return prompt_lookup_note(configuration, self.name)
