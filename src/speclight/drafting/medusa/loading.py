"""Medusa checkpoints of both dialects: FasterDecoding's own and vLLM's."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.config_keys import IRRELEVANT, NEUTRAL
from speclight.drafting.eagle3.draft_tokens import check_target_ids
from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.drafting.head_config import HeadConfig
from speclight.drafting.head_files import HeadFiles, read_head_files
from speclight.drafting.medusa.heads import MedusaHead, MedusaHeads, ResidualBlock
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.models.causal_lm import CausalLM

FASTER_DECODING, VLLM = "FasterDecoding", "vLLM"
VLLM_PREFIX = "medusa_heads."
# What vLLM's own config class writes besides: sizes, which the tensors' shapes say and are checked by, and
# bounds on what it drafts, which are the tree's to say here.
UNREAD = frozenset({"hidden_size", "vocab_size", "truncated_vocab_size", "max_paths", "topk", "max_seq_len"})
# The number of a head in a tensor's name.
HEAD_NUMBERS = {
    FASTER_DECODING: re.compile(r"(\d+)\."),
    VLLM: re.compile(r"blocks\.(\d+)\."),
}


def load_medusa_heads(folder: str | Path, target: CausalLM) -> MedusaHeads:
    """Load the heads of a folder for a target, in its dtype and on its device.

    Raises ModelNotFound, CorruptWeights (damaged, unknown or missing tensors, wrong shapes), InvalidInput
    (config of no Medusa dialect, a key that is not read), VocabularyMismatch. The file is believed over the
    config's number of heads, with a warning: a published config says 2 of 5 and its own loader overrides it.
    """
    return medusa_heads_from_files(read_head_files(folder), target)


def medusa_heads_from_files(files: HeadFiles, target: CausalLM) -> MedusaHeads:
    """`load_medusa_heads` for files already read."""
    config = HeadConfig(files.config)
    if "medusa_num_heads" in config:
        dialect, count_key, blocks_key = FASTER_DECODING, "medusa_num_heads", "medusa_num_layers"
    elif config.get("model_type") == "medusa":
        dialect, count_key, blocks_key = VLLM, "num_heads", "num_hidden_layers"
    else:
        raise InvalidInput(
            "config.json has neither medusa_num_heads (FasterDecoding) nor model_type medusa (vLLM), "
            "expected one of them; give the folder of Medusa heads"
        )
    stated, blocks = _count(config, count_key), _count(config, blocks_key)
    layout = _Layout(
        blocks,
        config.flag("medusa_fc_bias") or dialect == FASTER_DECODING,
        config.flag("original_lm_head"),
    )
    tensors = _Tensors(files.tensors, dialect, target)
    count = tensors.heads()
    if count != stated:
        warnings.warn(
            f"config.json says {count_key} = {stated}, the file holds {count} heads: all of them are used",
            stacklevel=2,
        )
    config.check_all_used({*IRRELEVANT, *UNREAD}, NEUTRAL)
    target_ids = _target_ids(tensors, target) if dialect == VLLM else np.arange(target.vocabulary_size)
    read = _vllm_head if dialect == VLLM else _faster_decoding_head
    heads = tuple(read(tensors, layout, head, target_ids) for head in range(count))
    tensors.check_all_used()
    return MedusaHeads(dialect, heads, target.output_state, target_ids)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a checkpoint is built.

    blocks: residual blocks of each head. has_bias: of a block. shares_output: one matrix for all heads.
    """

    blocks: int
    has_bias: bool
    shares_output: bool


