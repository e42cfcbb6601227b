"""Which drafters a comparison takes in: those that need no weights, and those whose weights are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.drafting.drafters import DRAFTERS, NO_DRAFTER
from speclight.drafting.eagle3.shipped import shipped_head_folder
from speclight.drafting.settings import DrafterSettings
from speclight.errors import InvalidInput
from speclight.models.cache_folder import file_sha256
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import DEFAULT_NAME
from speclight.models.sampling import SamplingSettings

ALL_DRAFTERS = (NO_DRAFTER, *DRAFTERS)
NEEDS_WEIGHTS = ("model", "medusa")
WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".gguf")


@dataclass(frozen=True, slots=True)
class ComparedDrafter:
    """A drafter by name, with the weights it was given and the exit of one that drafts with first layers."""

    name: str
    weights: str | None = None
    layers: int | None = None

    def settings(self, sampling: SamplingSettings) -> DrafterSettings:
        """Deterministic best-first drafts for texts of that sampling."""
        return DrafterSettings(sampling=sampling, weights=self.weights, layers=self.layers)

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
    names: Sequence[str] = (),
    weights: Sequence[str] = (),
    layers: int | None = None,
) -> tuple[ComparedDrafter, ...]:
    """The drafters named, or without names all that can be made, in the order of `choosable`.

    weights: "NAME=FOLDER" each; eagle3 has weights of its own for the default target. layers: the exit of
    layer_skip, and of two_stage without weights. Raises InvalidInput for a name that is not choosable, one
    given twice, weights that cannot be read as such or that no drafter takes, and missing weights.
    """
    unknown = [name for name in names if name not in choosable]
    if unknown or len(set(names)) < len(names):
        raise InvalidInput(f"got drafters {', '.join(names)}; choose each once, among {', '.join(choosable)}")
    given = _weights_by_name(weights, names or choosable)
    without = set(NEEDS_WEIGHTS) if target.name == DEFAULT_NAME else {*NEEDS_WEIGHTS, "eagle3"}
    chosen: list[ComparedDrafter] = []
    for name in choosable:
        lacks_weights = name in without and name not in given
        if lacks_weights and name in names:
            raise InvalidInput(f"drafter {name!r} needs weights, got none; give {name}=FOLDER")
        if lacks_weights or (names and name not in names):
            continue
        takes_layers = name in ("layer_skip", "two_stage") and name not in given
        chosen.append(ComparedDrafter(name, given.get(name), layers if takes_layers else None))
    return tuple(chosen)


def _weights_by_name(weights: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for item in weights:
        name, equals, folder = item.partition("=")
        takes_weights = name in DRAFTERS and "weights" in DRAFTERS[name].options
        if not (equals and folder and takes_weights and name in names) or name in given:
            raise InvalidInput(
                f"got the drafter weights {item!r}, expected NAME=FOLDER, once for each drafter that is "
                "compared and takes weights (model, two_stage, eagle3, medusa)"
            )
        given[name] = folder
    return given
