"""One pass of an EAGLE head over new positions of a text, on top of a cache."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import Cache

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.models.grouped_attention import growing_attention
from speclight.models.static_passes import PassInputs, PassOutputs
from speclight.models.visibility import near


def head_pass(network: Eagle3Network, cache: Cache, inputs: PassInputs, wanted: int | None) -> PassOutputs:
    """Log-probabilities of the next token, float64, and states, of the last `wanted` positions; None: of all.

    inputs.states: [1, new, hidden] the target's states, fused, or the head's own of one position earlier, fed
    back. The new positions' keys and values are written to the cache.
    """
    device, last = inputs.tokens.device, network.sizes.decoder_layers - 1
    state = inputs.states
    assert state is not None
    for place in range(network.sizes.decoder_layers):
        projected = network.project(inputs.tokens, state, inputs.positions, place)
        keys, values = cache.update(projected.keys, projected.values, place)
        # Of the other positions the last layer gives keys and values alone.
        rows = slice(-wanted if place == last and wanted is not None else None, None)
        window = network.conventions.window(place)
        visible = inputs.visible[0]
        if window is not None:
            visible = visible & near(inputs.positions[0], inputs.slot_positions[0].to(device), window)
        with growing_attention(device):
            attended = scaled_dot_product_attention(
                projected.queries[:, :, rows],
                keys,
                values,
                attn_mask=visible[rows],
                enable_gqa=network.sizes.heads > network.sizes.kv_heads,
            )
        state = network.finish(projected.residual[:, rows], attended, place)
    return PassOutputs(torch.log_softmax(network.logits(state).double(), dim=-1), state)
