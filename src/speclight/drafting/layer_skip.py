"""Self-speculation: the target's own first layers as its drafter."""

from __future__ import annotations

import copy
from dataclasses import replace

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.layer_stack import layer_stack

# Share of the target's layers that draft by default. On greedy texts of the default target, the exits after
# 12, 18, 21, 24, 27 and 29 of 30 layers name 9, 13, 27, 39, 52 and 59% of the tokens (1,472 tokens of 23
# shipped prompts): an exit nobody trained says little before the last layers. With a target trained for
# early exit, give the layers it was trained to leave after.
EXIT_SHARE = 0.8


def early_exit(target: CausalLM, layers: int) -> CausalLM:
    """The target cut off after its first `layers` layers: its final norm and output matrix follow directly.

    All weights are shared with the target, none are copied. Its key-value cache is that of the target's
    first layers, so it can compute in the target's cache. Nothing is trained: how good its law is depends on
    the target. Source: Zhang et al. 2023, "Draft & Verify" (arXiv 2309.08168; there the skipped layers are
    searched for), and Elhoushi et al. 2024, "LayerSkip" (arXiv 2404.16710), section 4.3 (exit after the
    first layers; there the target's call continues from the exit, here it starts anew).

    Raises InvalidInput unless 1 <= layers < the target's.
    """
    if not 1 <= layers < target.layers:
        raise InvalidInput(
            f"got layers {layers} for a drafter by early exit, expected 1 to {target.layers - 1}: "
            f"{target.name} has {target.layers} layers"
        )
    # A deep copy that finds every tensor already copied: new modules around the same weights.
    tensors = [*target.model.parameters(), *target.model.buffers()]
    model = copy.deepcopy(target.model, {id(tensor): tensor for tensor in tensors})
    stack = layer_stack(model, target.layers)
    del stack[layers:]
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    config.num_hidden_layers = layers
    if kinds is not None:
        config.layer_types = kinds[:layers]
    loaded = replace(target.loaded, model=model, name=f"{target.name}, first {layers} layers")
    return CausalLM(loaded, target.kernels)


def layers_by_default(target: CausalLM) -> int:
    """See EXIT_SHARE; at least one layer is left out."""
    return min(round(EXIT_SHARE * target.layers), target.layers - 1)
