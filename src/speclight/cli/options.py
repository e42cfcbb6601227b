"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from speclight.cli.progress import waiting
from speclight.cli.threads import set_waiting
from speclight.decoding.settings import LARGEST_BUDGET
from speclight.errors import InvalidInput, ModelNotFound, StorageError
from speclight.models.default_target import DEFAULT_TARGET, GGUF_SHA256
from speclight.writing import could_not_write

if TYPE_CHECKING:
    from speclight.drafting.drafter_choices import DrafterChoice
    from speclight.drafting.tree_choices import TreeChoice
    from speclight.measure.prompts import Prompt
    from speclight.models.causal_lm import CausalLM
    from speclight.models.kernels import Kernels
    from speclight.models.offload import Offload
    from speclight.trees.draft_tree import DraftKind
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
    """Type of weights and activations: float64, float32, bfloat16 or float16."""
    threads: int | None = None
    """CPU threads for the model's arithmetic; torch decides if not given."""
    kernels: str = "auto"
    """How the model's passes are computed: graphs (small passes recorded as CUDA graphs), compiled (products
    compiled for this machine, fewer operations: float32 on a CPU), fast (the same with MKL's products for few
    rows), eager (as Transformers does), or auto, the first of them that can be. Logits differ in the last
    bits."""
    offload: str | None = None
    """Stream the target's layers in at every call: disk (from its files) or cpu (from the host's memory)."""


# As torch and the hub name them; what neither is nor exists is told before anything is loaded.
DEVICE = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mtia|meta)(:\d+)?")
DTYPES = ("float64", "float32", "bfloat16", "float16")
KERNELS = ("auto", "graphs", "compiled", "fast", "eager")
OFFLOAD = ("disk", "cpu")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def check_target(options: TargetOptions) -> None:
    """Raise InvalidInput or ModelNotFound for a target that cannot be, before anything heavy is imported."""
    processors = os.cpu_count() or 1
    if options.threads is not None and not 1 <= options.threads <= processors:
        raise InvalidInput(
            f"--threads must be at least 1, got {options.threads}; omit it to let torch decide"
            if options.threads < 1
            else f"--threads must be at most {processors}, the processors of this machine, got "
            f"{options.threads}; more would wait for each other"
        )
    if options.dtype not in DTYPES:
        raise InvalidInput(f"got --dtype {options.dtype!r}, expected one of {', '.join(DTYPES)}")
    if options.kernels not in KERNELS:
        raise InvalidInput(f"got --kernels {options.kernels!r}, expected one of {', '.join(KERNELS)}")
    if not DEVICE.fullmatch(options.device):
        raise InvalidInput(
            f"got --device {options.device!r}, expected one as torch names it; say cpu or cuda:1"
        )
    if options.offload not in (None, *OFFLOAD):
        raise InvalidInput(f"got --offload {options.offload!r}, expected one of {', '.join(OFFLOAD)}")
    check_weights("--target", options.target)
    check_cache(options.target)


def check_run(
    target: TargetOptions,
    out: Path,
    drafters: Sequence[str] = (),
    node_budgets: tuple[int, ...] | None = None,
) -> None:
    """Look at what commands that run a target and fill a folder are told, before anything is loaded.

    drafters: NAME or NAME=WEIGHTS each. node_budgets: None where there are none to check. Raises what
    `check_budgets`, `read_drafter_option`, `check_target` and `check_writable` raise.
    """
    if node_budgets is not None:
        check_budgets(node_budgets)
    for drafter in drafters:
        read_drafter_option(drafter)
    check_target(target)
    check_writable(out)


def check_cache(weights: str) -> None:
    """Raise StorageError where a GGUF must be converted and the cache folder cannot be written."""
    from speclight.models.cache_folder import cache_folder

    if weights != DEFAULT_TARGET and not weights.lower().endswith(".gguf"):
        return
    try:
        check_writable(cache_folder(), elsewhere="set SPECLIGHT_CACHE to another folder")
    except StorageError:
        if not _is_converted(weights):
            raise


def _is_converted(weights: str) -> bool:
    """Whether the cache holds it already, which for a file is found out by its hash."""
    from speclight.models.cache_folder import conversion_folder
    from speclight.models.gguf_shards import gguf_sha256

    is_default = weights == DEFAULT_TARGET
    sha256 = GGUF_SHA256 if is_default else gguf_sha256(Path(weights).expanduser())
    return conversion_folder(sha256).is_dir()


def check_weights(flag: str, name: str) -> None:
    """Raise ModelNotFound for what is no folder of a model, no .gguf file and no hub id."""
    is_file = name.endswith((".gguf", ".safetensors"))
    if (is_file or not HUB_NAME.fullmatch(name)) and not Path(name).expanduser().exists():
        raise ModelNotFound(
            f"got {flag} {name!r}, expected a folder or file that exists, or a hub id; there is no such "
            f"{'file' if is_file else 'folder'}"
        )
    path = Path(name).expanduser()
    if name == DEFAULT_TARGET or not path.exists():
        return
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise ModelNotFound(f"got {flag} {name!r}, expected a folder or a .gguf file; give its folder")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ModelNotFound(
            f"got {flag} {name!r}, expected a folder with config.json and weights; give that folder"
        )


