"""What the target says of many trees at many places of one text: its log-probability of every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from speclight.arrays import FloatArray
from speclight.models.forest import LARGEST_PASS, Forest, ForestNode
from speclight.trees.draft_tree import DraftTree

# Nodes that stay in the forest while more are scored: each of them sees all others' slots, masked or not.
MOST_NODES_HELD = 512


def node_log_probs(forest: Forest, trees: Sequence[DraftTree]) -> list[FloatArray]:
    """For each of the forest's roots and the tree there, [nodes] log-probability given the parent, nats.

    Only nodes with children are scored: the law after a leaf does not count. -inf for a token that the
    processed law excludes, 0 at the root. What the forest held before is forgotten.
    """
    found = [np.zeros(len(tree)) for tree in trees]
    for root, node, law in _laws(forest, dict(enumerate(trees))):
        children = trees[root].children(node)
        with np.errstate(divide="ignore"):  # tokens that the processed law excludes
            found[root][children] = np.log(law[trees[root].tokens[children]])
    return found


def inner_laws(forest: Forest, root: int, tree: DraftTree) -> dict[int, FloatArray]:
    """The law after the root and each other node with children of the tree there, [vocab] by node."""
    return {node: law for _, node, law in _laws(forest, {root: tree})}


def _laws(forest: Forest, trees: Mapping[int, DraftTree]) -> Iterator[tuple[int, int, FloatArray]]:
    """Root, node, and the law after it, of all nodes with children; trees: by root, in its order."""
    forest.forget()
    waiting: list[tuple[int, int]] = []  # (root, inner node) of whole trees, parents first
    for root, tree in trees.items():
        yield root, 0, forest.root_laws[root]
        inner = [(root, node) for node in np.unique(tree.parents[1:]).tolist() if node > 0]
        if waiting and len(waiting) + len(inner) > MOST_NODES_HELD:
            yield from _scored(forest, trees, waiting)
            waiting = []
        waiting += inner
    yield from _scored(forest, trees, waiting)


def _scored(
    forest: Forest, trees: Mapping[int, DraftTree], nodes: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, FloatArray]]:
    handles: dict[tuple[int, int], int] = {}
    for start in range(0, len(nodes), LARGEST_PASS):
        part = nodes[start : start + LARGEST_PASS]
        handles.update((each, forest.next_handle + place) for place, each in enumerate(part))
        asked: list[ForestNode] = []
        for root, node in part:
            parent = handles.get((root, int(trees[root].parents[node])))  # None: the root
            asked.append(ForestNode(root, int(trees[root].tokens[node]), parent))
        for (root, node), law in zip(part, forest.score(asked)[1], strict=True):
            yield root, node, law
    forest.forget()
