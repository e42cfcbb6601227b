"""Monte Carlo value of the best tree on a random source, for every node budget at once; plain and compiled.

The plain version grows each tree by `grow_best_tree` (numpy and heapq). The compiled one runs the same search
in machine code: a heap that holds, for each node taken, its best child not yet taken, so taking a node costs
one replacement of the heap's top and one insertion whatever the vocabulary. Both read the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.compiled import compiled
from speclight.theory.truth.optimum import draw_type, grow_best_tree, ranked_laws
from speclight.theory.truth.sources import TokenSource

# Noise and outputs of one batch stay near 64 MB whatever the number of trees.
NODES_PER_BATCH = 2**21


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class SimulatedOptimum:
    """Monte Carlo estimate of the best possible E[X], at every node budget.

    tokens_per_call, standard_error: [node_budget]; entry P - 1 belongs to P nodes, root included.
    trees: number of independent trees behind each entry. The same trees serve all budgets, so the errors of
    neighbouring entries are strongly correlated.
    """

    source: str
    tokens_per_call: FloatArray
    standard_error: FloatArray
    trees: int


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class GrownTrees:
    """Best trees in best-first order. path_probs: [trees, nodes], 0 behind the end of a finite tree.

    parents, tokens: [trees, nodes], -1 at the root and behind the end of a finite tree.
    """

    path_probs: FloatArray
    parents: IntArray
    tokens: IntArray


def simulate_optimum(
    source: TokenSource,
    node_budget: int,
    trees: int,
    rng: np.random.Generator,
    engine: Literal["compiled", "plain"] = "compiled",
) -> SimulatedOptimum:
    """Mean over `trees` random trees of the best E[X], for every P in 1..node_budget, from one run.

    Raises InvalidInput if node_budget < 1, trees < 2 or the engine is unknown.
    """
    if engine not in ENGINES:
        raise InvalidInput(f"engine must be one of {sorted(ENGINES)}, got {engine!r}")
    if node_budget < 1 or trees < 2:
        raise InvalidInput(f"need node_budget >= 1 and trees >= 2, got {node_budget} and {trees}")
    grow = ENGINES[engine]
    first, total, squares = np.zeros(node_budget), np.zeros(node_budget), np.zeros(node_budget)
    batch = max(1, NODES_PER_BATCH // node_budget)
    for begin in range(0, trees, batch):
        noise = rng.random((min(batch, trees - begin), node_budget, 2))
        values = np.cumsum(grow(source, noise).path_probs, axis=1)
        if begin == 0:
            first = values[0].copy()  # sums of squares about a typical value lose no digits
        values -= first
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    mean = total / trees
    variance = np.maximum(squares / trees - mean**2, 0.0) * trees / (trees - 1)
    return SimulatedOptimum(source.name, first + mean, np.sqrt(variance / trees), trees)


def grow_trees_plain(source: TokenSource, noise: FloatArray) -> GrownTrees:
    """Best trees by numpy and heapq. noise: [trees, nodes, 2] uniforms, as in `grow_best_tree`."""
    grown = _empty_trees(noise)
    ranked = ranked_laws(source)
    for index, tree_noise in enumerate(noise):
        best = grow_best_tree(source, ranked, tree_noise)
        size = len(best.path_probs)
        grown.path_probs[index, :size] = best.path_probs
        grown.parents[index, :size] = best.tree.parents
        grown.tokens[index, 1:size] = best.tree.tokens[1:]
    return grown


def grow_trees_compiled(source: TokenSource, noise: FloatArray) -> GrownTrees:
    """The same trees as `grow_trees_plain`, in machine code (compiled at the first call in a process)."""
    grown = _empty_trees(noise)
    ranked = ranked_laws(source)
    _compiled_growth()(
        ranked.probs,
        ranked.tokens,
        np.cumsum(source.next_type, axis=-1),
        np.cumsum(source.start),
        np.ascontiguousarray(noise),
        grown.path_probs,
        grown.parents,
        grown.tokens,
    )
    return grown


ENGINES = {"compiled": grow_trees_compiled, "plain": grow_trees_plain}


def _empty_trees(noise: FloatArray) -> GrownTrees:
    shape = noise.shape[:2]
    return GrownTrees(np.zeros(shape), np.full(shape, -1), np.full(shape, -1))


@cache
def _compiled_growth() -> Callable[..., None]:
    """The compiled kernel."""
    compiled_draw_type = compiled(draw_type)
    comes_before = compiled(_comes_before)
    sift_down = compiled(_sift_down_with(comes_before))
    sift_up = compiled(_sift_up_with(comes_before))
    return compiled(_growth_with(compiled_draw_type, sift_down, sift_up))


def _comes_before(prob: float, node: int, other_prob: float, other: int, depths: IntArray) -> bool:
    """Heap order of candidates named by their parents: likelier, then shallower, then earlier parent."""
    if prob != other_prob:
        return prob > other_prob
    if depths[node] != depths[other]:
        return depths[node] < depths[other]
    return node < other


def _sift_down_with(comes_before: Any) -> Callable[..., None]:
    def sift_down(probs: FloatArray, nodes: IntArray, size: int, depths: IntArray) -> None:
        """Restore the heap after its top was replaced."""
        prob, node, hole = probs[0], nodes[0], 0
        while True:
            child = 2 * hole + 1
            if child >= size:
                break
            right = child + 1
            if right < size and comes_before(probs[right], nodes[right], probs[child], nodes[child], depths):
                child = right
            if not comes_before(probs[child], nodes[child], prob, node, depths):
                break
            probs[hole], nodes[hole] = probs[child], nodes[child]
            hole = child
        probs[hole], nodes[hole] = prob, node

    return sift_down


def _sift_up_with(comes_before: Any) -> Callable[..., None]:
    def sift_up(probs: FloatArray, nodes: IntArray, size: int, depths: IntArray) -> None:
        """Restore the heap after its last entry, at size - 1, was added."""
        hole = size - 1
        prob, node = probs[hole], nodes[hole]
        while hole > 0:
            above = (hole - 1) // 2
            if not comes_before(prob, node, probs[above], nodes[above], depths):
                break
            probs[hole], nodes[hole] = probs[above], nodes[above]
            hole = above
        probs[hole], nodes[hole] = prob, node

    return sift_up


def _growth_with(draw: Any, sift_down: Any, sift_up: Any) -> Callable[..., None]:
    def grow(
        ranked_probs: FloatArray,
        ranked_tokens: IntArray,
        next_cdf: FloatArray,
        start_cdf: FloatArray,
        noise: FloatArray,
        path_probs: FloatArray,
        parents: IntArray,
        tokens: IntArray,
    ) -> None:
        """Fill path_probs, parents and tokens [trees, nodes]; a candidate of probability 0 ends a tree."""
        rows, vocab = ranked_probs.shape[1], ranked_probs.shape[2]
        trees, budget = path_probs.shape
        depths, ranks = np.zeros(budget, np.int64), np.zeros(budget, np.int64)
        kinds, chosen = np.zeros(budget, np.int64), np.zeros(budget, np.int64)
        heap_probs, heap_nodes = np.zeros(budget + 1), np.zeros(budget + 1, np.int64)
        for tree in range(trees):
            path = path_probs[tree]
            path[0], depths[0], ranks[0] = 1.0, 0, 0
            kinds[0] = draw(start_cdf, noise[tree, 0, 0])
            chosen[0] = int(noise[tree, 0, 1] * rows)
            heap_probs[0], heap_nodes[0], size = ranked_probs[kinds[0], chosen[0], 0], 0, 1
            for node in range(1, budget):
                prob, parent = heap_probs[0], heap_nodes[0]
                if prob <= 0.0:
                    break
                kind, row, rank = kinds[parent], chosen[parent], ranks[parent]
                token = ranked_tokens[kind, row, rank]
                path[node], parents[tree, node], tokens[tree, node] = prob, parent, token
                depths[node], ranks[node] = depths[parent] + 1, 0
                kinds[node] = draw(next_cdf[kind, token], noise[tree, node, 0])
                chosen[node] = int(noise[tree, node, 1] * rows)
                ranks[parent] = rank + 1
                sibling = ranked_probs[kind, row, rank + 1] if rank + 1 < vocab else 0.0
                heap_probs[0] = path[parent] * sibling
                sift_down(heap_probs, heap_nodes, size, depths)
                heap_probs[size] = prob * ranked_probs[kinds[node], chosen[node], 0]
                heap_nodes[size] = node
                size += 1
                sift_up(heap_probs, heap_nodes, size, depths)

    return grow
