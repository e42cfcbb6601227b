"""The drafters by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.shipped import head_for
from speclight.drafting.layer_skip import early_exit, layers_by_default
from speclight.drafting.lookahead import LookaheadLaw
from speclight.drafting.medusa.law import MedusaLaw
from speclight.drafting.medusa.loading import load_medusa_heads
from speclight.drafting.model_law import ModelLaw, SharedCacheLaw
from speclight.drafting.names import NO_DRAFTER as NO_DRAFTER
from speclight.drafting.names import OPTIONS
from speclight.drafting.ngram import NgramLaw
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.protocol import Drafter, LawSource
from speclight.drafting.settings import DrafterSettings
from speclight.drafting.tree_choice import growth_start, tree_named
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.drafting.two_stage import TwoStageLaw
from speclight.drafting.vocabulary import same_vocabulary, shared_vocabulary
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.weights import load_weights

# Makes a law source for one text. Making such a maker loads weights; makers' sources share them.
SourceMaker = Callable[[], LawSource]


@dataclass(frozen=True, slots=True)
class DrafterChoice:
    """How a drafter's law is made, and which settings it has a use for besides those of its tree.

    is_for_analysis: not a way to decode faster, whatever tokens per call it reaches.
    """

    source_maker: Callable[[CausalLM, DrafterSettings], SourceMaker]
    options: frozenset[str] = frozenset()
    is_for_analysis: bool = False

    def source(self, target: CausalLM, settings: DrafterSettings) -> LawSource:
        """The law for one text."""
        return self.source_maker(target, settings)()


def _ngram(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    return NgramLaw


def _lookahead(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    return LookaheadLaw


def _model(target: CausalLM, settings: DrafterSettings) -> Callable[[], ModelLaw]:
    if settings.weights is None:
        raise InvalidInput("a drafter model needs weights, got none; give a folder, a .gguf file or a hub id")
    model = settings.weights
    if not isinstance(model, CausalLM):
        dtype = str(target.model.dtype).removeprefix("torch.")
        model = CausalLM(load_weights(model, device=str(target.device), dtype=dtype))
    tokens = (same_vocabulary if settings.vocabulary == "same" else shared_vocabulary)(model, target)
    return partial(ModelLaw, "model", model, tokens, settings.law_sampling)


def _layer_skip(target: CausalLM, settings: DrafterSettings) -> Callable[[], ModelLaw]:
    model = early_exit(target, layers_by_default(target) if settings.layers is None else settings.layers)
    tokens = same_vocabulary(model, target)
    return partial(SharedCacheLaw, "layer_skip", model, tokens, settings.law_sampling)


def _two_stage(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    if settings.weights is not None and settings.layers is not None:
        raise InvalidInput("a two-stage drafter has one model, got weights and layers; give one of them")
    model_law = (_layer_skip if settings.weights is None else _model)(target, settings)
    return lambda: TwoStageLaw(model_law(), NgramLaw())


def _oracle(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    # Exactly the law that is verified: at temperature 0 that is a chain which is always accepted.
    tokens = same_vocabulary(target, target)
    return partial(SharedCacheLaw, "oracle", target, tokens, settings.sampling)


def _eagle3(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    head = head_for(target, _head_folder(settings))
    return partial(Eagle3Law, "eagle3", head.network, head.target_ids)


def _medusa(target: CausalLM, settings: DrafterSettings) -> SourceMaker:
    folder = _head_folder(settings)
    if folder is None:
        raise InvalidInput("Medusa heads need weights, got none; give their folder")
    return partial(MedusaLaw, "medusa", load_medusa_heads(folder, target))


def _head_folder(settings: DrafterSettings) -> str | None:
    if isinstance(settings.weights, CausalLM):
        raise InvalidInput("a head is no model of its own, got one as weights; give the folder of a head")
    return settings.weights


DRAFTERS: dict[str, DrafterChoice] = {
    "model": DrafterChoice(_model, OPTIONS["model"]),
    "ngram": DrafterChoice(_ngram, OPTIONS["ngram"]),
    "layer_skip": DrafterChoice(_layer_skip, OPTIONS["layer_skip"]),
    "lookahead": DrafterChoice(_lookahead, OPTIONS["lookahead"]),
    "two_stage": DrafterChoice(_two_stage, OPTIONS["two_stage"]),
    "eagle3": DrafterChoice(_eagle3, OPTIONS["eagle3"]),
    "medusa": DrafterChoice(_medusa, OPTIONS["medusa"]),
    "oracle": DrafterChoice(_oracle, OPTIONS["oracle"], is_for_analysis=True),
}
# `sampling` is that of the text being decoded: drafters without a model take it and have nothing to process.
ALWAYS_TAKEN = frozenset({"tree", "kind", "sampling"})


def drafter_named(name: str, target: CausalLM, settings: DrafterSettings | None = None) -> Drafter:
    """A fresh drafter of that name for this target; it serves one text at a time. See `drafter_maker`."""
    return drafter_maker(name, target, settings)()


def drafter_maker(
    name: str, target: CausalLM, settings: DrafterSettings | None = None
) -> Callable[[], Drafter]:
    """Makes drafters of that name for this target, each for one text at a time; they share all weights.

    End-of-text tokens are never drafted. settings: DrafterSettings() if None.
    Raises InvalidInput listing the known names, or for a setting the drafter or its tree has no use for.
    """
    settings = DrafterSettings() if settings is None else settings
    if name == NO_DRAFTER:
        _check_used(name, settings, frozenset())
        return NoDrafter
    if name not in DRAFTERS:
        raise InvalidInput(f"no drafter is called {name!r}; known: {', '.join([NO_DRAFTER, *DRAFTERS])}")
    choice = DRAFTERS[name]
    _check_used(name, settings, choice.options | tree_named(settings.tree_name).options)
    source_for_a_text = choice.source_maker(target, settings)
    return lambda: TreeDrafter(
        source_for_a_text(), growth_start(settings, target), grows=settings.kind == "deterministic"
    )


def law_source(name: str, target: CausalLM, settings: DrafterSettings | None = None) -> LawSource:
    """The drafter's law alone, without a tree. Raises InvalidInput as `drafter_maker` does."""
    settings = DrafterSettings() if settings is None else settings
    if name not in DRAFTERS:
        raise InvalidInput(f"no drafter with a law is called {name!r}; known: {', '.join(DRAFTERS)}")
    choice = DRAFTERS[name]
    _check_used(name, settings, choice.options)
    return choice.source(target, settings)


def _check_used(name: str, settings: DrafterSettings, options: frozenset[str]) -> None:
    unused = settings.given() - options - ALWAYS_TAKEN
    if unused:
        raise InvalidInput(
            f"drafter {name!r} with the tree {settings.tree_name!r} has no use for "
            f"{', '.join(sorted(unused))}; leave it out"
        )
