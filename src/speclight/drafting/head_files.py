"""Tensors and config of a head from a folder or file, without ever running code from it."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from speclight.errors import CorruptWeights, ModelNotFound
from speclight.models.json_object import read_json_object

CONFIG_NAME = "config.json"
# In the order they are looked for.
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin", "medusa_lm_head.safetensors", "medusa_lm_head.pt")
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True, slots=True, eq=False)
class HeadFiles:
    """What a head's folder holds.

    name: of the folder. config: of config.json. tensors: by the names they have in the file.
    """

    name: str
    config: dict[str, object]
    tensors: dict[str, torch.Tensor]


def read_head_files(folder: str | Path) -> HeadFiles:
    """Read config.json and the weights beside it.

    Raises ModelNotFound if folder, config or weights are missing, CorruptWeights for files that are damaged,
    hold code, or hold numbers of a type that is not computed with (such as float8).
    """
    folder = Path(folder).expanduser()
    if not (folder / CONFIG_NAME).is_file():
        raise ModelNotFound(f"{folder} has no {CONFIG_NAME}, expected the folder of a head; give that folder")
    found = [folder / name for name in WEIGHT_NAMES if (folder / name).is_file()]
    if not found:
        raise ModelNotFound(f"{folder} has no weights, expected one of {', '.join(WEIGHT_NAMES)}; add them")
    tensors = read_tensors(found[0])
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating_point and tensor.dtype not in FLOATS:
            raise CorruptWeights(
                f"{name} in {found[0].name} is of type {tensor.dtype}, expected float32, bfloat16 or "
                "float16; convert the head back from its quantised form first"
            )
    return HeadFiles(folder.resolve().name, read_json_object(folder / CONFIG_NAME), tensors)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, or of a pickle that torch reads without running code.

    Raises CorruptWeights for anything else.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise CorruptWeights(
            f"{path.name} is damaged or cut short: {_first_line(error)}; "
            "expected a whole checkpoint, fetch it again"
        ) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CorruptWeights(
            f"{path.name} was refused: {_first_line(error)}; expected tensors only (nothing of it was run): "
            "convert it to safetensors where you trust it"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CorruptWeights(f"{path.name} holds something besides named tensors, expected a state dict")
    return {str(name): value for name, value in state.items()}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
