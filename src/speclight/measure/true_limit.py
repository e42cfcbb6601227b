"""The true limit at real contexts: the best tree under the target itself, found by searching it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest, ForestNode
from speclight.models.sampling import SamplingSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw


@dataclass(frozen=True, slots=True, eq=False)
class OracleContext:
    """The best tree of node_budget nodes at one context.

    root: position of the context's last token in the text (the tree's root). path_log_probs: [nodes] -V(v),
    log-probability under the target of each node of the best tree, falling; the root's is 0. fewer than
    node_budget only if the target cannot continue further. depths: [nodes]. calls: level-synchronous target
    calls the search took.
    """

    root: int
    path_log_probs: FloatArray
    depths: IntArray
    calls: int

    @property
    def depth(self) -> int:
        """Of the tree."""
        return int(self.depths.max())

    def tokens_per_call(self, node_budget: int) -> float:
        """E[X | context] of the best tree of `node_budget` nodes: exact, by Lemma 1 and prefix sums."""
        return float(np.exp(self.path_log_probs[:node_budget]).sum())


def oracle_contexts(
    model: CausalLM,
    token_ids: list[int],
    roots: Sequence[int],
    node_budget: int,
    sampling: SamplingSettings,
) -> list[OracleContext]:
    """Search the best tree after each root position of one text, all searches in step.

    Every unexpanded node that now stands among a context's best `node_budget` is expanded in one pass over
    all contexts; when none is left the trees are exact (BestFirstGrowth says why), for every smaller budget
    too. roots: ascending. Source: arXiv 2512.11718v1, Lemma 1, which needs no independence.
    """
    forest = Forest(model, token_ids, roots, sampling)
    tokens = [token_ids[root] for root in roots]
    found = best_trees(forest, tokens, node_budget, model.end_of_text)
    return [
        OracleContext(root, tree.path_log_probs, tree.depths, calls)
        for root, (tree, calls) in zip(roots, found, strict=True)
    ]


def best_trees(
    forest: Forest, root_tokens: Sequence[int], node_budget: int, end_of_text: Collection[int]
) -> list[tuple[DraftTree, int]]:
    """The best tree at each root of a forest, and the target calls its search took; see `oracle_contexts`.

    The nodes scored stay in the forest.
    """
    searches = [BestFirstGrowth(token, node_budget, end_of_text) for token in root_tokens]
    handles: list[dict[int, int]] = [{} for _ in searches]  # per search: node -> handle in the forest
    calls = np.ones(len(searches), dtype=np.int64)
    # The end-of-text tokens among the most probable ones are dropped by the search, so ask for as many more.
    wanted = node_budget + len(end_of_text)
    for search, law in zip(searches, forest.root_laws, strict=True):
        if node_budget > 1:
            search.expand(0, CandidateLaw.most_probable(law, wanted))
    while True:
        asked = [(number, node) for number, search in enumerate(searches) for node in search.unexpanded()]
        asked = [(number, node) for number, node in asked if node != 0 or node_budget > 1]
        if not asked:
            break
        placed, laws = forest.score([_forest_node(searches, handles, number, node) for number, node in asked])
        for (number, node), handle, law in zip(asked, placed, laws, strict=True):
            handles[number][node] = handle
            searches[number].expand(node, CandidateLaw.most_probable(law, wanted))
        calls[list({number for number, _ in asked})] += 1
    return [(search.tree(), int(made)) for search, made in zip(searches, calls, strict=True)]


def _forest_node(
    searches: list[BestFirstGrowth], handles: list[dict[int, int]], number: int, node: int
) -> ForestNode:
    known = searches[number].known
    parent = known.parents[node]
    return ForestNode(number, known.tokens[node], None if parent == 0 else handles[number][parent])
