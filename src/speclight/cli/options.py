"""Options that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.progress import waiting
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.measure.prompts import Prompt
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
    # Read once, when torch is first imported. Threads that spin while they wait slow a pass down several
    # times over as soon as anything else runs on the machine (docs/LAB_LOG.md, 2026-11-22).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with waiting(f"loading {options.target}; the first use of a GGUF converts it once"):
        import torch

        from speclight.models.load import load

        if options.threads is not None:
            torch.set_num_threads(options.threads)
        return load(options.target, device=options.device, dtype=options.dtype)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """Which prompts; a field of the options of every command that reads a set of them."""

    prompts: tuple[Path, ...] = ()
    """Question files in the EAGLE or Spec-Bench format (JSON lines); the shipped prompts if not given."""
    families: tuple[str, ...] = ()
    """Only these prompt families, such as code or qa; all if not given."""


def read_prompt_options(options: PromptOptions) -> tuple[Prompt, ...]:
    """The prompts asked for. Raises InvalidInput for malformed files, unknown families, ids met twice."""
    from speclight.measure.prompts import read_prompts, select, shipped_prompts

    found = shipped_prompts() if not options.prompts else ()
    for path in options.prompts:
        found += read_prompts(path)
    names = [prompt.prompt_id for prompt in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(
            f"prompt id {twice[0]!r} stands in more than one of the files, expected each id once; give the "
            "files different categories or question ids"
        )
    return select(found, options.families) if options.families else found
