"""Drafts of samples and of races at the starts of a trace: what each rule makes of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.noise_streams import GeneratorNoise
from speclight.drafting.along_text import AlongText, features_along
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_names import read_tree
from speclight.measure.profile import ProfiledText
from speclight.measure.trace.sampled_names import SampledDraft, read_sampled
from speclight.measure.trace.scored import inner_laws
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.traced import SampledValue, TracedStart
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest
from speclight.models.sampling_settings import SamplingSettings
from speclight.seeds import derived_seed, stream
from speclight.trees.draft_tree import DraftTree
from speclight.trees.race_noise import RaceField
from speclight.trees.tree_union import union_of
from speclight.verification.expectation import expected_tokens
from speclight.verification.noise import UniformNoise

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
    depends on seed, text, start and noise alone, so that rules verify the same drafts. Coins are enumerated;
    a race is run, and gives the tokens of that race. Raises InvalidInput as `read_sampled`.
    """
    drafts = [read_sampled(each) for each in settings.sampled]
    prompt, token_ids = len(text.prompt_token_ids), [*text.prompt_token_ids, *text.token_ids]
    roots = [prompt + start.start - 1 for start in traced]
    forest = Forest(model, token_ids[: roots[-1] + 1], roots, sampling)
    begins = [growth_start(read_tree(draft.tree, draft.kind), model) for draft in drafts]
    noises = _Noises(settings.seed, zlib.crc32(repr(text.key).encode()))
    found: list[TracedStart] = list(traced)
    for name, source in sources.items():
        along, features = AlongText(source, token_ids), features_along(model, source, token_ids)
        for place, start in enumerate(found):
            along.stop(prompt + start.start, features)
            trees = [
                along.drafted(begins[draft](along.root, budget, noises.of(prompt + start.start, noise))).tree
                for draft, budget, noise in settings.sampled_trees
            ]
            values = _values(forest, place, trees, drafts, settings, noises, prompt + start.start)
            drafter = replace(start.drafters[name], sampled=values)
            found[place] = replace(start, drafters={**start.drafters, name: drafter})
    return found


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


def _values(
    forest: Forest,
    root: int,
    trees: Sequence[DraftTree],
    drafts: Sequence[SampledDraft],
    settings: TraceSettings,
    noises: _Noises,
    position: int,
) -> tuple[SampledValue, ...]:
    union = union_of(trees)
    laws = inner_laws(forest, root, union.tree)
    values: list[SampledValue] = []
    for (draft, budget, noise), tree, places in zip(settings.sampled_trees, trees, union.places, strict=True):
        rule = drafts[draft].rule

        def law(node: int, places: IntArray = places) -> FloatArray:
            # What comes after a leaf does not count, only that it was reached.
            return laws.get(int(places[node]), laws[0])

        tokens = expected_tokens(rule, tree, law)
        if tokens is None:
            shared = UniformNoise(np.zeros(0), np.zeros(0), noises.of(position, noise).race)
            tokens = float(len(rule.verify(tree, law, shared).path))
        values.append(SampledValue(rule.name, drafts[draft].tree, budget, noise, tokens))
    return tuple(values)
