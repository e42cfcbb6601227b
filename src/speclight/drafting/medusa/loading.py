"""Medusa checkpoints of both dialects: FasterDecoding's own and vLLM's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.draft_tokens import check_target_ids
from speclight.drafting.head_files import HeadFiles, read_head_files
from speclight.drafting.medusa.heads import MedusaHead, MedusaHeads, ResidualBlock
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.models.causal_lm import CausalLM

FASTER_DECODING, VLLM = "FasterDecoding", "vLLM"
VLLM_PREFIX = "medusa_heads."


def load_medusa_heads(folder: str | Path, target: CausalLM) -> MedusaHeads:
    """Load the heads of a folder for a target, in its dtype and on its device.

    Raises ModelNotFound, CorruptWeights (damaged, unknown or missing tensors, wrong shapes), InvalidInput
    (config of no Medusa dialect), VocabularyMismatch.
    """
    return medusa_heads_from_files(read_head_files(folder), target)


def medusa_heads_from_files(files: HeadFiles, target: CausalLM) -> MedusaHeads:
    """`load_medusa_heads` for files already read."""
    config = files.config
    if "medusa_num_heads" in config:
        dialect, count_key, blocks_key = FASTER_DECODING, "medusa_num_heads", "medusa_num_layers"
    elif config.get("model_type") == "medusa":
        dialect, count_key, blocks_key = VLLM, "num_heads", "num_hidden_layers"
    else:
        raise InvalidInput(
            "config.json has neither medusa_num_heads (FasterDecoding) nor model_type medusa (vLLM), "
            "expected one of them; give the folder of Medusa heads"
        )
    count, blocks = _count(config, count_key), _count(config, blocks_key)
    tensors = _Tensors(files.tensors, dialect, target)
    target_ids = _target_ids(tensors, target) if dialect == VLLM else np.arange(target.vocabulary_size)
    read = _vllm_head if dialect == VLLM else _faster_decoding_head
    heads = tuple(read(tensors, config, head, blocks, len(target_ids)) for head in range(count))
    tensors.check_all_used()
    return MedusaHeads(dialect, heads, target.output_state, target_ids)


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


def _faster_decoding_head(
    tensors: _Tensors, config: Mapping[str, object], head: int, blocks: int, rows: int
) -> MedusaHead:
    hidden = tensors.hidden
    return MedusaHead(
        tuple(
            ResidualBlock(
                tensors.weight(f"{head}.{block}.linear.weight", hidden, hidden),
                tensors.weight(f"{head}.{block}.linear.bias", hidden),
            )
            for block in range(blocks)
        ),
        tensors.weight(f"{head}.{blocks}.weight", rows, hidden),
    )


def _vllm_head(
    tensors: _Tensors, config: Mapping[str, object], head: int, blocks: int, rows: int
) -> MedusaHead:
    hidden, has_bias = tensors.hidden, config.get("medusa_fc_bias", False) is True
    # With original_lm_head one output matrix serves all heads, stored as the first one's.
    place = 0 if config.get("original_lm_head", False) is True else head
    return MedusaHead(
        tuple(
            ResidualBlock(
                tensors.weight(f"blocks.{head}.layers.{block}.weight", hidden, hidden),
                tensors.weight(f"blocks.{head}.layers.{block}.bias", hidden) if has_bias else None,
            )
            for block in range(blocks)
        ),
        tensors.weight(f"lm_heads.{place}.weight", rows, hidden),
    )


def _target_ids(tensors: _Tensors, target: CausalLM) -> IntArray:
    if "token_map" not in tensors:
        return np.arange(target.vocabulary_size)
    target_ids = tensors.raw("token_map").numpy().astype(np.int64)
    check_target_ids(target_ids, target.vocabulary_size, "token_map")
    return target_ids


def _count(config: Mapping[str, object], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CorruptWeights(f"{key} in config.json is {value!r}, expected a whole number >= 1; repair it")
    return value
