"""A checkpoint's tensors by the names of the network, whatever the dialect calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from speclight.errors import CorruptWeights, InvalidInput

EMBEDDING, OUTPUT = "embed_tokens.weight", "lm_head.weight"
OFFSETS, MEMBERSHIP = "d2t", "t2d"
FIRST_LAYER = "midlayer."
# What others write, and the network's name for it: the serving engines read either.
PREFIXES = {"model.": "", "layers.0.": FIRST_LAYER}
OTHER_NAMES = {"draft_id_to_target_id": OFFSETS}
# Buffers that old versions of Transformers saved and that are computed anew.
COMPUTED = ".rotary_emb.inv_freq"


@dataclass(frozen=True, slots=True, eq=False)
class HeadTensors:
    """The tensors of a head, by the network's names. file_names: what the file calls each."""

    tensors: dict[str, torch.Tensor]
    file_names: dict[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def called(self, name: str) -> str:
        """What the file calls a tensor, or would call it if it had it."""
        if name in self.file_names:
            return self.file_names[name]
        writes_layers = any("layers.0." in written for written in self.file_names.values())
        if writes_layers and name.startswith(FIRST_LAYER):
            return "layers.0." + name.removeprefix(FIRST_LAYER)
        return name


def head_tensors(stored: Mapping[str, torch.Tensor]) -> HeadTensors:
    """Raises CorruptWeights for one tensor under two names, InvalidInput for SGLang's additional layers."""
    tensors: dict[str, torch.Tensor] = {}
    names: dict[str, str] = {}
    for written, tensor in stored.items():
        if written.endswith(COMPUTED):
            continue
        name = written
        for prefix, ours in PREFIXES.items():
            if name.startswith(prefix):
                name = ours + name.removeprefix(prefix)
        name = OTHER_NAMES.get(name, name)
        if name.startswith("additional_layers."):
            raise InvalidInput(
                f"got the tensor {written}: further layers in SGLang's arrangement, which drops the stream "
                "of the layer before, are not read; expected one layer, or further ones named layers.1.* "
                "(vLLM and speculators)"
            )
        if name in tensors:
            raise CorruptWeights(
                f"the file holds {names[name]} and {written}, two names of one tensor; expected one of them"
            )
        tensors[name], names[name] = tensor, written
    return HeadTensors(tensors, names)
