"""Settings of SGLang: steps, topk and draft tokens of its server, and its adaptive file for chains.

Source of names: `fields/spec.py` and `adaptive_spec_params.py` of SGLang 0.5.23. A draft there is EAGLE-2's:
`steps` levels, `topk` children of the `topk` best nodes of a level, of which the best `draft tokens` are
verified, the root counted.
"""

from __future__ import annotations

import json
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

ALGORITHMS = {"eagle3": "EAGLE3", "model": "STANDALONE"}
# Drafters whose chains may change their length with the batch.
ADAPTS = ("eagle3",)
ADAPTIVE = {"ema_alpha": 0.2, "warmup_batches": 10, "update_interval": 5}
OF_A_BATCH = {"up_hysteresis": 0.0, "down_hysteresis": -0.25, "ceiling_coeff": 0}


class Sglang:
    """Chains, and EAGLE-2 trees that are as wide as they branch."""

    name = "SGLang"
    limits = (
        "drafts chains, and EAGLE-2 trees with as many children a node as nodes a level, of eagle3 and model"
    )
    sets_budgets = False

    def serves(self, configuration: Configuration) -> bool:
        """See Engine."""
        if base_name(configuration.drafter) not in ALGORITHMS:
            return False
        if configuration.growth == CHAIN:
            return configuration.rule in (*TARGET_DECIDES, "rejection")
        limits = square_limits(configuration)
        if limits is None:
            return False
        depth, width = limits.max_depth, limits.children_per_node
        return configuration.node_budget - 1 <= width + (depth - 1) * width**2

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """The server's options; for chains at several batch sizes the adaptive file besides."""
        told = next(each for each in served if each.drafted).configuration
        limits = None if told.growth == CHAIN else square_limits(told)
        steps = told.node_budget - 1 if limits is None else limits.max_depth
        width = 1 if limits is None else limits.children_per_node
        options = (
            "python -m sglang.launch_server --model-path TARGET "
            f"--speculative-algorithm {ALGORITHMS[base_name(told.drafter)]} "
            f"--speculative-draft-model-path {weights_of(told.drafter, 'DRAFTER')} "
            f"--speculative-num-steps {steps} --speculative-eagle-topk {width} "
            f"--speculative-num-draft-tokens {told.node_budget}"
        )
        if told.rule == "rejection":
            options += " --speculative-use-rejection-sampling"
        if not self._adapts(told, served):
            return (options,)
        return (
            f"{options} --speculative-adaptive --speculative-adaptive-config adaptive.json",
            f"adaptive.json: {json.dumps(self.adaptive(served))}",
        )

    def adaptive(self, served: Sequence[Served]) -> dict[str, object]:
        """The adaptive file: at each batch size it chooses among shorter drafts and the planned one."""
        return {
            **ADAPTIVE,
            **{
                str(each.batch_size): {"candidate_steps": _candidates(each.drafted), **OF_A_BATCH}
                for each in served
            },
        }

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """See Engine."""
        if configuration.growth == CHAIN and base_name(configuration.drafter) not in ADAPTS:
            return ("it drafts as much at every batch size: only chains of eagle3 adapt",)
        return ()

    def _adapts(self, told: Configuration, served: Sequence[Served]) -> bool:
        return len(served) > 1 and told.growth == CHAIN and base_name(told.drafter) in ADAPTS


def _candidates(steps: int) -> list[int]:
    """Of a batch size; no steps are no drafts."""
    return sorted({1, max(1, steps // 2), steps}) if steps else [0]
