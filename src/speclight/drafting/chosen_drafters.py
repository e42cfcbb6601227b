"""Which drafters a comparison takes in: those that need no weights, and those whose weights are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speclight.drafting.drafter_choices import DRAFTERS, NO_DRAFTER, DrafterChoice
from speclight.drafting.drafter_names import NEED_WEIGHTS, drafter_named, name_and_weights
from speclight.drafting.eagle3.shipped import shipped_head_folder
from speclight.errors import InvalidInput
from speclight.models.cache_folder import file_sha256
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import DEFAULT_NAME

ALL_DRAFTERS = (NO_DRAFTER, *DRAFTERS)
EXITING = ("layer_skip", "two_stage")
WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".gguf")


@dataclass(frozen=True, slots=True)
class ComparedDrafter:
    """A drafter by name, with the weights it was given and the exit of one that drafts with first layers."""

    name: str
    weights: str | None = None
    layers: int | None = None

    @property
    def choice(self) -> DrafterChoice:
        """What to make it from. Raises InvalidInput for weights or layers that do not fit the name."""
        return drafter_named(self.name, self.weights, self.layers)

    @property
    def label(self) -> str:
        """The name, and of what was given besides the name of the file or folder, or the exit."""
        if self.layers is not None:
            return f"{self.name}-{self.layers}"
        return self.name if self.weights is None else f"{self.name}-{Path(self.weights).name}"

    def plan(self) -> dict[str, object]:
        """What identifies it in the plan of a record folder: the bytes of its weights, not where they lie."""
        return {"name": self.name, "layers": self.layers, "weights": self._weight_hashes()}

    def _weight_hashes(self) -> dict[str, str] | str | None:
        if self.weights is None and self.name != "eagle3":
            return None
        given = shipped_head_folder() if self.weights is None else Path(self.weights).expanduser()
        if not given.exists():
            return self.weights  # a hub id
        files = sorted(given.iterdir()) if given.is_dir() else [given]
        return {file.name: file_sha256(file) for file in files if file.suffix in WEIGHT_ENDINGS}


def compared_drafters(
    target: CausalLM,
    choosable: Sequence[str],
    given: Sequence[str] = (),
    layers: int | None = None,
    *,
    several: bool = False,
) -> tuple[ComparedDrafter, ...]:
    """The drafters given, or if none are all that need no weights, in the order of `choosable`.

    given: NAME or NAME=WEIGHTS each; eagle3 has weights of its own for the default target. layers: the exit
    of layer_skip, and of two_stage without weights. several: whether a name may be given with several
    weights. Raises InvalidInput for a name that is not choosable or given twice, for weights that a drafter
    does not take, and for missing ones.
    """
    weights: dict[str, list[str | None]] = {}
    for name, own in map(name_and_weights, given):
        weights.setdefault(name, []).append(own)
    is_twice = any(len(set(own) if several else own[:1]) < len(own) for own in weights.values())
    if is_twice or not set(weights) <= set(choosable):
        raise InvalidInput(f"got drafters {', '.join(given)}; choose each once, among {', '.join(choosable)}")
    without = set(NEED_WEIGHTS) if target.name == DEFAULT_NAME else {*NEED_WEIGHTS, "eagle3"}
    chosen: list[ComparedDrafter] = []
    for name in choosable:
        for own in weights.get(name, () if weights else (None,)):
            lacks_weights = name in without and own is None
            if lacks_weights and weights:
                raise InvalidInput(f"drafter {name!r} needs weights, got none; give {name}=FOLDER")
            if lacks_weights:
                continue
            takes_layers = name in EXITING and own is None
            chosen.append(ComparedDrafter(name, own, layers if takes_layers else None))
    return tuple(chosen)


def labelled_drafters(
    target: CausalLM, choosable: Sequence[str], given: Sequence[str] = (), exits: Sequence[int] = ()
) -> tuple[ComparedDrafter, ...]:
    """As `compared_drafters`, several weights and exits of a name among them, each with a label of its own.

    exits: of layer_skip, and of two_stage without weights, one drafter each; their own choice if empty.
    Raises InvalidInput too for weights of one name whose files or folders are called alike.
    """
    chosen = tuple(
        replace(drafter, layers=layers)
        for drafter in compared_drafters(target, choosable, given, several=True)
        for layers in (exits if exits and drafter.name in EXITING and drafter.weights is None else (None,))
    )
    if len({drafter.label for drafter in chosen}) < len(chosen):
        raise InvalidInput(
            f"got drafters {', '.join(given)}, expected names of weights that differ; rename a folder"
        )
    return chosen