class _Tensors:
    """A checkpoint's tensors, each with the shape expected of it; remembers which were asked for."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], dialect: str, target: CausalLM) -> None:
        strip = VLLM_PREFIX if dialect == VLLM else ""
        self._tensors = {name.removeprefix(strip): tensor for name, tensor in tensors.items()}
        self._used: set[str] = set()
        self._dialect, self._target = dialect, target
        self.hidden: int = target.model.config.get_text_config().hidden_size

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def heads(self) -> int:
        """How many there are, by the tensors' names. Raises CorruptWeights if one is missing."""
        pattern = HEAD_NUMBERS[self._dialect]
        numbers = {int(match[1]) for name in self._tensors if (match := pattern.match(name))}
        if not numbers or numbers != set(range(len(numbers))):
            raise CorruptWeights(
                f"got tensors of the heads {sorted(numbers)}, expected heads numbered from 0 without a gap "
                f"({self._dialect} dialect); fetch the whole checkpoint"
            )
        return len(numbers)

    def output(self, name: str, target_ids: IntArray) -> torch.Tensor:
        """An output matrix's rows for these tokens; the target's own if the file has none.

        With a token map the file may hold rows for the whole vocabulary, of which those of the map are meant.
        """
        if name not in self._tensors:
            rows = output_matrix(self._target)
            return rows[torch.from_numpy(target_ids).to(rows.device)].to(self._target.model.dtype)
        whole = self._target.vocabulary_size
        if len(target_ids) < whole and self._tensors[name].shape[0] == whole:
            rows = self.weight(name, whole, self.hidden)
            return rows[torch.from_numpy(target_ids).to(rows.device)]
        return self.weight(name, len(target_ids), self.hidden)

    def raw(self, name: str) -> torch.Tensor:
        """As it stands in the file."""
        if name not in self._tensors:
            raise CorruptWeights(
                f"tensor {name} is missing, expected by the {self._dialect} dialect with this "
                "config.json; fetch the whole checkpoint"
            )
        self._used.add(name)
        return self._tensors[name]

    def weight(self, name: str, *shape: int) -> torch.Tensor:
        """Of the shape given, in the target's dtype and on its device."""
        tensor = self.raw(name)
        if tuple(tensor.shape) != shape:
            error = (
                VocabularyMismatch if len(shape) == 2 and tensor.shape[-1] == shape[-1] else CorruptWeights
            )
            raise error(
                f"{name} is {tuple(tensor.shape)}, expected {shape} for {self._target.name}; "
                "give its own heads"
            )
        return tensor.to(device=self._target.device, dtype=self._target.model.dtype)

    def check_all_used(self) -> None:
        """Raise CorruptWeights if a tensor was left over, naming the dialect it looks like."""
        left = sorted(self._tensors.keys() - self._used)
        if left:
            is_numbered = left[0].split(".")[0].isdecimal()
            looks = FASTER_DECODING if is_numbered else VLLM
            owner = f" (a name of the {looks} dialect)" if looks != self._dialect else ""
            raise CorruptWeights(
                f"tensor {left[0]}{owner} is unknown in the {self._dialect} dialect ({len(left)} such); "
                "expected none that would be left unused: give the config.json that came with these weights"
            )


def _faster_decoding_head(tensors: _Tensors, layout: _Layout, head: int, target_ids: IntArray) -> MedusaHead:
    blocks = tuple(
        _block(tensors, f"{head}.{block}.linear", layout.has_bias) for block in range(layout.blocks)
    )
    return MedusaHead(blocks, tensors.output(f"{head}.{layout.blocks}.weight", target_ids))


def _vllm_head(tensors: _Tensors, layout: _Layout, head: int, target_ids: IntArray) -> MedusaHead:
    blocks = tuple(
        _block(tensors, f"blocks.{head}.layers.{block}", layout.has_bias) for block in range(layout.blocks)
    )
    # A shared matrix is stored as the first head's.
    place = 0 if layout.shares_output else head
    return MedusaHead(blocks, tensors.output(f"lm_heads.{place}.weight", target_ids))


def _block(tensors: _Tensors, name: str, has_bias: bool) -> ResidualBlock:
    hidden = tensors.hidden
    return ResidualBlock(
        tensors.weight(f"{name}.weight", hidden, hidden),
        tensors.weight(f"{name}.bias", hidden) if has_bias else None,
    )


def _target_ids(tensors: _Tensors, target: CausalLM) -> IntArray:
    if "token_map" not in tensors:
        return np.arange(target.vocabulary_size)
    target_ids = tensors.raw("token_map").numpy().astype(np.int64)
    check_target_ids(target_ids, target.vocabulary_size, "token_map")
    return target_ids


def _count(config: HeadConfig, key: str) -> int:
    count = config.size(key)
    if count < 1:
        raise CorruptWeights(f"{key} in config.json is {count}, expected at least 1; repair it")
    return count
