"""A head read under one other convention at a time, as if its checkpoint meant something else."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.conventions import Conventions
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
    for shift in (-1, 1):
        layers = tuple(layer + shift for layer in conventions.layers)
        if all(0 <= layer <= target_layers for layer in layers):
            yield _read(
                head,
                replace(conventions, layers=layers),
                f"layers {layers}",
                f"set the layer ids so that the states entering layers {layers} are fused",
            )
    for name, words in (
        ("norm_before_output", "the last norm before the output matrix"),
        ("residual_after_norm", "the residual after the hidden norm"),
        ("normed_recurrence", "the state fed back after the last norm"),
    ):
        value = not getattr(conventions, name)
        yield _read(
            head,
            replace(conventions, **{name: value}),
            f"{words}: {'yes' if value else 'no'}",
            f"set the flag of {words} to {str(value).lower()}",
        )
    yield from _other_norms(head)
    blocks = len(conventions.layers)
    for order in itertools.permutations(range(blocks)):
        if order != tuple(range(blocks)):
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
