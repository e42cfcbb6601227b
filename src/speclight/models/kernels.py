"""How a model's own pass is computed: as Transformers does it, or faster with the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import torch
from transformers import PreTrainedModel

from speclight.errors import InvalidInput
from speclight.models.compiled_attention import use_compiled_attention
from speclight.models.compiled_rows import compiled_products, compiled_steps
from speclight.models.few_rows import Products, exchanged_products, use_products
from speclight.models.lean_layers import use_lean_layers
from speclight.models.openmp import has_openmp
from speclight.models.packed_weights import pack_weights
from speclight.models.row_steps import RowSteps, steps_one_by_one

KernelsInUse = Literal["graphs", "compiled", "fast", "eager"]
Kernels = Literal["auto", "graphs", "compiled", "fast", "eager"]
# Those of a CPU by what they are called, in the order in which "auto" tries them.
PRODUCTS: Mapping[KernelsInUse, Products] = MappingProxyType(
    {"compiled": compiled_products, "fast": exchanged_products}
)
_STEPS: Mapping[KernelsInUse, RowSteps] = MappingProxyType(
    {"compiled": compiled_steps, "fast": steps_one_by_one(exchanged_products)}
)


def use_kernels(model: PreTrainedModel, kernels: Kernels) -> KernelsInUse:
    """Set a model up and say what is in use.

    kernels: "eager" leaves Transformers' own pass. "fast" takes products of MKL made for few rows
    (`few_rows`) and decoder layers of fewer operations (`lean_layers`); "compiled" the same layers with
    products compiled for this machine (`compiled_rows`). "graphs" replays the passes that decoding repeats as
    CUDA graphs (`static_passes`). Their logits differ from the eager ones, and from each other's, in the last
    bits; compiled ones of weights that come from 4 or 8 bits by thousandths (`packed_dots`). "auto" is the
    first of graphs, compiled, fast and eager that the model can be computed with: graphs need a CUDA device
    with all weights on it, compiled a CPU, float32 and a torch that runs on GNU's OpenMP, fast a CPU, float32
    or float64 and MKL. What was asked for and cannot be had warns and leaves the model as it is. Of layers
    that are streamed in at every call the products alone are exchanged: lean ones look their weights up once.
    Raises InvalidInput for another word.
    """
    if kernels not in get_args(Kernels):
        raise InvalidInput(
            f"got kernels {kernels!r}, expected one of {', '.join(get_args(Kernels))}; leave it out for auto",
            argument="kernels",
        )
    for name, needs in _NEEDS.items():
        if kernels not in (name, "auto"):
            continue
        obstacle = _obstacle(model, name)
        if obstacle is None:
            if name in PRODUCTS:
                use_products(model, PRODUCTS[name])
                if not _is_streamed(model):
                    if name == "compiled":
                        pack_weights(model)
                        use_compiled_attention(model)
                    use_lean_layers(model, _STEPS[name])
            return name
        if kernels == name:
            warnings.warn(
                f"the {name} kernels are for {needs}, got {obstacle}: the pass stays as Transformers "
                "computes it",
                stacklevel=2,
            )
    return "eager"


_NEEDS: Mapping[KernelsInUse, str] = MappingProxyType(
    {
        "graphs": "a model on a CUDA device",
        "compiled": "float32 on a CPU with GNU's OpenMP",
        "fast": "float32 or float64 on a CPU with MKL",
    }
)


def _is_streamed(model: PreTrainedModel) -> bool:
    """Whether weights are brought in at every call."""
    return any(weight.is_meta for weight in model.parameters())


def _obstacle(model: PreTrainedModel, name: KernelsInUse) -> str | None:
    if name == "graphs":
        others = {weight.device.type for weight in model.parameters()} - {"cuda"}
        return f"weights on {', '.join(sorted(others))}" if others else None
    compiled = name == "compiled"
    if model.device.type != "cpu":
        return f"the device {model.device.type}"
    if model.dtype not in ((torch.float32,) if compiled else (torch.float32, torch.float64)):
        return str(model.dtype).removeprefix("torch.")
    if compiled and not has_openmp():
        return "a torch without it"
    if not compiled and not torch.backends.mkl.is_available():
        return "a torch without MKL"
    return None
