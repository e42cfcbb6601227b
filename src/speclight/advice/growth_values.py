"""What the trees of one growth are worth at every start and every node budget, from one order of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from speclight.advice.ordered_trees import OrderedTrees
from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.drafting.tree_choices import BestFirst, Eagle2, FixedShape, Threshold, TreeChoice
from speclight.errors import InvalidInput
from speclight.theory.compiled import compiled
from speclight.trees.shapes import TreeShape


@dataclass(frozen=True, slots=True, eq=False)
class GrowthValues:
    """One growth at every start and node budget; all are [starts, budgets].

    expected_tokens: E[X] given the context, exact (arXiv 2512.11718v1, Lemma 1). emitted_tokens: X in the
    recorded text. sizes: nodes of the tree, root included.
    """

    expected_tokens: FloatArray
    emitted_tokens: IntArray
    sizes: IntArray


def growth_values(
    trees: OrderedTrees, growth: TreeChoice, node_budgets: Sequence[int], largest: int
) -> GrowthValues:
    """The values of a growth whose tree of `largest` nodes is in the traced trees.

    node_budgets: P >= 1, each at most `largest`. Raises InvalidInput for a growth of samples or races, and
    for a budget at which a fixed shape has nodes that it has not at the largest (see `nested_budgets`).
    """
    places, members = _places_and_members(trees, growth, node_budgets, largest)
    inside = places >= 0
    cells = trees.rows[inside], places[inside]

    def summed(values: FloatArray) -> FloatArray:
        placed = np.zeros((len(trees), largest))
        placed[cells] = values[inside]
        return placed @ members.T.astype(np.float64)

    return GrowthValues(
        expected_tokens=summed(trees.probabilities),
        emitted_tokens=np.rint(summed(trees.followed.astype(np.float64))).astype(np.int64),
        sizes=np.rint(summed(np.ones(len(places)))).astype(np.int64),
    )


def drafted_nodes(
    trees: OrderedTrees, growth: TreeChoice, node_budgets: Sequence[int], largest: int
) -> BoolArray:
    """[budgets, nodes] which of the traced nodes the growth drafts at each budget; see `growth_values`."""
    places, members = _places_and_members(trees, growth, node_budgets, largest)
    return members[:, places] & (places >= 0)


def nested_budgets(growth: TreeChoice, node_budgets: Sequence[int], largest: int) -> tuple[int, ...]:
    """Those budgets at which the growth's tree is part of its tree at the largest one.

    All of them but for static trees whose acceptance does not fall with the rank.
    """
    if not isinstance(growth, FixedShape):
        return tuple(node_budgets)
    whole = set(_rank_paths(growth.shape(largest)))
    return tuple(budget for budget in node_budgets if whole.issuperset(_rank_paths(growth.shape(budget))))


def _places_and_members(
    trees: OrderedTrees, growth: TreeChoice, node_budgets: Sequence[int], largest: int
) -> tuple[IntArray, BoolArray]:
    """[nodes] place among the nodes that the growth drafts at the largest budget, -1 for all others.

    And [budgets, places] which of those places it drafts at each budget.
    """
    if isinstance(growth, FixedShape) and growth.kind == "deterministic":
        return _shape_places(trees, growth.shape(largest)), _shape_members(growth, node_budgets, largest)
    places = _best_first_places(trees, growth)
    members = np.arange(largest) < np.array(node_budgets)[:, None]
    return np.where(places < largest, places, -1), members


def _best_first_places(trees: OrderedTrees, growth: TreeChoice) -> IntArray:
    """[nodes] place among the nodes that the growth gets to see, best first; -1 for all others."""
    unlimited = len(trees.parents)
    depth = children = per_level = unlimited
    least = -inf
    match growth:
        case BestFirst():
            pass
        case Eagle2(limits):
            depth, children, per_level = limits.max_depth, limits.children_per_node, limits.expanded_per_level
        case Threshold(least_probability):
            least = log(least_probability)
        case _:
            raise InvalidInput(
                f"got the growth {growth}, expected a deterministic one; sampled drafts and races are scored "
                "from the expected tokens that the trace holds"
            )
    places = np.full(len(trees.parents), -1, dtype=np.int64)
    in_level = np.zeros(len(trees.parents), dtype=np.int64)
    met = np.zeros(int(trees.depths.max()) + 1, dtype=np.int64)
    nodes = trees.begins, trees.parents, trees.depths, trees.ranks, trees.path_log_probs
    compiled(_see)(*nodes, depth, children, per_level, least, in_level, met, places)
    return places


def _see(
    begins: IntArray,
    parents: IntArray,
    depths: IntArray,
    ranks: IntArray,
    path_log_probs: FloatArray,
    max_depth: int,
    children_per_node: int,
    expanded_per_level: int,
    least: float,
    in_level: IntArray,
    met: IntArray,
    places: IntArray,
) -> None:
    """Fill places [nodes]. in_level: [nodes] and met: [depths] are room to work in."""
    for start in range(len(begins) - 1):
        first = begins[start]
        met[:] = 0
        seen = 0
        for node in range(first, begins[start + 1]):
            depth = depths[node]
            if node > first:
                parent = first + parents[node]
                # A parent beyond the first few of its level was not continued.
                if places[parent] < 0 or in_level[parent] >= expanded_per_level:
                    continue
                if depth > max_depth or ranks[node] >= children_per_node or path_log_probs[node] <= least:
                    continue
            places[node], seen = seen, seen + 1
            in_level[node] = met[depth]
            met[depth] += 1


def _shape_places(trees: OrderedTrees, shape: TreeShape) -> IntArray:
    """[nodes] place in the shape; -1 for nodes outside it."""
    child = np.full((len(shape), int(shape.ranks.max()) + 1), -1, dtype=np.int64)
    child[shape.parents[1:], shape.ranks[1:]] = np.arange(1, len(shape))
    places = np.full(len(trees.parents), -1, dtype=np.int64)
    compiled(_place_in_shape)(trees.begins, trees.parents, trees.ranks, child, places)
    return places


def _place_in_shape(
    begins: IntArray, parents: IntArray, ranks: IntArray, child: IntArray, places: IntArray
) -> None:
    for start in range(len(begins) - 1):
        first = begins[start]
        places[first] = 0
        for node in range(first + 1, begins[start + 1]):
            above = places[first + parents[node]]
            if above >= 0 and ranks[node] < child.shape[1]:
                places[node] = child[above, ranks[node]]


def _shape_members(growth: FixedShape, node_budgets: Sequence[int], largest: int) -> BoolArray:
    """[budgets, places] whether a node of the largest shape is in the shape of each budget."""
    place = {path: number for number, path in enumerate(_rank_paths(growth.shape(largest)))}
    members = np.zeros((len(node_budgets), len(place)), dtype=bool)
    for row, budget in zip(members, node_budgets, strict=True):
        for path in _rank_paths(growth.shape(budget)):
            if path not in place:
                raise InvalidInput(
                    f"the tree of {budget} nodes of {growth} is not part of that of {largest} nodes, which "
                    "the trace holds; trace it at that budget"
                )
            row[place[path]] = True
    return np.pad(members, ((0, 0), (0, largest - len(place))))


def _rank_paths(shape: TreeShape) -> list[tuple[int, ...]]:
    """[nodes] the ranks from the root to each node."""
    paths: list[tuple[int, ...]] = [()]
    for parent, rank in zip(shape.parents[1:].tolist(), shape.ranks[1:].tolist(), strict=True):
        paths.append((*paths[parent], rank))
    return paths
