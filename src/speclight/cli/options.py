"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM

JsonFlag = Annotated[
    bool,
    Parameter(negative="", help="Write one line of JSON to stdout, and everything else to stderr."),
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Which model is the target and how it runs; a field of the options of every command that runs one."""

    target: str = "default"
    """Target: default (SmolLM2-135M-Instruct, dequantised from Q4_1), a folder, a .gguf file, or a hub id."""
    device: str = "cpu"
    """Device, as torch names it: cpu, cuda, cuda:1, mps."""
    dtype: str = "float32"
    """Type of weights and activations: float32, bfloat16 or float16."""
    threads: int | None = None
    """CPU threads for the model's arithmetic; torch decides if not given."""


def load_target(options: TargetOptions) -> CausalLM:
    """The target asked for, after setting the number of CPU threads.

    Raises InvalidInput for fewer than 1 thread, and what `load_weights` raises.
    """
    if options.threads is not None and options.threads < 1:
        raise InvalidInput(
            f"--threads must be at least 1, got {options.threads}; omit it to let torch decide"
        )
    import torch

    from speclight.models.causal_lm import CausalLM
    from speclight.models.weights import load_weights

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return CausalLM(load_weights(options.target, device=options.device, dtype=options.dtype))
