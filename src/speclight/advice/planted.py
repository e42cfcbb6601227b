"""A target and a drafter given by tables: traces of them, and the true values that scores are held against.

The law of the next token depends on a state, and state and token give the next state. So what a tree is
worth in a state, and how often the calls of a decode start there, are finite sums.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.drafting.tree_choices import BestFirst, Eagle2, FixedShape, Threshold, TreeChoice
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.trace.traced import GrowthCost, TracedDrafter, TracedStart, TracedTree
from speclight.theory.truth.sources import draw, stationary_law
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, Draft, GrowingTree, Growth, grown
from speclight.trees.limited_growth import LimitedGrowth
from speclight.trees.shapes import TopRankGrowth
from speclight.trees.threshold import ThresholdGrowth

DRAFTER = "planted"
ROOT = 0  # token of every root; which one it is makes no difference
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlantedValue:
    """True tokens per call: at uniform positions of a long text, and of a decode."""

    uniform: float
    decode: float


@dataclass(frozen=True, eq=False)
class PlantedPair:
    """Target and drafter by state. target, drafter: [states, vocab] laws. next_state: [states, vocab]."""

    target: FloatArray
    drafter: FloatArray
    next_state: IntArray
    end_of_text: frozenset[int] = frozenset()
    _drafts: dict[tuple[int, str, int], Draft] = field(default_factory=dict)
    _traced: dict[tuple[int, tuple[str, ...], tuple[int, ...]], TracedDrafter] = field(default_factory=dict)

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return self.target.shape[1]

    @property
    def state_law(self) -> FloatArray:
        """[states] of the state at a uniform position of a long text."""
        steps = np.zeros((len(self.target), len(self.target)))
        for state, row in enumerate(self.next_state):
            np.add.at(steps[state], row, self.target[state])
        return stationary_law(steps)

    def draft(self, state: int, growth: str, node_budget: int) -> Draft:
        """What the growth drafts in a state, grown by the growth itself."""
        key = state, growth, node_budget
        if key not in self._drafts:
            begun = growth_of(read_tree(growth, "deterministic"), node_budget, self.end_of_text)
            self._drafts[key] = grown(begun, partial(self._laws, self.drafter, state))
        return self._drafts[key]

    def value(self, growth: str, node_budget: int) -> PlantedValue:
        """The truth about one configuration."""
        tokens = self.expected_tokens(growth, node_budget)
        calls = self.call_start_law(growth, node_budget)
        return PlantedValue(float(self.state_law @ tokens), float(calls @ tokens))

    def expected_tokens(self, growth: str, node_budget: int) -> FloatArray:
        """[states] E[X] of a call in each state."""
        return np.array([tokens for tokens, _ in self._calls(growth, node_budget)])

    def call_start_law(self, growth: str, node_budget: int) -> FloatArray:
        """[states] how often the calls of a decode start in each state."""
        return stationary_law(self.call_steps(growth, node_budget))

    def call_steps(self, growth: str, node_budget: int) -> FloatArray:
        """[states, states] law of the state in which the next call starts, by that of a call."""
        return np.stack([after for _, after in self._calls(growth, node_budget)])

    def starts(
        self,
        texts: int,
        windows: int,
        window: int,
        growths: Sequence[str],
        node_budgets: Sequence[int],
        rng: np.random.Generator,
    ) -> list[TracedStart]:
        """Starts in windows amid long texts, each text a prompt of its own. node_budgets: rising."""
        largest = node_budgets[-1]
        apart = window + largest
        tokens, states = self._texts(texts, windows * apart + largest, rng)
        return [
            TracedStart(
                prompt_id=f"text-{text:05d}",
                family="planted",
                sample=0,
                turn=0,
                start=apart + start,  # every window has text before it
                window=place,
                following=tuple(tokens[text, start : start + largest].tolist()),
                best=self._best(int(states[text, start]), largest).path_log_probs,
                best_depths=self._best(int(states[text, start]), largest).depths,
                drafters={
                    DRAFTER: self.traced(int(states[text, start]), tuple(growths), tuple(node_budgets))
                },
            )
            for text in range(texts)
            for place in range(windows)
            for start in range(place * apart, place * apart + window)
        ]

    def traced(self, state: int, growths: tuple[str, ...], node_budgets: tuple[int, ...]) -> TracedDrafter:
        """What a trace holds of the drafter in a state."""
        key = state, growths, node_budgets
        if key not in self._traced:
            drafts = {
                (name, budget): self.draft(state, name, budget) for name in growths for budget in node_budgets
            }
            costs = [
                GrowthCost(name, budget, draft.cost.calls, draft.cost.expanded_nodes)
                for (name, budget), draft in drafts.items()
            ]
            union = self._union(state, [draft.tree for draft in drafts.values()])
            self._traced[key] = TracedDrafter(union, tuple(costs), np.zeros(0))
        return self._traced[key]

    def _union(self, state: int, trees: Sequence[DraftTree]) -> TracedTree:
        paths = sorted(
            {path for tree in trees for path in _token_paths(tree)}, key=lambda path: (len(path), path)
        )
        place = {path: number for number, path in enumerate(paths)}
        before = [self._after(state, path[:-1]) for path in paths]
        never = np.array(sorted(self.end_of_text), dtype=np.int64)
        laws = [_candidates(self.drafter[at]).likeliest(self.vocabulary_size, never) for at in before]
        ranks = [
            int(np.flatnonzero(law.tokens == path[-1])[0]) if path else -1
            for law, path in zip(laws, paths, strict=True)
        ]
        with np.errstate(divide="ignore"):  # tokens that a law excludes
            by_drafter, by_target = np.log(self.drafter), np.log(self.target)
        return TracedTree(
            tokens=np.array([path[-1] if path else ROOT for path in paths]),
            parents=np.array([place[path[:-1]] if path else -1 for path in paths]),
            depths=np.array([len(path) for path in paths]),
            ranks=np.array(ranks),
            drafter_log_probs=np.array(
                [by_drafter[at, path[-1]] if path else 0.0 for at, path in zip(before, paths, strict=True)]
            ),
            target_log_probs=np.array(
                [by_target[at, path[-1]] if path else 0.0 for at, path in zip(before, paths, strict=True)]
            ),
        )

    def _calls(self, growth: str, node_budget: int) -> list[tuple[float, FloatArray]]:
        return [
            self._call(state, self.draft(state, growth, node_budget).tree)
            for state in range(len(self.target))
        ]

    def _call(self, state: int, tree: DraftTree) -> tuple[float, FloatArray]:
        """E[X] of a call in a state, and [states] the law of the state in which the next call starts."""
        after, reached, inside = np.zeros(len(self.target)), 0.0, set(_token_paths(tree))
        for path in inside:
            at, chance = state, 1.0
            for token in path:
                chance *= self.target[at, token]
                at = int(self.next_state[at, token])
            reached += chance
            for token in range(self.vocabulary_size):
                if (*path, token) not in inside:
                    after[self.next_state[at, token]] += chance * self.target[at, token]
        return reached, after

    def _best(self, state: int, node_budget: int) -> DraftTree:
        key = state, "of the target", node_budget
        if key not in self._drafts:
            begun = BestFirstGrowth(ROOT, node_budget, self.end_of_text)
            self._drafts[key] = grown(begun, partial(self._laws, self.target, state))
        return self._drafts[key].tree

    def _laws(
        self, table: FloatArray, state: int, known: GrowingTree, nodes: list[int]
    ) -> list[CandidateLaw]:
        return [_candidates(table[self._after(state, known.token_path(node))]) for node in nodes]

    def _after(self, state: int, path: Path) -> int:
        for token in path:
            state = int(self.next_state[state, token])
        return state

    def _texts(self, texts: int, length: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """[texts, length] tokens, and the state before each."""
        tokens, states = np.zeros((texts, length), dtype=np.int64), np.zeros((texts, length), dtype=np.int64)
        at = draw(np.tile(self.state_law, (texts, 1)), rng.random(texts))
        for place in range(length):
            states[:, place] = at
            tokens[:, place] = draw(self.target[at], rng.random(texts))
            at = self.next_state[at, tokens[:, place]]
        return tokens, states


def growth_of(tree: TreeChoice, node_budget: int, never_drafted: Collection[int] = ()) -> Growth:
    """The growth of a deterministic tree. Raises InvalidInput for samples and races."""
    match tree:
        case BestFirst():
            return BestFirstGrowth(ROOT, node_budget, never_drafted)
        case Eagle2(limits):
            return LimitedGrowth(ROOT, node_budget, limits, never_drafted)
        case Threshold(least):
            return ThresholdGrowth(ROOT, node_budget, least, never_drafted)
        case FixedShape(kind="deterministic"):
            return TopRankGrowth(ROOT, tree.shape(node_budget), never_drafted)
        case _:
            raise InvalidInput(f"got the tree {tree}, expected a deterministic one")


def random_pair(states: int, vocabulary_size: int, knowledge: float, rng: np.random.Generator) -> PlantedPair:
    """Laws of very different entropy by state; the drafter's are `knowledge` of the target's and noise."""
    concentrations = np.geomspace(0.05, 2.0, states)
    target = np.stack([rng.dirichlet(np.full(vocabulary_size, each)) for each in concentrations])
    noise = rng.dirichlet(np.full(vocabulary_size, 0.5), size=states)
    following = rng.integers(states, size=(states, vocabulary_size))
    # Token 0 leads round all states, so that the chain of states is irreducible whatever was drawn.
    following[:, 0] = (np.arange(states) + 1) % states
    drafter = knowledge * target + (1.0 - knowledge) * noise
    return PlantedPair(_laws(target + 1e-3), _laws(drafter), following)


def _laws(weights: FloatArray) -> FloatArray:
    return weights / weights.sum(axis=1, keepdims=True)


def _candidates(law: FloatArray) -> CandidateLaw:
    tokens = np.flatnonzero(law)
    return CandidateLaw(tokens, np.log(law[tokens]))


def _token_paths(tree: DraftTree) -> list[Path]:
    paths: list[Path] = [()]
    for node in range(1, len(tree)):
        paths.append((*paths[tree.parents[node]], int(tree.tokens[node])))
    return paths
