"""`--budget auto` on a trace: its own code, led along the recorded text by the seconds of a machine.

Each call asks the pace that decodes use (`decoding.pace`) how much to draft, grows a tree from the traced
laws, emits what the recorded text says, and teaches the pace what it brought and took. The pace begins with
nothing, as in a decode, and its seconds vary from call to call as those that were timed. Laws that the trace
does not hold, beyond its largest trees, count as knowing nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.call_starts import counted_shares, settling_starts
from speclight.advice.prices import CallPrices, OneCall
from speclight.advice.start_set import StartSet
from speclight.arrays import FloatArray, IntArray
from speclight.decoding.pace import Pace
from speclight.decoding.recent_seconds import CEILING
from speclight.measure.trace.traced import TracedTree
from speclight.seeds import stream
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree, root_only
from speclight.trees.growing_tree import CandidateLaw, Draft, DraftCost, GrowingTree, grown
from speclight.trees.paced_growth import PacedGrowth

GROWTH = "best_first"
# Where in its windows each walk enters.
ENTRIES = (0, 1, 2, 3)
SEED = 21


@dataclass(frozen=True, slots=True, eq=False)
class AutoCalls:
    """The calls of such a decode, summed up by start; all [starts].

    calls: how many of them began there. tokens: expected of them, exact given the context. target, draft,
    loop: their seconds.
    """

    calls: FloatArray
    tokens: FloatArray
    target: FloatArray
    draft: FloatArray
    loop: FloatArray


@dataclass(frozen=True, slots=True)
class _Seconds:
    """See SpentSeconds."""

    draft: float
    total: float


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """See PacedCall."""

    tree: DraftTree
    draft_cost: DraftCost
    path: IntArray
    seconds: _Seconds

    @property
    def tokens_emitted(self) -> int:
        """Accepted drafts and one."""
        return len(self.path)


def auto_ceiling(starts: StartSet, drafter: str, prices: CallPrices) -> int:
    """Nodes of the largest tree that `auto` can consider here: as in a decode, but as far as is known."""
    return min(CEILING, starts.largest_budget(drafter), prices.largest)


def auto_calls(laws: TracedLaws, prices: CallPrices) -> AutoCalls:
    """Lead paces through all windows, each from nothing and through the windows in an order of its own.

    So the calls are those of a decode of as many tokens as there are starts, with what learning costs it. The
    windows are strung together to texts (`_texts`), and each text begins with a stake of its own. As for
    `visits`, calls that start in the first half of a window only settle the walk, unless the window begins
    its text, or is the first one of a walk; where all windows hold one start, all count. Raises KeyError for
    a drafter that was not timed.
    """
    starts, rng = laws.starts, stream(SEED)
    positions, lengths = starts.positions, np.diff(starts.window_begins)
    settling = settling_starts(lengths) if lengths.max() > 1 else 0
    shares = counted_shares(starts.window_begins, positions) if settling else np.ones(len(starts))
    sums = np.zeros((5, len(starts)))
    for entry in ENTRIES:
        decode, is_first = _Replay(laws, prices, rng), True
        for text in _texts(positions[starts.window_begins[:-1]], rng):
            decode.begin_text()
            for window in text:
                first, length = int(starts.window_begins[window]), int(lengths[window])
                begins_text = positions[first] == 0
                place = 0 if begins_text else min(entry, settling, length - 1)
                while place < length:
                    call, spent, expected = decode.call(first + place)
                    # Half of a window stands for all of it; of the first one, where the pace knows least, all
                    # counts by half.
                    is_learning = is_first and settling > 0 and not begins_text
                    weight = 0.5 if is_learning else float(shares[first + place])
                    values = (1.0, expected, spent.target, spent.draft, spent.loop)
                    sums[:, first + place] += weight * np.array(values)
                    place += call.tokens_emitted
                is_first = False
    return AutoCalls(*sums)


def _texts(begins: IntArray, rng: np.random.Generator) -> list[list[int]]:
    """The windows strung together to texts, in random order.

    begins: [windows] place of each in its text. There are as many texts as windows that begin one, which, of
    windows cut at random, are as many as the traced tokens make texts. Each begins with one of those and goes
    on with windows of ever later places, of other texts: what its own would have been is not recorded.
    """
    order = rng.permutation(len(begins))
    order = order[np.argsort(begins[order], kind="stable")]
    texts = max(1, int((begins == 0).sum()))
    return [order[number::texts].tolist() for number in rng.permutation(texts).tolist()]


class TracedLaws:
    """A drafter's laws at every start of a set, as far as its traced trees tell them; each read once."""

    def __init__(self, starts: StartSet, drafter: str) -> None:
        self.starts, self.drafter = starts, drafter
        self._read: dict[int, _LawsAt] = {}

    def at(self, row: int) -> _LawsAt:
        """Those at one start."""
        if row not in self._read:
            self._read[row] = _LawsAt(self.starts.starts[row].drafters[self.drafter].tree)
        return self._read[row]


