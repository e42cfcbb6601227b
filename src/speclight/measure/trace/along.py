"""A target and several drafters at given starts of one text: what a trace is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from speclight.arrays import FloatArray
from speclight.drafting.along_text import AlongText
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.profile import ProfiledText
from speclight.measure.step_histogram import StepHistogram
from speclight.measure.trace.drafted import DraftedUnion, drafted_union
from speclight.measure.trace.scored import node_log_probs
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import window_numbers
from speclight.measure.trace.traced import TracedDrafter, TracedStart, TracedTree
from speclight.measure.true_limit import best_trees
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest
from speclight.models.readings import Readings
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.law_pairs import LawPair, pair_of_laws
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.tree_union import union_of


def traced_starts(
    model: CausalLM,
    text: ProfiledText,
    starts: Sequence[int],
    sources: Mapping[str, LawSource],
    settings: TraceSettings,
    sampling: SamplingSettings,
    histograms: Mapping[str, StepHistogram] | None = None,
) -> list[TracedStart]:
    """The target's best tree and each drafter's trees at the given starts of one text, scored together.

    text: written by the target; of its numbers only log_probs are used. starts: ascending indices of its
    tokens, those that calls would emit first. sources: the drafters' laws by name, made for this sampling;
    each is led along the text anew. sampling: the law of the target. histograms: by drafter; its laws at the
    starts are added, and what Lemma 7 asks about them is recorded.
    Raises InvalidInput for starts outside the text or out of order and for unknown growths, ContextOverflow
    where a tree leaves the context window.
    """
    (found,) = traced_texts(model, [(text, starts)], sources, settings, sampling, [histograms or {}])
    return found


def traced_texts(
    model: CausalLM,
    texts: Sequence[tuple[ProfiledText, Sequence[int]]],
    sources: Mapping[str, LawSource],
    settings: TraceSettings,
    sampling: SamplingSettings,
    histograms: Sequence[Mapping[str, StepHistogram]],
    readings: Readings | None = None,
) -> list[list[TracedStart]]:
    """`traced_starts` of each text with its starts, the best trees of all texts searched in step.

    histograms: one mapping for each text. readings: read the prompts, and may have read some before. All
    texts' caches are held at once, see `in_step`.
    """
    readings = readings or Readings(model, most_bytes=0)
    for text, starts in texts:
        _check_starts(text, starts)
    wanted = tuple(sorted({layer for source in sources.values() for layer in source.hidden_layers}))
    forests = [_forest(model, text, starts, sampling, wanted, readings) for text, starts in texts]
    tokens = [[_tokens_of(text)[root] for root in _roots(text, starts)] for text, starts in texts]
    found = best_trees(forests, tokens, settings.largest_budget, model.end_of_text)
    return [
        _traced_text(model, text, starts, forest, best, sources, settings, known)
        for (text, starts), forest, best, known in zip(texts, forests, found, histograms, strict=True)
    ]


def _forest(
    model: CausalLM,
    text: ProfiledText,
    starts: Sequence[int],
    sampling: SamplingSettings,
    hidden_layers: tuple[int, ...],
    readings: Readings,
) -> Forest:
    roots = _roots(text, starts)
    begun = readings.begun(text.prompt_token_ids, hidden_layers)
    return Forest(model, _tokens_of(text)[: roots[-1] + 1], roots, sampling, hidden_layers, begun)


def _tokens_of(text: ProfiledText) -> list[int]:
    return [*text.prompt_token_ids, *text.token_ids]


def _roots(text: ProfiledText, starts: Sequence[int]) -> list[int]:
    return [len(text.prompt_token_ids) + start - 1 for start in starts]


def _traced_text(
    model: CausalLM,
    text: ProfiledText,
    starts: Sequence[int],
    forest: Forest,
    best: Sequence[tuple[DraftTree, int]],
    sources: Mapping[str, LawSource],
    settings: TraceSettings,
    histograms: Mapping[str, StepHistogram],
) -> list[TracedStart]:
    """The starts of one text. best: its best trees, and the calls that their searches took."""
    drafters = {
        name: _drafted_along(model, text, starts, source, settings, forest, histograms.get(name))
        for name, source in sources.items()
    }
    forest.forget()
    by_start = _with_target(forest, drafters) if drafters else [{} for _ in starts]
    windows = window_numbers(starts)
    return [
        TracedStart(
            text.prompt_id,
            text.family,
            text.sample,
            text.turn,
            start,
            windows[place],
            text.token_ids[start : start + settings.largest_budget],
            tree.path_log_probs,
            tree.depths,
            by_start[place],
            calls,
        )
        for place, (start, (tree, calls)) in enumerate(zip(starts, best, strict=True))
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Drafted:
    """What one drafter drafted at one start, the coupling bound there, and the rest as in TracedDrafter."""

    union: DraftedUnion
    coupling: FloatArray
    ahead: FloatArray | None = None
    laws: LawPair | None = None


def _drafted_along(
    model: CausalLM,
    text: ProfiledText,
    starts: Sequence[int],
    source: LawSource,
    settings: TraceSettings,
    forest: Forest,
    histogram: StepHistogram | None,
) -> list[_Drafted]:
    """At each start. forest: of the target there. histogram: where the drafter's laws are added."""
    growths = {name: growth_start(read_tree(name, "deterministic"), model) for name in settings.growths}
    never, prompt = model.end_of_text, len(text.prompt_token_ids)
    along, features = AlongText(source, _tokens_of(text)), forest.features(source.hidden_layers)
    found: list[_Drafted] = []
    for place, start in enumerate(starts):
        along.stop(prompt + start, features)
        union = drafted_union(along, growths, settings.trees, never)
        ahead = slice(start, start + settings.lookahead)
        by_drafter = along.log_probs_ahead(text.token_ids[ahead], never)
        ratio = np.exp(np.cumsum(by_drafter) - np.cumsum(text.log_probs[ahead]))
        drafted = _Drafted(union, np.minimum(ratio, 1.0))
        if histogram is not None:
            pair = _pair_of_laws(forest.root_laws[place], along.law(), histogram, never)
            drafted = replace(drafted, ahead=by_drafter, laws=pair)
        found.append(drafted)
    return found


