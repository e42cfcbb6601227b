"""EAGLE-3's training-time test: the head reads its own states for a few steps, as it will when drafting.

Step 0 reads the target's features at every position at once. At step j the state of position p comes from the
head's own output at p - 1 of step j - 1, so the last j states before p are the head's own: position p attends
to the keys of step 0 up to p - j, and to one key of each later step m, that of position p - j + m.
Source: arXiv 2503.01840v3, section 3.2 and figure 6.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.models.visibility import near


def unrolled_states(
    network: Eagle3Network, next_tokens: torch.Tensor, features: torch.Tensor, steps: int
) -> Iterator[torch.Tensor]:
    """The head's states after each step, [batch, positions, hidden]; position p < j of step j means nothing.

    next_tokens: [batch, positions] the token that follows each position. features: [batch, positions,
    layers * target hidden] the target's states at them. Padding may only stand at the end.
    """
    positions = torch.arange(next_tokens.shape[1], device=next_tokens.device)[None]
    hidden = network.fuse(features)
    layers = range(network.sizes.decoder_layers)
    keys: list[list[torch.Tensor]] = [[] for _ in layers]
    values: list[list[torch.Tensor]] = [[] for _ in layers]
    groups = network.sizes.heads // network.sizes.kv_heads
    for _ in range(steps):
        state = hidden
        for layer in layers:
            projected = network.project(next_tokens, state, positions, layer)
            keys[layer].append(projected.keys.repeat_interleave(groups, dim=1))
            values[layer].append(projected.values.repeat_interleave(groups, dim=1))
            window = network.conventions.window(layer)
            attended = unrolled_attention(projected.queries, keys[layer], values[layer], window)
            state = network.finish(projected.residual, attended, layer)
        yield state
        hidden = later(network.fed_back(state), 1, dim=1)


def unrolled_attention(
    queries: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor], window: int | None = None
) -> torch.Tensor:
    """What the queries of the newest step read, [batch, heads, positions, head size].

    keys, values: of step 0 and every later step up to the newest, shaped like the queries. window: how many
    positions are seen, a position's own included; None: all.
    """
    step, length, scale = len(keys) - 1, queries.shape[2], queries.shape[3] ** -0.5
    place = torch.arange(length, device=queries.device)
    unseen = place[None, :] > place[:, None] - step
    if window is not None:
        unseen |= ~near(place, place, window)
    scores = (queries @ keys[0].transpose(2, 3) * scale).masked_fill(unseen, -torch.inf)
    seen_steps = range(1 if window is None else max(1, step - window + 1), step + 1)
    own = [(queries * later(keys[m], step - m, dim=2)).sum(dim=-1, keepdim=True) * scale for m in seen_steps]
    weights = torch.softmax(torch.cat([scores, *own], dim=-1).float(), dim=-1).to(values[0].dtype)
    attended = weights[..., :length] @ values[0]
    for column, m in enumerate(seen_steps, start=length):
        attended = attended + weights[..., column : column + 1] * later(values[m], step - m, dim=2)
    return attended


def later(tensor: torch.Tensor, places: int, dim: int) -> torch.Tensor:
    """The tensor moved `places` positions towards the end of a dimension, zeros in front."""
    if places == 0:
        return tensor
    kept = tensor.narrow(dim, 0, tensor.shape[dim] - places)
    shape = list(tensor.shape)
    shape[dim] = places
    return torch.cat([tensor.new_zeros(shape), kept], dim=dim)
