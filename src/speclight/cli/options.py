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
    from speclight.drafting.settings import DrafterSettings
    from speclight.measure.prompts import Prompt
    from speclight.models.causal_lm import CausalLM
    from speclight.verification.rule import VerifyRule

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
    # times over as soon as anything else runs on the machine (docs/results/lab_log.md, 2026-11-22).
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


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DraftingOptions:
    """Drafter and rule; a field of the options of every command that decodes."""

    drafter: str = "ngram"
    """Who drafts: none (plain decoding), ngram, lookahead, layer_skip, model, two_stage, eagle3, medusa, or
    oracle."""
    rule: str = "target_sample"
    """How drafts are verified: target_sample, greedy, rejection, traversal, race, ...; typical is lossy."""
    budget: int = 8
    """Node budget P: positions scored in one target call, root included; a ceiling."""
    tree: str | None = None
    """Shape of the drafts: best_first, chain, batch and others; the default of the kind if not given."""
    kind: str | None = None
    """How candidates are chosen: deterministic, with_replacement, without_replacement, race and others; the
    first one that the rule verifies if not given."""
    draft_model: str | None = None
    """Weights of the drafters model and two_stage: a folder, a .gguf file, or a hub id. Of eagle3 and medusa:
    the folder of a head; eagle3 has one for the default target."""
    draft_layers: int | None = None
    """How many of the target's first layers draft, for layer_skip and two_stage."""


def drafter_settings(options: DraftingOptions, rule: VerifyRule) -> DrafterSettings:
    """Settings for `drafter_for`. Raises InvalidInput for a kind that does not exist or the rule refuses."""
    from typing import get_args

    from speclight.decoding.fitting_drafters import default_kind
    from speclight.drafting.settings import DrafterSettings
    from speclight.trees.draft_tree import DraftKind

    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    chosen = [kind for kind in kinds if kind == (options.kind or default_kind(rule))]
    if not chosen or chosen[0] not in rule.draft_kinds:
        raise InvalidInput(
            f"got kind {options.kind!r} for the rule {rule.name!r}, expected one of "
            f"{', '.join(kind for kind in kinds if kind in rule.draft_kinds)}; leave it out for the first"
        )
    return DrafterSettings(
        tree=options.tree, kind=chosen[0], weights=options.draft_model, layers=options.draft_layers
    )


def parse_budgets(text: str) -> tuple[int, ...]:
    """The node budgets in `8` or `8,16,60`. Raises InvalidInput for anything but integers of at least 1."""
    try:
        budgets = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(
            f"--budget needs an integer or several between commas, got {text!r}; write --budget 60 or "
            "--budget 8,16,60"
        ) from error
    if min(budgets) < 1:
        raise InvalidInput(
            f"--budget counts the positions scored in one target call, the root included, so it must be at "
            f"least 1, got {min(budgets)}; 1 is plain decoding"
        )
    return budgets
