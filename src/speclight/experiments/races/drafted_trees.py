"""Rules on trees that were really drafted: for what needs both laws off the emitted path.

Traversal verification works back from the leaves, and a tree grown by confidence depends on every law it
asked for. So trees are drafted with recorded noise, their inner nodes scored by target and drafter, and each
rule's own `verify` run on them. What the target adds after a leaf is not of interest, only how long the path
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from speclight.arrays import FloatArray
from speclight.decoding.noise_streams import GeneratorNoise
from speclight.drafting.along_text import at_end
from speclight.drafting.growth_start import growth_start
from speclight.drafting.path_scorer import PathScorer, TokenPath
from speclight.drafting.protocol import DraftNoise, LawSource
from speclight.drafting.race_confidence import AcceptanceByConfidence
from speclight.drafting.tree_choices import ConfidenceTree, RankTree
from speclight.drafting.tree_drafter import GrowthStart
from speclight.drafting.vocabulary import same_vocabulary
from speclight.experiments.races.laws import RaceDrafter
from speclight.experiments.races.settings import TreePlan
from speclight.experiments.races.texts import RaceText
from speclight.measure.store import read_arrays, write_arrays
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.seeds import stream
from speclight.trees.draft_tree import DraftTree
from speclight.trees.race_noise import RaceField, RaceView
from speclight.verification.expectation import expected_tokens
from speclight.verification.noise import UniformNoise
from speclight.verification.rule import TargetLaws
from speclight.verification.rules import rule_named

TREE_DRAFTED = (4, 8, 16, 32)
# (rule, tree), in the order of the arrays; the first two verify the same drafts.
COINS = ("rejection_without_replacement", "traversal")
RACES: tuple[Literal["rank", "confidence"], ...] = ("rank", "confidence")
VARIANTS = (*((rule, "rank") for rule in COINS), *(("race", tree) for tree in RACES))
# Keeps the noise of drafts apart from all other streams seeded by the text's number.
DRAFT_SALT = 0x5452


@dataclass(frozen=True, slots=True)
class TreeRates:
    """What trees are fitted to, from other texts: mean rank laws, rank 1 first, and those by confidence."""

    coins: tuple[float, ...]
    race: tuple[float, ...]
    confidence: AcceptanceByConfidence


def tokens_on_trees(
    target: CausalLM,
    drafter: RaceDrafter,
    text: RaceText,
    rates: TreeRates,
    plan: TreePlan,
    cache: Path,
) -> FloatArray:
    """[starts, VARIANTS, TREE_DRAFTED, seeds] tokens of a call, kept in the folder `cache` once computed.

    Coin rules: expected tokens given the drafted tree, by enumeration of the coins. Races: the tokens of the
    call with that race, which is 0-1 given the noise.
    """
    unit = f"temperature-{text.temperature}-text-{text.number:03d}"
    if not (cache / f"{unit}.npz").exists():
        write_arrays(cache, unit, {"tokens": _computed(target, drafter, text, rates, plan)})
    return read_arrays(cache, unit, ["tokens"])["tokens"]


def _computed(
    target: CausalLM, drafter: RaceDrafter, text: RaceText, rates: TreeRates, plan: TreePlan
) -> FloatArray:
    sampling = SamplingSettings(text.temperature)
    source = drafter.source(sampling)
    places = plan.places(text.number)
    tokens = np.zeros((len(places), len(VARIANTS), len(TREE_DRAFTED), plan.seeds))
    for row, place in enumerate(places):
        context = _Context(target, source, [*text.prompt_token_ids, *text.token_ids[:place]], sampling)
        for seed in range(plan.seeds):
            race = RaceField(seed, text.number).from_position(len(context.token_ids))
            for column, drafted in enumerate(TREE_DRAFTED):
                rng = stream(DRAFT_SALT, text.number, seed, drafted)
                noise = GeneratorNoise(rng, race)
                tokens[row, :, column, seed] = _of_budget(context, target, rates, drafted, noise, race)
    return tokens


def _of_budget(
    context: _Context,
    target: CausalLM,
    rates: TreeRates,
    drafted: int,
    noise: DraftNoise,
    race: RaceView,
) -> list[float]:
    coins = RankTree(rates.coins, kind="without_replacement")
    raced = {
        "rank": RankTree(rates.race, kind="race"),
        "confidence": ConfidenceTree(rates.confidence),
    }
    tree = context.drafted(growth_start(coins, target), drafted + 1, noise)
    laws = context.laws_inside(tree)
    tokens = [_over_coins(rule, tree, laws) for rule in COINS]
    for name in RACES:
        tree = context.drafted(growth_start(raced[name], target), drafted + 1, noise)
        shared = UniformNoise(np.zeros(0), np.zeros(0), race)
        tokens.append(float(len(rule_named("race").verify(tree, context.laws_on_path(tree), shared).path)))
    return tokens


def _over_coins(rule: str, tree: DraftTree, laws: TargetLaws) -> float:
    found = expected_tokens(rule_named(rule), tree, laws)
    assert found is not None, "drafts of these rules share no noise with the verdict"
    return found


class _Context:
    """One context: trees drafted there, and the target's law after their nodes, each path scored once."""

    def __init__(
        self, target: CausalLM, source: LawSource, token_ids: list[int], sampling: SamplingSettings
    ) -> None:
        self.token_ids = token_ids
        self._sampling = sampling
        self._scorer = PathScorer(target, same_vocabulary(target, target))
        self._scorer.begin(token_ids)
        self._laws: dict[TokenPath, FloatArray] = {}
        self._along = at_end(target, source, token_ids)

    def drafted(self, start: GrowthStart, node_budget: int, noise: DraftNoise) -> DraftTree:
        """A tree grown as TreeDrafter grows it; laws asked for before are not computed again."""
        return self._along.drafted(start(self._along.root, node_budget, noise)).tree

    def laws_inside(self, tree: DraftTree) -> TargetLaws:
        """The target's laws after inner nodes, scored here in one call; after a leaf, that of the root."""
        paths = self._paths(tree)
        self._scorer.score(paths)
        return lambda node: self._law(paths[node])

    def laws_on_path(self, tree: DraftTree) -> TargetLaws:
        """The same, each scored when asked for: a race asks along the emitted path alone."""
        paths = self._paths(tree)

        def law(node: int) -> FloatArray:
            self._scorer.score([paths[node]])
            return self._law(paths[node])

        return law

    def _law(self, path: TokenPath) -> FloatArray:
        if path not in self._laws:
            row = self._scorer.row(path)
            assert row is not None, "texts leave room for a draft in the target's window"
            self._laws[path] = processed_probabilities(row.cpu().numpy()[None], self._sampling)[0]
        return self._laws[path]

    @staticmethod
    def _paths(tree: DraftTree) -> list[TokenPath]:
        """[nodes] the drafted tokens up to each inner node, none for a leaf."""
        inner = {0, *tree.parents[1:].tolist()}
        return [
            tuple(tree.tokens[tree.path(node)[1:]].tolist()) if node in inner else ()
            for node in range(len(tree))
        ]