def _pair_of_laws(
    target: FloatArray, drafter: CandidateLaw, histogram: StepHistogram, never_drafted: Collection[int]
) -> LawPair:
    dense = np.zeros((1, len(target)))
    dense[0, drafter.tokens] = np.exp(drafter.log_probs)
    histogram.add(dense)
    return pair_of_laws(target, drafter.tokens, drafter.log_probs, sorted(never_drafted))


def _with_target(
    forest: Forest, drafters: Mapping[str, Sequence[_Drafted]]
) -> list[dict[str, TracedDrafter]]:
    """By start and drafter, with the target's law along all nodes, those of several drafters scored once."""
    of_starts = list(zip(*drafters.values(), strict=True))
    unions = [union_of([each.union.tree for each in own]) for own in of_starts]
    log_probs = node_log_probs(forest, [union.tree for union in unions])
    return [
        {
            name: _traced(each, of_target[places])
            for name, each, places in zip(drafters, own, union.places, strict=True)
        }
        for own, union, of_target in zip(of_starts, unions, log_probs, strict=True)
    ]


def _traced(drafted: _Drafted, of_target: FloatArray) -> TracedDrafter:
    tree = drafted.union.tree
    nodes = TracedTree(tree.tokens, tree.parents, tree.depths, drafted.union.ranks, tree.log_probs, of_target)
    return TracedDrafter(nodes, drafted.union.costs, drafted.coupling, ahead=drafted.ahead, laws=drafted.laws)


def _check_starts(text: ProfiledText, starts: Sequence[int]) -> None:
    tokens = len(text.token_ids)
    in_order = all(first < last for first, last in pairwise(starts))
    if not starts or starts[0] < 0 or starts[-1] >= tokens or not in_order:
        raise InvalidInput(
            f"got starts {list(starts)} in a text of {tokens} tokens, expected some of 0 to {tokens - 1} in "
            "ascending order, each once"
        )
    if len(text.log_probs) != tokens:
        raise InvalidInput(
            f"got {len(text.log_probs)} log-probabilities of {tokens} tokens, expected as many"
        )
