"""The true limit at real contexts: the best tree under the target itself, found by searching it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest, ForestNode, score_forests
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw

# Searched in step: by then a pass has enough nodes to be worth its time, and the caches are no larger than
# those of a few long texts.
MOST_ROOTS = 16
MOST_TOKENS = 8192


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


@dataclass(frozen=True, slots=True)
class RootedText:
    """A text and the positions in it, ascending, after which trees are searched.

    prompt: how many of its first tokens are read by themselves, so that readings may know them; none before
    a root is behind them all.
    """

    token_ids: list[int]
    roots: Sequence[int]
    prompt: int = 0


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
    (found,) = oracle_contexts_of_texts(model, [RootedText(token_ids, roots)], node_budget, sampling)
    return found


def oracle_contexts_of_texts(
    model: CausalLM,
    texts: Sequence[RootedText],
    node_budget: int,
    sampling: SamplingSettings,
    readings: Readings | None = None,
) -> list[list[OracleContext]]:
    """`oracle_contexts` of each text, those of neighbours searched in step; see `in_step`.

    readings: read the prompts, and may have read some before.
    """
    readings = readings or Readings(model, most_bytes=0)
    found: list[list[OracleContext]] = []
    for group in in_step([(len(text.roots), len(text.token_ids)) for text in texts]):
        own = texts[group.start : group.stop]
        begun = [readings.begun(text.token_ids[: text.prompt]) if text.prompt else None for text in own]
        forests = [
            Forest(model, text.token_ids, text.roots, sampling, begun=read)
            for text, read in zip(own, begun, strict=True)
        ]
        tokens = [[text.token_ids[root] for root in text.roots] for text in own]
        trees = best_trees(forests, tokens, node_budget, model.end_of_text)
        found += [
            [
                OracleContext(root, tree.path_log_probs, tree.depths, calls)
                for root, (tree, calls) in zip(text.roots, searched, strict=True)
            ]
            for text, searched in zip(own, trees, strict=True)
        ]
    return found


def in_step(texts: Sequence[tuple[int, int]]) -> list[range]:
    """Neighbouring texts, by their numbers of roots and of tokens, in groups to search in step.

    A pass costs nearly the same for a few nodes as for one, so that searches gain from company; but all their
    caches are held at once. A text that is too large for company is a group by itself.
    """
    groups: list[range] = []
    roots = tokens = 0
    for place, (of_roots, of_tokens) in enumerate(texts):
        roots, tokens = roots + of_roots, tokens + of_tokens
        if groups and roots <= MOST_ROOTS and tokens <= MOST_TOKENS:
            groups[-1] = range(groups[-1].start, place + 1)
        else:
            groups.append(range(place, place + 1))
            roots, tokens = of_roots, of_tokens
    return groups


def best_trees(
    forests: Sequence[Forest],
    root_tokens: Sequence[Sequence[int]],
    node_budget: int,
    end_of_text: Collection[int],
) -> list[list[tuple[DraftTree, int]]]:
    """By forest, the best tree at each of its roots and the target calls its search took.

    See `oracle_contexts`. The nodes scored stay in the forests.
    """
    # The end-of-text tokens among the most probable ones are dropped by the search, so ask for as many more.
    wanted = node_budget + len(end_of_text)
    searches = [
        [_Search(root, token, node_budget, end_of_text) for root, token in enumerate(tokens)]
        for tokens in root_tokens
    ]
    for forest, own in zip(forests, searches, strict=True):
        for search, law in zip(own, forest.root_laws, strict=True):
            if node_budget > 1:
                search.growth.expand(0, CandidateLaw.most_probable(law, wanted))
    while True:
        asked = [[(search, node) for search in own for node in search.unexpanded()] for own in searches]
        if not any(asked):
            break
        nodes = [[search.forest_node(node) for search, node in own] for own in asked]
        for own, (handles, laws) in zip(asked, score_forests(forests, nodes), strict=True):
            for (search, node), handle, law in zip(own, handles, laws, strict=True):
                search.handles[node] = handle
                search.growth.expand(node, CandidateLaw.most_probable(law, wanted))
        for search in {search for own in asked for search, _ in own}:
            search.calls += 1
    return [[(search.growth.tree(), search.calls) for search in own] for own in searches]


class _Search:
    """The search at one root of a forest. handles: of its nodes there. calls: passes it took part in."""

    def __init__(self, root: int, token: int, node_budget: int, end_of_text: Collection[int]) -> None:
        self.growth = BestFirstGrowth(token, node_budget, end_of_text)
        self.handles: dict[int, int] = {}
        self.calls = 1  # the reading of the text
        self._root = root

    def unexpanded(self) -> list[int]:
        """Nodes whose law must be looked at."""
        return self.growth.unexpanded() if self.growth.node_budget > 1 else []

    def forest_node(self, node: int) -> ForestNode:
        """A node as its forest knows it."""
        known = self.growth.known
        parent = known.parents[node]
        return ForestNode(self._root, known.tokens[node], None if parent == 0 else self.handles[parent])
