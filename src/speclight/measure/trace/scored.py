"""What the target says of many trees at many places of one text: its log-probability of every node."""

from __future__ import annotations

from collections.abc import Sequence

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
    forest.forget()
    waiting: list[tuple[int, int]] = []  # (root, inner node) of whole trees, parents first
    for root, tree in enumerate(trees):
        _fill(found[root], tree, 0, forest.root_laws[root])
        inner = [(root, node) for node in np.unique(tree.parents[1:]).tolist() if node > 0]
        if waiting and len(waiting) + len(inner) > MOST_NODES_HELD:
            _score(forest, trees, waiting, found)
            waiting = []
        waiting += inner
    _score(forest, trees, waiting, found)
    return found


def _score(
    forest: Forest, trees: Sequence[DraftTree], nodes: list[tuple[int, int]], found: list[FloatArray]
) -> None:
    handles: dict[tuple[int, int], int] = {}
    for start in range(0, len(nodes), LARGEST_PASS):
        part = nodes[start : start + LARGEST_PASS]
        handles.update((each, forest.next_handle + place) for place, each in enumerate(part))
        asked = [
            ForestNode(
                root, int(trees[root].tokens[node]), handles.get((root, int(trees[root].parents[node])))
            )
            for root, node in part
        ]
        for (root, node), law in zip(part, forest.score(asked)[1], strict=True):
            _fill(found[root], trees[root], node, law)
    forest.forget()


def _fill(log_probs: FloatArray, tree: DraftTree, node: int, law: FloatArray) -> None:
    """Write the log-probabilities of a node's children."""
    children = tree.children(node)
    with np.errstate(divide="ignore"):  # tokens that the processed law excludes
        log_probs[children] = np.log(law[tree.tokens[children]])
