"""Drafters made from what was chosen, for one target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from speclight.drafting.drafter_choices import (
    DrafterChoice,
    Eagle3,
    LayerSkip,
    Lookahead,
    Medusa,
    Model,
    NGram,
    Oracle,
    Plain,
    TwoStage,
)
from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.shipped import head_for
from speclight.drafting.growth_start import growth_start
from speclight.drafting.layer_skip import early_exit, layers_by_default
from speclight.drafting.lookahead import LookaheadLaw
from speclight.drafting.medusa.law import MedusaLaw
from speclight.drafting.medusa.loading import load_medusa_heads
from speclight.drafting.model_law import ModelLaw, SharedCacheLaw
from speclight.drafting.ngram import NgramLaw
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.protocol import Drafter, LawSource
from speclight.drafting.tree_choices import BestFirst, TreeChoice
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.drafting.two_stage import TwoStageLaw
from speclight.drafting.vocabulary import same_vocabulary, shared_vocabulary
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.packed_weights import round_weights
from speclight.models.sampling import SamplingSettings
from speclight.models.weights import load_weights
from speclight.trees.draft_tree import DraftKind


def new_drafter(
    choice: DrafterChoice,
    target: CausalLM,
    tree: TreeChoice | None = None,
    sampling: SamplingSettings | None = None,
) -> Drafter:
    """A fresh drafter for this target; it serves one text at a time. See `drafter_maker`."""
    return drafter_maker(choice, target, tree, sampling)()


def drafter_maker(
    choice: DrafterChoice,
    target: CausalLM,
    tree: TreeChoice | None = None,
    sampling: SamplingSettings | None = None,
) -> Callable[[], Drafter]:
    """Makes drafters for this target, each for one text at a time; they share all weights.

    tree: BestFirst() if None. sampling: how the target is sampled, SamplingSettings() if None. End-of-text
    tokens are never drafted. Raises InvalidInput for layers that the target does not have, VocabularyMismatch
    for a model that does not speak the target's tokens, and what loading weights raises.
    """
    if isinstance(choice, Plain):
        return NoDrafter
    tree = BestFirst() if tree is None else tree
    law_for_a_text = law_maker(choice, target, sampling, tree.kind)
    start, grows = growth_start(tree, target), tree.kind == "deterministic"
    return lambda: TreeDrafter(law_for_a_text(), start, grows=grows, never_drafted=target.end_of_text)


def law_source(
    choice: DrafterChoice,
    target: CausalLM,
    sampling: SamplingSettings | None = None,
    kind: DraftKind = "deterministic",
) -> LawSource:
    """The drafter's law alone, without a tree, for one text.

    Raises InvalidInput for plain decoding, which has none, and what `drafter_maker` raises.
    """
    return law_maker(choice, target, sampling, kind)()


def law_maker(
    choice: DrafterChoice, target: CausalLM, sampling: SamplingSettings | None, kind: DraftKind
) -> Callable[[], LawSource]:
    """Makes law sources, each for one text, that share all weights. Raises as `law_source` does."""
    sampling = SamplingSettings() if sampling is None else sampling
    match choice:
        case Plain():
            raise InvalidInput("got no drafter (none), expected one with a law; choose another")
        case NGram():
            return NgramLaw
        case Lookahead():
            return LookaheadLaw
        case Model() | LayerSkip():
            return _model_law(choice, target, law_sampling(sampling, kind))
        case TwoStage(model):
            model_law = _model_law(model, target, law_sampling(sampling, kind))
            return lambda: TwoStageLaw(model_law(), NgramLaw())
        case Eagle3(weights):
            head = head_for(target, weights)
            return partial(Eagle3Law, "eagle3", head.network, head.target_ids, head.static_passes)
        case Medusa(weights):
            return partial(MedusaLaw, "medusa", load_medusa_heads(weights, target))
        case Oracle():
            # Exactly the law that is verified: at temperature 0 that is a chain which is always accepted.
            return partial(SharedCacheLaw, "oracle", target, same_vocabulary(target, target), sampling)


def law_sampling(sampling: SamplingSettings, kind: DraftKind) -> SamplingSettings:
    """How a drafting model's logits become the law that trees are grown from.

    Samples: as the target's do, so that both laws are processed alike. Deterministic drafts: at the target's
    temperature, without top-k and top-p, which would only leave room in the tree unused; for greedy decoding
    at temperature 1, because the question is which token the target may find best, and the drafter's law
    answers that, not its own certainty.
    """
    return SamplingSettings(sampling.temperature or 1.0) if kind == "deterministic" else sampling


def _model_law(
    choice: Model | LayerSkip, target: CausalLM, sampling: SamplingSettings
) -> Callable[[], ModelLaw]:
    if isinstance(choice, LayerSkip):
        layers = layers_by_default(target) if choice.layers is None else choice.layers
        model = early_exit(target, layers)
        return partial(SharedCacheLaw, "layer_skip", model, same_vocabulary(model, target), sampling)
    model = choice.weights
    if not isinstance(model, CausalLM):
        dtype = str(target.model.dtype).removeprefix("torch.")
        # A target's streamed layers keep it from fast kernels; its drafter's lie in memory.
        kernels = target.kernels if target.loaded.offload is None else "auto"
        loaded = load_weights(model, device=str(target.device), dtype=dtype)
        if target.kernels == "compiled":
            round_weights(loaded.model)
        model = CausalLM(loaded, kernels)
    tokens = (same_vocabulary if choice.vocabulary == "same" else shared_vocabulary)(model, target)
    return partial(ModelLaw, "model", model, tokens, sampling)
