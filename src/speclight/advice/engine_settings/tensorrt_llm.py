"""Settings of TensorRT-LLM: `speculative_config` of its YAML file.

Source of names: `DecodingBaseConfig` and its subclasses in the LLM API reference of TensorRT-LLM 1.3. It
keeps the best draft tokens of an EAGLE-2 tree, from as many as it has levels to as many as fit `topk` to a
level.
"""

from __future__ import annotations

from collections.abc import Sequence

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import (
    CHAIN,
    TARGET_DECIDES,
    Served,
    base_name,
    square_limits,
    weights_of,
)
from speclight.advice.engine_settings.vllm import prompt_lookup_note

TYPES = {"eagle3": "Eagle3", "model": "DraftTarget", "ngram": "NGram"}


class TensorRtLlm:
    """Chains, and dynamic trees of EAGLE-3 heads."""

    name = "TensorRT-LLM"
    limits = "drafts chains of eagle3, model and ngram, and EAGLE-2 trees of eagle3"
    sets_budgets = False

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        kind = base_name(configuration.drafter)
        if configuration.growth == CHAIN:
            return kind in TYPES and configuration.rule in (*TARGET_DECIDES, "rejection")
        limits = square_limits(configuration)
        if kind != "eagle3" or limits is None:
            return False
        drafted = configuration.node_budget - 1
        return limits.max_depth <= drafted <= limits.children_per_node * limits.max_depth

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """The part of the YAML file."""
        told = next(each for each in served if each.drafted).configuration
        return ("speculative_config:", *(f"  {key}: {value}" for key, value in self._config(told, served)))

    def _config(self, told: Configuration, served: Sequence[Served]) -> list[tuple[str, object]]:
        kind = base_name(told.drafter)
        config: list[tuple[str, object]] = [("decoding_type", TYPES[kind])]
        if kind != "ngram":
            config.append(("speculative_model", weights_of(told.drafter, "DRAFTER")))
        limits = None if told.growth == CHAIN else square_limits(told)
        if limits is not None:
            return [
                *config,
                ("max_draft_len", limits.max_depth),
                ("use_dynamic_tree", "true"),
                ("dynamic_tree_max_topK", limits.children_per_node),
                ("max_total_draft_tokens", told.node_budget - 1),
                ("max_batch_size", max(each.batch_size for each in served)),
            ]
        config.append(("max_draft_len", max(each.drafted for each in served)))
        if told.rule == "rejection":
            config.append(("use_rejection_sampling", "true"))
        if len(served) > 1:
            schedule = ", ".join(f"{each.batch_size}: {each.drafted}" for each in served)
            config.append(("draft_len_schedule", f"{{{schedule}}}"))
        return config

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        return prompt_lookup_note(configuration, self.name)
