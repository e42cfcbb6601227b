"""How a model's own pass is computed: as Transformers does it, or faster with the same weights."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import torch
from transformers import PreTrainedModel

from speclight.errors import InvalidInput
from speclight.models.few_rows import use_few_rows
from speclight.models.lean_layers import use_lean_layers

KernelsInUse = Literal["fast", "eager"]
Kernels = Literal["auto", "fast", "eager"]


def use_kernels(model: PreTrainedModel, kernels: Kernels) -> KernelsInUse:
    """Set a model up and say what is in use.

    kernels: "eager" leaves Transformers' own pass; "fast" takes products made for few rows (`few_rows`) and
    decoder layers of fewer operations (`lean_layers`), whose logits differ from the eager ones in the last
    bits; "auto" is fast where the model can be. It can on a CPU, in float32 or float64, with a torch that has
    MKL; where it cannot, "fast" warns and leaves the model as it is. Of layers that are streamed in at every
    call the products alone are exchanged: lean ones look their weights up once.
    Raises InvalidInput for another word.
    """
    if kernels not in get_args(Kernels):
        raise InvalidInput(
            f"got kernels {kernels!r}, expected one of {', '.join(get_args(Kernels))}; leave it out for auto",
            argument="kernels",
        )
    if kernels == "eager":
        return "eager"
    obstacle = _obstacle(model)
    if obstacle is not None:
        if kernels == "fast":
            warnings.warn(
                f"the fast kernels are for float32 on a CPU with MKL, got {obstacle}: the pass stays as "
                "Transformers computes it",
                stacklevel=2,
            )
        return "eager"
    use_few_rows(model)
    if not any(weight.is_meta for weight in model.parameters()):
        use_lean_layers(model)
    return "fast"


def _obstacle(model: PreTrainedModel) -> str | None:
    if model.device.type != "cpu":
        return f"the device {model.device.type}"
    if model.dtype not in (torch.float32, torch.float64):
        return str(model.dtype).removeprefix("torch.")
    if not torch.backends.mkl.is_available():
        return "a torch without MKL"
    return None
