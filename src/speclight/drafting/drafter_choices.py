"""The drafters that can be chosen, and what each needs to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM

Vocabulary = Literal["same", "shared"]


@dataclass(frozen=True, slots=True)
class Plain:
    """No drafter: plain decoding through the same loop."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True)
class NGram:
    """Prompt lookup: what followed the text's last tokens when they stood in it before."""

    name: ClassVar[str] = "ngram"


@dataclass(frozen=True, slots=True)
class Lookahead:
    """N-grams learned from the target's own scores of rejected drafts."""

    name: ClassVar[str] = "lookahead"


@dataclass(frozen=True, slots=True)
class Model:
    """Another, smaller language model.

    weights: what `load` takes by name, or a model already loaded. vocabulary: "same" demands the target's
    tokens, "shared" drafts those that both have. Raises InvalidInput for another vocabulary.
    """

    weights: str | CausalLM
    vocabulary: Vocabulary = "same"
    name: ClassVar[str] = "model"

    def __post_init__(self) -> None:
        if self.weights is None or self.weights == "":
            raise InvalidInput(
                f"got {self.weights!r} as weights of a drafting model, expected a folder, a .gguf file, "
                "a hub id or a loaded model; give one"
            )
        if self.vocabulary not in get_args(Vocabulary):
            raise InvalidInput(f"got vocabulary {self.vocabulary!r}, expected same or shared")


@dataclass(frozen=True, slots=True)
class LayerSkip:
    """The target's own first layers; as many as `layers_by_default` says if None."""

    layers: int | None = None
    name: ClassVar[str] = "layer_skip"

    def __post_init__(self) -> None:
        if self.layers is not None:
            check_whole_numbers(self, "layers", at_least=0)  # how many there may be, only the target tells


@dataclass(frozen=True, slots=True)
class TwoStage:
    """A drafting model that is itself sped up by prompt lookup; its drafts are those of the model alone."""

    model: Model | LayerSkip = field(default_factory=LayerSkip)
    name: ClassVar[str] = "two_stage"

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model | LayerSkip):
            raise InvalidInput(
                f"got a two-stage drafter of {self.model!r}, expected Model or LayerSkip; write "
                "TwoStage(Model(weights))"
            )


@dataclass(frozen=True, slots=True)
class Eagle3:
    """An EAGLE-3 head. weights: its folder; the shipped head for the default target if None."""

    weights: str | None = None
    name: ClassVar[str] = "eagle3"

    def __post_init__(self) -> None:
        if self.weights is not None:
            _check_folder(self.weights)


@dataclass(frozen=True, slots=True)
class Medusa:
    """Medusa heads. weights: their folder."""

    weights: str
    name: ClassVar[str] = "medusa"

    def __post_init__(self) -> None:
        _check_folder(self.weights)


@dataclass(frozen=True, slots=True)
class Oracle:
    """The target as its own drafter: for analysis, and never a way to decode faster."""

    name: ClassVar[str] = "oracle"


DrafterChoice = Plain | Model | NGram | LayerSkip | Lookahead | TwoStage | Eagle3 | Medusa | Oracle

NO_DRAFTER = Plain.name
DRAFTERS: dict[str, type[DrafterChoice]] = {
    choice.name: choice for choice in (Model, NGram, LayerSkip, Lookahead, TwoStage, Eagle3, Medusa, Oracle)
}
FOR_ANALYSIS = frozenset({Oracle.name})


def _check_folder(weights: object) -> None:
    if not isinstance(weights, str):
        raise InvalidInput(
            f"got weights {weights!r}, expected a name; a head is no model: give its folder as a string"
        )