def check_writable(*paths: Path, elsewhere: str = "give another folder") -> None:
    """Raise StorageError for folders that cannot be written, before there is anything to write."""
    for path in paths:
        folder = path.expanduser().absolute()
        standing = next(place for place in (folder, *folder.parents) if place.exists())
        if not standing.is_dir():
            raise StorageError(f"{path} cannot be written: {standing.name} is a file; {elsewhere}")
        try:
            with TemporaryFile(dir=standing):  # what permissions and mounts allow is known by trying
                pass
        except OSError as error:
            raise could_not_write(f"below {path}", error, elsewhere) from error


def check_picture(flag: str, path: Path) -> None:
    """Raise InvalidInput for a picture of another format than those that are drawn."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise InvalidInput(f"got {flag} {path.name}, expected a name that ends in .png or .svg")
    check_writable(path.parent)


def load_target(options: TargetOptions) -> CausalLM:
    """The target asked for, after setting the number of CPU threads. Raises what `load_weights` raises."""
    check_target(options)
    set_waiting()
    with waiting(f"loading {options.target}; the first use of a GGUF converts it once"):
        import torch

        from speclight.models.load import load

        if options.threads is not None:
            torch.set_num_threads(options.threads)
        return load(
            options.target,
            device=options.device,
            dtype=options.dtype,
            kernels=cast("Kernels", options.kernels),
            offload=cast("Offload | None", options.offload),
        )


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
    from collections import Counter

    from speclight.measure.prompts import read_prompts, select, shipped_prompts

    found = shipped_prompts() if not options.prompts else ()
    for path in options.prompts:
        found += read_prompts(path)
    names = Counter(prompt.prompt_id for prompt in found)
    twice = sorted(name for name, times in names.items() if times > 1)
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
    """Who drafts, as NAME or NAME=WEIGHTS: none (plain decoding), ngram, lookahead, layer_skip, model,
    two_stage, eagle3, medusa or oracle. WEIGHTS of model and two_stage: a folder, a .gguf file or a hub id;
    of eagle3 and medusa: the folder of a head. eagle3 has one for the default target."""
    rule: str = "target_sample"
    """How drafts are verified: target_sample, greedy, rejection, rejection_without_replacement, block,
    traversal, k_seq, race, race_with_replacement, gls; typical is lossy."""
    tree: str | None = None
    """Tree of the drafts, as NAME or NAME=NUMBERS: best_first, eagle2 or eagle2=DEPTH,CHILDREN,PER_LEVEL,
    threshold=PROBABILITY, chain, batch, static=RATE,RATE,... or rank=RATE,RATE,... (how often each rank is
    accepted), lists=NOISE_SETS of the kind gls; best_first, or chain for samples and races, if not given."""
    kind: str | None = None
    """How candidates are chosen: deterministic, with_replacement, without_replacement, race,
    race_with_replacement or gls; the first one that the rule verifies if not given."""
    layers: int | None = None
    """How many of the target's first layers draft, for layer_skip and two_stage."""


@dataclass(frozen=True, slots=True)
class Drafting:
    """What DraftingOptions ask for."""

    drafter: DrafterChoice
    tree: TreeChoice
    rule: VerifyRule


def read_drafting(options: DraftingOptions) -> Drafting:
    """The drafter, tree and rule asked for; nothing is loaded yet.

    Raises InvalidInput for an unknown name, missing weights, and a kind or tree that does not fit the rule.
    """
    from speclight.drafting.tree_names import read_tree
    from speclight.verification.rules import rule_named

    rule = rule_named(options.rule)
    drafter = read_drafter_option(options.drafter, options.layers)
    return Drafting(drafter, read_tree(options.tree, _kind(options.kind, rule)), rule)


def _kind(asked: str | None, rule: VerifyRule) -> DraftKind:
    from typing import get_args

    from speclight.trees.draft_tree import DraftKind
    from speclight.verification.rule import default_kind

    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    chosen = [kind for kind in kinds if kind == (asked or default_kind(rule))]
    if not chosen or chosen[0] not in rule.draft_kinds:
        raise InvalidInput(
            f"got kind {asked!r} for the rule {rule.name!r}, expected one of "
            f"{', '.join(kind for kind in kinds if kind in rule.draft_kinds)}; leave it out for the first"
        )
    return chosen[0]


def read_drafter_option(text: str, layers: int | None = None) -> DrafterChoice:
    """The drafter that NAME or NAME=WEIGHTS says; nothing is loaded yet.

    Raises InvalidInput for an unknown drafter and missing weights, ModelNotFound for weights that do not
    exist, StorageError for a GGUF that cannot be converted into the cache.
    """
    from speclight.drafting.drafter_names import name_and_weights, read_drafter

    _, weights = name_and_weights(text)
    if weights is not None:
        check_weights("--drafter", weights)
        check_cache(weights)
    return read_drafter(text, layers)


def check_budgets(budgets: tuple[int, ...]) -> None:
    """Raise InvalidInput unless there are node budgets, all of at least 1 and none beyond any window."""
    if not budgets or min(budgets) < 1:
        raise InvalidInput(
            "--budget counts the positions scored in one target call, the root included, so it must be at "
            f"least 1, got {min(budgets, default='none')}; 1 is plain decoding"
        )
    if max(budgets) > LARGEST_BUDGET:
        raise InvalidInput(
            f"--budget must be at most {LARGEST_BUDGET}, got {max(budgets)}; trees of more than some hundred "
            "nodes gain next to nothing"
        )
