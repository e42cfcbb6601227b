"""The best tree of P nodes on a known source: the truth that every bound is measured against."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.truth.sources import TokenSource
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class BestTree:
    """The P likeliest nodes below one context, in the order in which best-first search takes them.

    tree: the nodes, root first; its root token is 0, a stand-in for the last committed token.
    path_probs: [nodes] the source's probability of the path from the root to each node, non-increasing.
    node_budget: P; the tree holds fewer nodes only if the source has no more of positive probability.
    """

    tree: DraftTree
    path_probs: FloatArray
    node_budget: int

    @property
    def tokens_per_call(self) -> FloatArray:
        """[node_budget] E[X] of the best tree of 1, 2, ..., node_budget nodes: the sum of its path_probs."""
        padded = np.zeros(self.node_budget)
        padded[: len(self.path_probs)] = self.path_probs
        return np.cumsum(padded)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class RankedLaws:
    """A source's laws with the tokens of each row in the order in which a best tree takes them as siblings.

    probs: [types, rows, vocab] non-increasing; the end-of-text token counts as 0, it is never a node.
    tokens: [types, rows, vocab] the token of each rank; equal probabilities keep the order of token ids.
    """

    probs: FloatArray
    tokens: IntArray


def ranked_laws(source: TokenSource) -> RankedLaws:
    """Sort every row of the source once, so that tree growth only ever looks at the next sibling."""
    laws = source.laws.copy()
    if source.end_of_text is not None:
        laws[..., source.end_of_text] = 0.0
    tokens = np.argsort(-laws, axis=-1, kind="stable")
    return RankedLaws(np.take_along_axis(laws, tokens, axis=-1), tokens.astype(np.int64))


def best_tree(source: TokenSource, start_type: int, node_budget: int) -> BestTree:
    """The best tree below a context of the given type, on a source whose laws are fixed by type and tokens.

    Best-first search: E[X | tree] is the sum of the path probabilities of its nodes, so the node_budget
    likeliest nodes maximise it (arXiv 2512.11718v1, Lemma 1; no independence is used). Ties go to the smaller
    depth, then the earlier parent, then the lower token id.

    Raises InvalidInput if a law or a next type is random (then there is no single best tree: use
    `grow_best_tree` with noise, or `simulate_optimum`), or if node_budget < 1.
    """
    if source.laws.shape[1] != 1 or not np.isin(source.next_type, (0.0, 1.0)).all():
        raise InvalidInput(
            f"source {source.name} draws its laws at random; expected one law per type and a next type fixed "
            "by the token; use grow_best_tree with noise, or simulate_optimum"
        )
    if not 0 <= start_type < len(source.start):
        raise InvalidInput(f"start_type must be in 0..{len(source.start) - 1}, got {start_type}")
    # Any noise gives the same tree, except at node 0, whose type the noise chooses by the start law.
    return _grow(source, ranked_laws(source), np.zeros((node_budget, 2)), start_type)


def grow_best_tree(source: TokenSource, ranked: RankedLaws, noise: FloatArray) -> BestTree:
    """The best tree in the random environment that the noise fixes.

    noise: [node_budget, 2] uniforms in [0, 1); row k chooses type and law of the k-th node taken. A
    node's environment is looked at only when the node is taken, so the k-th node may use the k-th row.
    """
    start_type = draw_type(np.cumsum(source.start), noise[0, 0]) if len(noise) else 0
    return _grow(source, ranked, noise, start_type)


def _grow(source: TokenSource, ranked: RankedLaws, noise: FloatArray, start_type: int) -> BestTree:
    node_budget = len(noise)
    if node_budget < 1:
        raise InvalidInput(f"node_budget must be at least 1 (the root), got {node_budget}")
    rows, vocab = ranked.probs.shape[1:]
    next_cdf = np.cumsum(source.next_type, axis=-1)
    tokens, parents, depths, edge_probs, path_probs = [0], [-1], [0], [1.0], [1.0]
    kinds, chosen_rows = [start_type], [int(noise[0, 1] * rows)]
    frontier: list[tuple[float, int, int, int]] = []  # the best child not yet taken, of each node taken

    def offer(parent: int, rank: int) -> None:
        if rank < vocab:
            edge = float(ranked.probs[kinds[parent], chosen_rows[parent], rank])
            if edge > 0.0:
                heapq.heappush(frontier, (-path_probs[parent] * edge, depths[parent], parent, rank))

    offer(0, 0)
    while len(tokens) < node_budget and frontier:
        negative_prob, depth, parent, rank = heapq.heappop(frontier)
        node = len(tokens)
        token = int(ranked.tokens[kinds[parent], chosen_rows[parent], rank])
        tokens.append(token)
        parents.append(parent)
        depths.append(depth + 1)
        edge_probs.append(float(ranked.probs[kinds[parent], chosen_rows[parent], rank]))
        path_probs.append(-negative_prob)
        kinds.append(draw_type(next_cdf[kinds[parent], token], noise[node, 0]))
        chosen_rows.append(int(noise[node, 1] * rows))
        offer(parent, rank + 1)
        offer(node, 0)
    tree = DraftTree(np.array(tokens), np.array(parents), np.log(edge_probs))
    return BestTree(tree, np.array(path_probs), node_budget)


def draw_type(cumulative: FloatArray, uniform: float) -> int:
    """The first type whose cumulative probability exceeds the uniform; the last if rounding leaves none."""
    # A loop, because the compiled simulator compiles this very function.
    for kind in range(len(cumulative) - 1):
        if cumulative[kind] > uniform:
            return kind
    return len(cumulative) - 1