class _Replay:
    """A decode with `auto` that can be set down at any start."""

    def __init__(self, laws: TracedLaws, prices: CallPrices, rng: np.random.Generator) -> None:
        self._laws, self._prices, self._rng = laws, prices, rng
        self._pace, self._ceiling = Pace(), auto_ceiling(laws.starts, laws.drafter, prices)

    def begin_text(self) -> None:
        """The next start begins a text."""
        self._pace.begin()

    def call(self, row: int) -> tuple[_Call, OneCall, float]:
        """One call at a start, its seconds, those of all texts of a batch, and the tokens expected of it."""
        laws = self._laws.at(row)
        draft = self._draft(laws)
        spent = self._prices.of_one(
            self._laws.drafter, GROWTH, len(draft.tree), draft.cost.calls, draft.cost.expanded_nodes
        )
        texts = self._prices.target.batch_size
        uneven = np.exp(self._prices.unevenness * self._rng.standard_normal(2))
        drafting, rest = np.array([spent.draft, spent.target + spent.loop]) * uneven / texts
        following = self._laws.starts.starts[row].following
        call = _Call(
            draft.tree,
            draft.cost,
            np.concatenate([[0], draft.tree.follow(following)]).astype(np.int64),
            _Seconds(float(drafting), float(drafting + rest)),
        )
        self._pace.learn(call)
        return call, spent, laws.expected_tokens(draft.tree)

    def _draft(self, laws: _LawsAt) -> Draft:
        budget = min(self._pace.node_budget(grows=True), self._ceiling)
        if budget == 1:
            return Draft(root_only(laws.root), DraftCost(0, 0))
        return grown(PacedGrowth(BestFirstGrowth(laws.root, budget), self._pace), laws)


class _LawsAt:
    """The laws at one start. See LawsAfter."""

    def __init__(self, tree: TracedTree) -> None:
        self.root = int(tree.tokens[0])
        self._by_target = tree.target_path_log_probs
        self._places: dict[tuple[int, ...], int] = {(): 0}
        children: dict[int, list[int]] = {}
        paths: list[tuple[int, ...]] = [()]
        for node, (parent, token) in enumerate(
            zip(tree.parents[1:].tolist(), tree.tokens[1:].tolist(), strict=True), start=1
        ):
            paths.append((*paths[parent], token))
            self._places[paths[node]] = node
            children.setdefault(parent, []).append(node)
        self._laws = {
            node: CandidateLaw(tree.tokens[below], tree.drafter_log_probs[below])
            for node, below in children.items()
        }
        self._unknown = CandidateLaw(tree.tokens[:0], tree.drafter_log_probs[:0])

    def __call__(self, known: GrowingTree, nodes: list[int]) -> Sequence[CandidateLaw]:
        return [self._law(known.token_path(node)) for node in nodes]

    def expected_tokens(self, tree: DraftTree) -> float:
        """E[X] of a tree made of traced nodes (Lemma 1 of arXiv 2512.11718v1)."""
        paths: list[tuple[int, ...]] = [()]
        for node in range(1, len(tree)):
            paths.append((*paths[tree.parents[node]], int(tree.tokens[node])))
        return float(np.exp([self._by_target[self._places[path]] for path in paths]).sum())

    def _law(self, path: tuple[int, ...]) -> CandidateLaw:
        return self._laws.get(self._places[path], self._unknown)
