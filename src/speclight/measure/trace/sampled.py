"""Drafts of samples and of races at the starts of a trace: what each rule makes of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.noise_streams import GeneratorNoise
from speclight.drafting.along_text import AlongText, features_along
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_choices import TreeChoice
from speclight.drafting.tree_names import read_tree
from speclight.measure.profile import ProfiledText
from speclight.measure.trace.sampled_names import SampledDraft, read_sampled
from speclight.measure.trace.scored import inner_laws
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.traced import SampledValue, TracedDrafter, TracedStart
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest
from speclight.models.sampling_settings import SamplingSettings
from speclight.seeds import derived_seed, stream
from speclight.trees.draft_tree import DraftTree
from speclight.trees.race_noise import RaceField
from speclight.trees.tree_union import union_of
from speclight.verification.expectation import expected_tokens
from speclight.verification.noise import UniformNoise
from speclight.verification.rule import TargetLaws, VerifyRule

# Keeps the noise of these drafts apart from all other streams of a seed.
DRAFT_SALT = 0x53414D50


def with_samples(
    model: CausalLM,
    text: ProfiledText,
    traced: Sequence[TracedStart],
    sources: Mapping[str, LawSource],
    settings: TraceSettings,
    sampling: SamplingSettings,
) -> list[TracedStart]:
    """The traced starts of a text with the values of sampled drafts.

    sources: as for `traced_starts`, but made for samples, whose law is processed as the target's is. A draft
    depends on seed, text, start and noise alone, so that rules verify the same drafts. Raises InvalidInput as
    `read_sampled`.
    """
    drafts = [read_sampled(each) for each in settings.sampled]
    starts = [start.start for start in traced]
    judged = [JudgedDraft(draft.rule, read_tree(draft.tree, draft.kind)) for draft in drafts]
    drafting = Drafting(tuple(judged), settings.sampled_budgets, settings.noises, settings.seed)
    forest = forest_at(model, text, starts, sampling)
    tokens = {
        name: judged_tokens(model, forest, text, starts, source, drafting) for name, source in sources.items()
    }
    return [
        replace(start, drafters={**start.drafters, **_with_values(start, place, tokens, drafts, settings)})
        for place, start in enumerate(traced)
    ]


def _with_values(
    start: TracedStart,
    place: int,
    tokens: Mapping[str, FloatArray],
    drafts: Sequence[SampledDraft],
    settings: TraceSettings,
) -> dict[str, TracedDrafter]:
    """The drafters of one start. tokens: by drafter, as `judged_tokens` gives them."""
    return {
        name: replace(
            start.drafters[name],
            sampled=tuple(
                SampledValue(drafts[draft].rule.name, drafts[draft].tree, budget, noise, value)
                for (draft, budget, noise), value in zip(
                    settings.sampled_trees, values[place].ravel().tolist(), strict=True
                )
            ),
        )
        for name, values in tokens.items()
    }


@dataclass(frozen=True, slots=True)
class JudgedDraft:
    """A tree of samples or of race candidates, and the rule that verifies it."""

    rule: VerifyRule
    tree: TreeChoice


@dataclass(frozen=True, slots=True)
class Drafting:
    """What is drafted at every start: each draft at each node budget, `noises` times; seed: of the noise."""

    drafts: tuple[JudgedDraft, ...]
    node_budgets: tuple[int, ...]
    noises: int
    seed: int


def forest_at(
    model: CausalLM, text: ProfiledText, starts: Sequence[int], sampling: SamplingSettings
) -> Forest:
    """The target's laws at the given starts of a text, and trees there."""
    roots = [len(text.prompt_token_ids) + start - 1 for start in starts]
    return Forest(model, [*text.prompt_token_ids, *text.token_ids][: roots[-1] + 1], roots, sampling)


def judged_tokens(
    model: CausalLM,
    forest: Forest,
    text: ProfiledText,
    starts: Sequence[int],
    source: LawSource,
    drafting: Drafting,
) -> FloatArray:
    """[starts, drafts, node budgets, noises] tokens of a call with each draft.

    forest: at these starts, see `forest_at`. source: made for samples. Coins are enumerated; a race is run,
    and gives the tokens of that race, 0-1 given the noise. Drafts of one kind of tree share their noise.
    """
    prompt, token_ids = len(text.prompt_token_ids), [*text.prompt_token_ids, *text.token_ids]
    begins = [growth_start(draft.tree, model) for draft in drafting.drafts]
    noises = _Noises(drafting.seed, zlib.crc32(repr(text.key).encode()))
    rules = [draft.rule for draft in drafting.drafts]
    cells = list(product(range(len(rules)), drafting.node_budgets, range(drafting.noises)))
    along, features = AlongText(source, token_ids), features_along(model, source, token_ids)
    found: list[list[float]] = []
    for place, start in enumerate(starts):
        position = prompt + start
        along.stop(position, features)
        trees = [
            along.drafted(begins[draft](along.root, budget, noises.of(position, noise))).tree
            for draft, budget, noise in cells
        ]
        union = union_of(trees)
        laws = inner_laws(forest, place, union.tree)
        found.append(
            [
                _tokens(rules[draft], tree, _LawsInside(laws, places), noises.of(position, noise))
                for (draft, _, noise), tree, places in zip(cells, trees, union.places, strict=True)
            ]
        )
    shape = (len(starts), len(rules), len(drafting.node_budgets), drafting.noises)
    return np.array(found).reshape(shape)


class _Noises:
    """The noise of each draft of a text."""

    def __init__(self, seed: int, text: int) -> None:
        self._seed, self._text = seed, text
        self._fields: dict[int, RaceField] = {}

    def of(self, position: int, noise: int) -> GeneratorNoise:
        """For a draft whose first token stands at that position."""
        if noise not in self._fields:
            self._fields[noise] = RaceField(derived_seed(self._seed, DRAFT_SALT, noise), self._text)
        rng = stream(self._seed, DRAFT_SALT, self._text, position, noise)
        return GeneratorNoise(rng, self._fields[noise].from_position(position))


class _LawsInside:
    """The target's law after each node of one tree, out of those known of the union it is part of."""

    def __init__(self, laws: Mapping[int, FloatArray], places: IntArray) -> None:
        self._laws, self._places = laws, places

    def __call__(self, node: int) -> FloatArray:
        # What comes after a leaf does not count, only that it was reached.
        return self._laws.get(int(self._places[node]), self._laws[0])


def _tokens(rule: VerifyRule, tree: DraftTree, law: TargetLaws, noise: GeneratorNoise) -> float:
    """Over the rule's coins; where it shares its noise with the draft, of the race with that noise."""
    tokens = expected_tokens(rule, tree, law)
    if tokens is not None:
        return tokens
    return float(len(rule.verify(tree, law, UniformNoise(np.zeros(0), np.zeros(0), noise.race)).path))
