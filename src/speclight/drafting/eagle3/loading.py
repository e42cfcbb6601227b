"""From a checkpoint of any dialect to a head that fits its target; nothing is guessed in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.conventions import Conventions, HeadSizes
from speclight.drafting.eagle3.dialects import (
    EAGLE_LAYER,
    SPECULATORS_LAYER,
    Dialect,
    dialect_of,
    read_sizes,
)
from speclight.drafting.eagle3.draft_tokens import target_ids_from_offsets
from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.target_matrices import embedding_matrix
from speclight.drafting.head_files import HeadFiles, read_head_files
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.models.causal_lm import CausalLM

EMBEDDING = "embed_tokens.weight"
OFFSETS, MEMBERSHIP = "d2t", "t2d"


@dataclass(frozen=True, slots=True, eq=False)
class Eagle3Head:
    """A head ready to draft for one target.

    target_ids: [draft vocabulary] the target's token of each row. own_embedding: whether the checkpoint
    brought one. chat_template: recorded with the head, None if it was not.
    """

    name: str
    dialect: str
    network: Eagle3Network
    target_ids: IntArray
    own_embedding: bool
    chat_template: str | None

    def lines(self) -> tuple[str, ...]:
        """What was resolved, in words, for people to check."""
        sizes = self.network.sizes
        return (
            f"dialect: {self.dialect}",
            *self.network.conventions.lines(),
            f"token embedding: {'its own' if self.own_embedding else 'of the target'}",
            f"draft vocabulary: {sizes.draft_vocabulary} of {sizes.vocabulary} tokens, d2t read as offsets",
        )


def load_head(folder: str | Path, target: CausalLM) -> Eagle3Head:
    """Load a head for a target, in the target's dtype and on its device.

    Raises ModelNotFound, CorruptWeights (damaged, unknown or missing tensors, wrong shapes or offsets),
    InvalidInput (no EAGLE-3 head, another width), VocabularyMismatch.
    """
    return head_from_files(read_head_files(folder), target)


def head_from_files(files: HeadFiles, target: CausalLM) -> Eagle3Head:
    """`load_head` for files already read."""
    dialect = dialect_of(files.config)
    sizes, config = read_sizes(dialect, files.config)
    conventions = dialect.conventions(files.config, target.layers)
    _check_fits(sizes, conventions, target)
    network = Eagle3Network(sizes, conventions, config)
    tensors = dict(files.tensors)
    target_ids = _target_ids(tensors.pop(OFFSETS, None), tensors.pop(MEMBERSHIP, None), sizes)
    own_embedding = EMBEDDING in tensors
    renamed = _renamed(tensors, dialect)
    if not own_embedding:
        if sizes.hidden != embedding_matrix(target).shape[1]:
            raise CorruptWeights(
                f"the head has no {EMBEDDING} and width {sizes.hidden}, not the target's; expected its own"
            )
        renamed[EMBEDDING] = embedding_matrix(target)
    _load(network, renamed, dialect)
    network.to(device=target.device, dtype=target.model.dtype).eval().requires_grad_(False)
    template = files.config.get("chat_template")
    return Eagle3Head(
        files.name,
        dialect.name,
        network,
        target_ids,
        own_embedding,
        template if isinstance(template, str) else None,
    )


def _check_fits(sizes: HeadSizes, conventions: Conventions, target: CausalLM) -> None:
    if sizes.vocabulary != target.vocabulary_size:
        raise VocabularyMismatch(
            f"the head was made for a target of {sizes.vocabulary} tokens, {target.name} has "
            f"{target.vocabulary_size}; give the head of this target"
        )
    width = target.model.config.get_text_config().hidden_size
    if sizes.target_hidden != width:
        raise InvalidInput(
            f"the head reads target states of width {sizes.target_hidden}, those of {target.name} have "
            f"{width}; give the head of this target"
        )
    if not all(0 <= layer <= target.layers for layer in conventions.layers):
        raise InvalidInput(
            f"the head reads layers {conventions.layers}, {target.name} has states 0 to {target.layers}; "
            "give the head of this target, or correct eagle_aux_hidden_state_layer_ids"
        )


def _target_ids(offsets: torch.Tensor | None, members: torch.Tensor | None, sizes: HeadSizes) -> IntArray:
    if offsets is None:
        if sizes.draft_vocabulary != sizes.vocabulary:
            raise CorruptWeights(
                f"the head drafts {sizes.draft_vocabulary} of {sizes.vocabulary} tokens but has no "
                f"{OFFSETS}, expected the offsets from its rows to the target's tokens"
            )
        return np.arange(sizes.vocabulary)
    if offsets.shape != (sizes.draft_vocabulary,) or offsets.dtype.is_floating_point:
        raise CorruptWeights(
            f"{OFFSETS} is {tuple(offsets.shape)} of {offsets.dtype}, "
            f"expected ({sizes.draft_vocabulary},) integers"
        )
    stored = offsets.numpy().astype(np.int64)
    if members is not None and np.array_equal(np.flatnonzero(members.numpy()), np.sort(stored)):
        raise CorruptWeights(
            f"{OFFSETS} holds the target ids themselves (they are those that {MEMBERSHIP} marks), expected "
            f"offsets; subtract each row's number from it: {OFFSETS} = target id - row"
        )
    target_ids = target_ids_from_offsets(stored, sizes.vocabulary)
    if members is not None and not np.array_equal(np.flatnonzero(members.numpy()), np.sort(target_ids)):
        raise CorruptWeights(
            f"{MEMBERSHIP} marks other tokens than {OFFSETS} (read as offsets) maps to; {OFFSETS} must hold "
            "target id minus row: it holds target ids, or the two are from different heads"
        )
    return target_ids


def _renamed(tensors: Mapping[str, torch.Tensor], dialect: Dialect) -> dict[str, torch.Tensor]:
    """Tensors by the network's names. Raises CorruptWeights for names of another dialect."""
    foreign = {EAGLE_LAYER: "SafeAILab or SpecForge", SPECULATORS_LAYER: "speculators"}
    del foreign[dialect.layer_prefix]
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        for prefix, owner in foreign.items():
            if name.startswith(prefix):
                raise CorruptWeights(
                    f"tensor {name} belongs to the {owner} dialect, config.json is {dialect.name}; expected "
                    f"{dialect.layer_prefix}*: give the config.json that came with these weights"
                )
        if name.startswith(dialect.layer_prefix):
            name = EAGLE_LAYER + name.removeprefix(dialect.layer_prefix)
        renamed[name] = tensor
    return renamed


# Tensors that only some heads have, and the config key that announces them.
ANNOUNCED = {
    "input_norm.": "norm_before_fc (speculators)",
    "fc_norm.": "fc_norm (SpecForge and speculators, EAGLE-3.1)",
    "fc.bias": "bias (SafeAILab)",
    "additional_layers.": "num_hidden_layers > 1 (SGLang), which is not read",
    "verifier_": "nothing: speculators do not save the verifier's tensors",
}


def _load(network: Eagle3Network, tensors: dict[str, torch.Tensor], dialect: Dialect) -> None:
    expected = network.state_dict()
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        hints = [key for prefix, key in ANNOUNCED.items() if unknown[0].startswith(prefix)]
        hint = f"; config.json does not announce it: {hints[0]}" if hints else ""
        raise CorruptWeights(
            f"tensor {unknown[0]} is unknown in the {dialect.name} dialect ({len(unknown)} such){hint}; "
            "expected no tensor that would be left unused"
        )
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        raise CorruptWeights(
            f"tensor {missing[0]} is missing ({len(missing)} such), expected by the {dialect.name} dialect "
            "with this config.json; fetch the whole checkpoint"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise CorruptWeights(
                f"{name} is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)} by config.json"
            )
    network.load_state_dict(tensors)
