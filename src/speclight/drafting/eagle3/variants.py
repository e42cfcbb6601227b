"""A head read under one other convention at a time, as if its checkpoint meant something else."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.conventions import Conventions, default_layers
from speclight.drafting.eagle3.loading import OWN, Eagle3Head
from speclight.drafting.eagle3.network import Eagle3Network


@dataclass(frozen=True, slots=True, eq=False)
class HeadVariant:
    """One reading of a head. name: what differs from the reading as loaded. remedy: how to make it so."""

    name: str
    remedy: str
    network: Eagle3Network
    target_ids: IntArray


def as_loaded(head: Eagle3Head) -> HeadVariant:
    """The head as its checkpoint says."""
    return HeadVariant("as loaded", "nothing to do", head.network, head.target_ids)


def neighbouring_variants(
    head: Eagle3Head, target_layers: int, embedding: torch.Tensor
) -> Iterator[HeadVariant]:
    """Every reading that is one convention away.

    embedding: [vocabulary, hidden] the target's table, tried in place of a head's own.
    """
    conventions, network = head.network.conventions, head.network
    for layers in other_layers(conventions.layers, target_layers):
        yield _read(
            head,
            replace(conventions, layers=layers),
            f"layers {layers}",
            f"set eagle_aux_hidden_state_layer_ids, outside eagle_config, to {list(layers)}",
        )
    if not conventions.joins_embedding:  # EAGLE-1 and 2 have none of these norms
        yield from _other_flags(head)
        yield from _other_norms(head)
    for order in other_orders(len(conventions.layers)):
        yield _with_blocks(head, order)
    absolute = head.target_ids - np.arange(len(head.target_ids))
    if absolute.min() >= 0 and len(np.unique(absolute)) == len(absolute):
        yield HeadVariant("d2t as target ids", "store d2t as target id minus row", network, absolute)
    if head.embedding == OWN and embedding.shape == network.embed_tokens.weight.shape:
        other = copy.deepcopy(network)
        other.embed_tokens.weight.data.copy_(embedding)
        yield HeadVariant(
            "the target's embedding", "leave embed_tokens out of the checkpoint", other, head.target_ids
        )


def other_layers(layers: tuple[int, ...], target_layers: int) -> list[tuple[int, ...]]:
    """Other states that a head's layer ids may have meant, each once.

    All of them up to three places off; and the authors' three layers, those counted as layers whose output is
    taken but read as states, and those counted up twice.
    """
    candidates = [
        tuple(layer + shift for layer in layers) for offset in (1, 2, 3) for shift in (-offset, offset)
    ]
    if len(layers) == len(default_layers(target_layers)):
        candidates += [
            tuple(layer + shift for layer in default_layers(target_layers)) for shift in (0, -1, 1)
        ]
    in_reach = [tried for tried in candidates if 0 <= min(tried) and max(tried) <= target_layers]
    return [tried for tried in dict.fromkeys(in_reach) if tried != layers]


def other_orders(blocks: int) -> list[tuple[int, ...]]:
    """Other orders of the blocks of `fc`: all of three, and of more those with two blocks exchanged."""
    usual = tuple(range(blocks))
    orders = list(itertools.permutations(usual)) if blocks <= 3 else []
    for one, other in itertools.combinations(usual, 2):
        exchanged = list(usual)
        exchanged[one], exchanged[other] = other, one
        orders.append(tuple(exchanged))
    return [order for order in dict.fromkeys(orders) if order != usual]


def _other_flags(head: Eagle3Head) -> Iterator[HeadVariant]:
    conventions = head.network.conventions
    for name, key, words in (
        ("norm_before_output", "the flag of this norm", "the last norm before the output matrix"),
        ("residual_after_norm", "norm_before_residual", "the residual after the hidden norm"),
        ("normed_recurrence", "norm_output", "the state fed back after the last norm"),
    ):
        value = not getattr(conventions, name)
        yield _read(
            head,
            replace(conventions, **{name: value}),
            f"{words}: {'yes' if value else 'no'}",
            f"set {key} to {str(value).lower()}",
        )


def _read(head: Eagle3Head, conventions: Conventions, name: str, remedy: str) -> HeadVariant:
    network = copy.copy(head.network)  # shares the weights
    network.conventions = conventions
    return HeadVariant(name, remedy, network, head.target_ids)


def _other_norms(head: Eagle3Head) -> Iterator[HeadVariant]:
    """The two norms of the layer's input exchanged: embedding and state are normed apart."""
    other = copy.deepcopy(head.network)
    layer = other.midlayer
    layer.input_layernorm, layer.hidden_norm = layer.hidden_norm, layer.input_layernorm
    yield HeadVariant(
        "input_layernorm and hidden_norm exchanged",
        "exchange midlayer.input_layernorm.weight and midlayer.hidden_norm.weight",
        other,
        head.target_ids,
    )


def _with_blocks(head: Eagle3Head, order: tuple[int, ...]) -> HeadVariant:
    """Block i of fc's input comes from layer order[i] of those fused."""
    layers = tuple(head.network.conventions.layers[place] for place in order)
    words = ", ".join(map(str, layers))
    return _read(
        head,
        replace(head.network.conventions, layers=layers),
        f"fc blocks for layers {words}",
        f"reorder the column blocks of fc.weight, which expect layers {words} in this order",
    )
