"""Targets whose layers lie on disk or in the host's memory and are streamed in at every call.

The regime of FlexGen (Sheng et al. 2023, arXiv 2303.06865): a call takes as long as its weights take to
arrive, however many nodes it scores. accelerate moves the weights; embedding, final norm and output matrix
stay on the device, where heads that draft read them too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from speclight.errors import InvalidInput
from speclight.models.layer_stack import layer_stack

Offload = Literal["disk", "cpu"]


def check_offload(offload: str | None, device: str) -> None:
    """Raise InvalidInput for another word, for a device that has nothing to save, and without accelerate."""
    if offload is None:
        return
    if offload not in get_args(Offload):
        raise InvalidInput(
            f"got offload {offload!r}, expected one of {', '.join(get_args(Offload))}; leave it out to keep "
            "the weights on the device",
            argument="offload",
        )
    if offload == "cpu" and torch.device(device).type == "cpu":
        raise InvalidInput(
            "got offload 'cpu' for a target on the CPU, whose weights are in its memory anyway; name an "
            "accelerator, or offload to disk",
            argument="device",
        )
    if find_spec("accelerate") is None:
        raise InvalidInput(
            "offloaded weights need accelerate, got none installed; run: pip install 'speclight[offload]'",
            argument="offload",
        )


def device_map(
    config: PreTrainedConfig, offload: Offload, device: str, trust_remote_code: bool = False
) -> dict[str, str]:
    """Where each part of a model goes, by name: its decoder layers away, everything else onto the device.

    Raises InvalidInput for a model whose layers are not one list.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    stack = layer_stack(model, config.get_text_config().num_hidden_layers)
    return dict(_placed(model, "", stack, offload, device))


def _placed(
    module: nn.Module, name: str, stack: nn.Module, offload: Offload, device: str
) -> Iterable[tuple[str, str]]:
    if module is stack:
        yield name, offload
    elif any(part is stack for part in module.modules()):
        prefix = f"{name}." if name else ""
        for own, _ in module.named_parameters(recurse=False):
            yield f"{prefix}{own}", device
        for child, part in module.named_children():
            yield from _placed(part, f"{prefix}{child}", stack, offload, device)
    else:
        yield name, device


def read_from_disk_again(model: PreTrainedModel) -> None:
    """Let every pass read its weights from the disk, not from the copy that the system keeps in memory.

    The system's copy of a target larger than memory is gone before the next call; of a small one it stays,
    and the disk would never be met.
    """
    files = offloaded_files(model)
    model.register_forward_pre_hook(lambda *_: drop_from_memory(files))


def drop_from_memory(files: Iterable[Path]) -> None:
    """Have the system forget its copy of files in memory, where it takes such advice (Linux)."""
    advise: Callable[[int, int, int, int], None] | None = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            advise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def offloaded_files(model: PreTrainedModel) -> tuple[Path, ...]:
    """The files that a model's weights are streamed from; none where they come from memory."""
    found: dict[str, None] = {}
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        for part in getattr(hook, "hooks", [hook]):
            weights = getattr(getattr(part, "weights_map", None), "dataset", None)
            index = getattr(weights, "index", None) or {}
            found |= dict.fromkeys(str(item["safetensors_file"]) for item in index.values())
    return tuple(map(Path, found))
