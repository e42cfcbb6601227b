"""A draft tree while it grows: nodes known so far, the interface of the ways to grow one, and growing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.trees.best_values import bar_of_best
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True, eq=False)
class CandidateLaw:
    """What a drafter knows about the token after a node: [candidates] ids and log-probabilities, nats.

    Tokens not listed have probability zero.
    """

    tokens: IntArray
    log_probs: FloatArray

    @staticmethod
    def most_probable(law: FloatArray, count: int) -> CandidateLaw:
        """The `count` most probable tokens of a dense law [vocab], or more, those tying with one included.

        Enough for growing a tree of up to count + 1 nodes, and much cheaper than the logarithm of a whole
        vocabulary. Tokens of probability zero are left out.
        """
        tokens = np.flatnonzero(law >= bar_of_best(law, count) if count < len(law) else law > 0.0)
        tokens = tokens[law[tokens] > 0.0]
        return CandidateLaw(tokens, np.log(law[tokens]))

    def likeliest(self, count: int, excluded: IntArray) -> CandidateLaw:
        """The `count` most probable candidates, best first, ties by smaller id; fewer if there are fewer.

        Candidates of probability zero and those in `excluded` [any] are left out.
        """
        tokens, log_probs = self.tokens, self.log_probs
        enough = count + len(excluded)
        if 0 < enough < len(tokens):
            # A whole vocabulary is cut down first, ties kept: sorting or filtering all of it costs more
            # than scoring a node.
            kept = np.flatnonzero(log_probs >= bar_of_best(log_probs, enough))
            tokens, log_probs = tokens[kept], log_probs[kept]
        keep = np.isfinite(log_probs)
        if len(excluded):  # a few: a set's worth of sorting would cost more
            keep &= (tokens[:, None] != excluded).all(axis=1)
        tokens, log_probs = tokens[keep], log_probs[keep]
        order = np.lexsort((tokens, -log_probs))[:count]
        return CandidateLaw(tokens[order], log_probs[order])


class GrowingTree:
    """Nodes in the order they became known. Node 0 is the root; a node's number never changes."""

    def __init__(self, root_token: int) -> None:
        self.tokens = [root_token]
        self.parents = [-1]
        self.depths = [0]
        self.log_probs = [0.0]  # given the parent
        self.path_log_probs = [0.0]

    def add(self, parent: int, tokens: IntArray, log_probs: FloatArray) -> range:
        """Append children of `parent`; returns their node numbers."""
        first = len(self.tokens)
        self.tokens.extend(tokens.tolist())
        self.parents.extend([parent] * len(tokens))
        self.depths.extend([self.depths[parent] + 1] * len(tokens))
        self.log_probs.extend(log_probs.tolist())
        self.path_log_probs.extend((self.path_log_probs[parent] + log_probs).tolist())
        return range(first, len(self.tokens))

    def path(self, node: int) -> list[int]:
        """Nodes from the root to `node`, both included."""
        nodes = [node]
        while self.parents[nodes[-1]] >= 0:
            nodes.append(self.parents[nodes[-1]])
        return nodes[::-1]

    def token_path(self, node: int) -> tuple[int, ...]:
        """The tokens from the root, left out, to a node: () is the root."""
        return tuple(self.tokens[step] for step in self.path(node)[1:])


class Growth(Protocol):
    """A way to grow a tree: asks for laws level by level, so that a model is called once per level."""

    @property
    def known(self) -> GrowingTree:
        """The nodes known so far."""
        ...

    def unexpanded(self) -> list[int]:
        """Nodes whose law is needed next: all of them can be looked at in one batched call. Empty: done."""
        ...

    def expand(self, node: int, law: CandidateLaw) -> None:
        """Hand in the law of the token after `node`."""
        ...

    def tree(self) -> DraftTree:
        """The draft tree among the nodes known so far."""
        ...


@dataclass(frozen=True, slots=True)
class DraftCost:
    """What one draft took besides time: batched drafter calls and nodes whose law was computed."""

    calls: int
    expanded_nodes: int


@dataclass(frozen=True, slots=True)
class DraftedAhead:
    """What was worked out for a draft while the target still scored the one before.

    cost: of all of it. used: nodes of the draft whose law was among it.
    """

    cost: DraftCost
    used: int


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A proposed tree and what it cost.

    laws: the laws it was grown from, by the token path (see `GrowingTree`) to the node they come after.
    ahead: what of that was worked out ahead, and is not in `cost`; None where nothing was.
    """

    tree: DraftTree
    cost: DraftCost
    laws: Mapping[tuple[int, ...], CandidateLaw] = field(default_factory=dict[tuple[int, ...], CandidateLaw])
    ahead: DraftedAhead | None = None


# (nodes known so far, those whose law is needed) -> the law after each of the latter
LawsAfter = Callable[[GrowingTree, list[int]], Sequence[CandidateLaw]]


def grown(growth: Growth, laws_after: LawsAfter) -> Draft:
    """The tree that a growth ends with, asking for laws one level at a time; each level costs one call."""
    calls = expanded = 0
    laws: dict[tuple[int, ...], CandidateLaw] = {}
    while nodes := growth.unexpanded():
        for node, law in zip(nodes, laws_after(growth.known, nodes), strict=True):
            growth.expand(node, law)
            laws[growth.known.token_path(node)] = law
        calls += 1
        expanded += len(nodes)
    return Draft(growth.tree(), DraftCost(calls, expanded), laws)
