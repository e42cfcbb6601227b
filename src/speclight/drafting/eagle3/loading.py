"""From a checkpoint of any dialect to a head that fits its target; nothing is guessed in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.config_keys import IRRELEVANT, NEUTRAL
from speclight.drafting.eagle3.conventions import Conventions, HeadSizes
from speclight.drafting.eagle3.dialects import dialect_of, read_layers, read_sizes
from speclight.drafting.eagle3.draft_tokens import target_ids_from_offsets
from speclight.drafting.eagle3.head_pass import head_pass
from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.reading import read_conventions
from speclight.drafting.eagle3.target_matrices import embedding_matrix, output_matrix
from speclight.drafting.eagle3.tensor_names import (
    EMBEDDING,
    MEMBERSHIP,
    OFFSETS,
    OUTPUT,
    HeadTensors,
    head_tensors,
)
from speclight.drafting.head_config import HeadConfig
from speclight.drafting.head_files import HeadFiles, read_head_files
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.models.causal_lm import CausalLM
from speclight.models.few_rows import halve_weights, use_products
from speclight.models.kernels import PRODUCTS
from speclight.models.lean_layers import use_lean_norms
from speclight.models.packed_weights import round_weights
from speclight.models.static_passes import StaticPasses

# Where a head's embedding or output matrix comes from, in words.
OWN, OF_TARGET, OF_EMBEDDING = "its own", "of the target", "its embedding"


@dataclass(frozen=True, slots=True, eq=False)
class Eagle3Head:
    """A head ready to draft for one target.

    target_ids: [draft vocabulary] the target's token of each row. embedding, output: whose matrix serves, in
    words. notes: a line for each choice that the file leaves open. chat_template: recorded with the head,
    None if it was not. target_layers: how many the target has. static_passes: its passes as CUDA graphs,
    where the target's are.
    """

    name: str
    dialect: str
    network: Eagle3Network
    target_ids: IntArray
    embedding: str
    output: str
    notes: tuple[str, ...]
    chat_template: str | None
    target_layers: int
    static_passes: StaticPasses | None

    def lines(self) -> tuple[str, ...]:
        """What was resolved, in words, for people to check."""
        sizes = self.network.sizes
        return (
            f"dialect: {self.dialect}",
            *self.network.conventions.lines(self.target_layers),
            *([f"decoder layers: {sizes.decoder_layers}"] if sizes.decoder_layers > 1 else []),
            f"token embedding: {self.embedding}",
            *([f"output matrix: {self.output}"] if self.output != OWN else []),
            f"draft vocabulary: {sizes.draft_vocabulary} of {sizes.vocabulary} tokens, d2t read as offsets",
            *self.notes,
        )


def load_head(folder: str | Path, target: CausalLM) -> Eagle3Head:
    """Load a head for a target, in the target's dtype and on its device.

    Raises ModelNotFound, CorruptWeights (damaged, unknown or missing tensors, wrong shapes or offsets, keys
    that contradict each other), InvalidInput (no EAGLE head, another width, a key that is not read),
    VocabularyMismatch.
    """
    return head_from_files(read_head_files(folder), target)


def head_from_files(files: HeadFiles, target: CausalLM) -> Eagle3Head:
    """`load_head` for files already read."""
    tensors, config = head_tensors(files.tensors), HeadConfig(files.config)
    dialect = dialect_of(config, tensors)
    sizes = read_sizes(dialect, config, tensors)
    choices = read_layers(dialect, config, sizes)
    reading = read_conventions(dialect, config, tensors, sizes, choices, target.layers)
    template, ties = config.get("chat_template"), config.flag("tie_word_embeddings")
    _check_speculators(config)
    config.check_all_used(IRRELEVANT, NEUTRAL)
    _check_fits(sizes, reading.conventions, target)
    network = Eagle3Network(sizes, reading.conventions, choices.config)
    named = dict(tensors.tensors)
    target_ids = _target_ids(named.pop(OFFSETS, None), named.pop(MEMBERSHIP, None), sizes)
    embedding = OWN if EMBEDDING in named else OF_TARGET
    output = OWN if OUTPUT in named else OF_EMBEDDING if ties and embedding == OWN else OF_TARGET
    if embedding == OF_TARGET:
        named[EMBEDDING] = _target_embedding(sizes, target)
    if output != OWN:
        named[OUTPUT] = _missing_output(sizes, target, named[EMBEDDING] if output == OF_EMBEDDING else None)
    _load(network, named, tensors, dialect)
    network.to(device=target.device, dtype=target.model.dtype).eval().requires_grad_(False)
    if target.kernels in PRODUCTS:
        use_products(network, PRODUCTS[target.kernels])
    if target.kernels == "compiled":
        halve_weights(network)
        round_weights(network)
        use_lean_norms(network)
    return Eagle3Head(
        files.name,
        dialect,
        network,
        target_ids,
        embedding,
        output,
        reading.notes,
        template if isinstance(template, str) else None,
        target.layers,
        _static_passes(network) if target.kernels == "graphs" else None,
    )


def _static_passes(network: Eagle3Network) -> StaticPasses:
    return StaticPasses(
        lambda cache, inputs, _: head_pass(network, cache, inputs, None), network.sizes.decoder_layers
    )


def _check_speculators(config: HeadConfig) -> None:
    """The section on how a speculators head is used must be about EAGLE-3; it changes nothing else."""
    section = config.get("speculators_config")
    algorithm = section.get("algorithm", "eagle3") if isinstance(section, Mapping) else "eagle3"
    if algorithm != "eagle3":
        raise InvalidInput(f"got a speculators head of the algorithm {algorithm!r}, expected eagle3")


def _target_embedding(sizes: HeadSizes, target: CausalLM) -> torch.Tensor:
    matrix = embedding_matrix(target)
    if sizes.hidden != matrix.shape[1]:
        raise CorruptWeights(
            f"the head has no {EMBEDDING} and width {sizes.hidden}, not the target's; expected its own"
        )
    return matrix


def _missing_output(sizes: HeadSizes, target: CausalLM, own_embedding: torch.Tensor | None) -> torch.Tensor:
    """What stands in for a missing output matrix: the head's embedding if tied, else the target's matrix."""
    matrix = output_matrix(target) if own_embedding is None else own_embedding
    if tuple(matrix.shape) != (sizes.draft_vocabulary, sizes.hidden):
        raise CorruptWeights(
            f"tensor {OUTPUT} is missing, and a matrix of {tuple(matrix.shape)} cannot stand in for one of "
            f"{(sizes.draft_vocabulary, sizes.hidden)}; expected its own, fetch the whole checkpoint"
        )
    return matrix


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
    last = target.output_state if conventions.layers == (target.output_state,) else target.layers
    if not all(0 <= layer <= last for layer in conventions.layers):
        raise InvalidInput(
            f"the head reads states {conventions.layers}, {target.name} has states 0 to {target.layers}; "
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


# Tensors that only some heads have, and the config key that announces them.
ANNOUNCED = {
    "input_norm.": "norm_before_fc",
    "fc_norm.": "fc_norm (EAGLE-3.1)",
    "layers.": "num_hidden_layers > 1",
    "mask_hidden": "nothing: heads that draft in parallel (P-EAGLE) are not read",
    "parallel_draft_heads.": "nothing: ModelOpt's parallel heads are not read",
    "verifier_": "nothing: speculators do not save the verifier's tensors",
}


def _load(network: Eagle3Network, tensors: dict[str, torch.Tensor], names: HeadTensors, dialect: str) -> None:
    expected = network.state_dict()
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        hints = [key for prefix, key in ANNOUNCED.items() if unknown[0].startswith(prefix)]
        hint = f"; config.json does not announce it: {hints[0]}" if hints else ""
        raise CorruptWeights(
            f"tensor {names.called(unknown[0])} is unknown in the {dialect} dialect ({len(unknown)} such)"
            f"{hint}; expected no tensor that would be left unused"
        )
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        raise CorruptWeights(
            f"tensor {names.called(missing[0])} is missing ({len(missing)} such), expected by the {dialect} "
            "dialect with this config.json; fetch the whole checkpoint"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise CorruptWeights(
                f"{names.called(name)} is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)} by "
                "config.json"
            )
    network.load_state_dict(tensors)
