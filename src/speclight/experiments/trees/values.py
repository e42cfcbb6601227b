"""What draft trees are worth at one place of a text: expected tokens, exactly, under target and drafter."""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray
from speclight.decoding.node_laws import NodeLaws
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree, root_only


def target_path_log_probs(text: ScoredText, tree: DraftTree, sampling: SamplingSettings) -> FloatArray:
    """[nodes] log-probability of the path to each node under the target's processed law, in one target call.

    Only nodes with children are scored: the law after a leaf does not count. The tree's slots stay in the
    text's cache until it is continued.
    """
    totals = np.zeros(len(tree))
    inner = np.unique(tree.parents[1:])
    if len(inner) == 0:
        return totals
    place = {int(node): number for number, node in enumerate(inner)}
    scored = DraftTree(
        tree.tokens[inner],
        np.array([place[parent] if parent >= 0 else -1 for parent in tree.parents[inner].tolist()]),
        np.zeros(len(inner)),
    )
    laws = NodeLaws(text.token_ids, scored, text.score(scored), sampling, ())
    with np.errstate(divide="ignore"):  # tokens that the processed law excludes
        for node in range(1, len(tree)):
            parent = int(tree.parents[node])
            totals[node] = totals[parent] + np.log(laws(place[parent])[tree.tokens[node]])
    return totals


def target_law(text: ScoredText, sampling: SamplingSettings) -> FloatArray:
    """[vocab] the target's processed law after the text, in one target call."""
    root = root_only(text.token_ids[-1])
    return NodeLaws(text.token_ids, root, text.score(root), sampling, ())(0)


def expected_tokens(path_log_probs: FloatArray) -> float:
    """E[X] of a tree: the sum of its path probabilities (arXiv 2512.11718v1, Lemma 1), root included."""
    return float(np.exp(path_log_probs).sum())
