"""A draft tree: the tokens a drafter proposes, arranged by which token follows which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class SampledChildren:
    """How the children of one node were drawn, for rules that verify samples.

    law: [vocab] the drafter's processed law they were drawn from (the target's vocabulary, sums to 1).
    draws: child nodes in the order drawn; with replacement a node may stand in it more than once. For
    race_with_replacement the order of arrival; for gls the winner of each noise set still followed.
    """

    law: FloatArray
    draws: IntArray


# deterministic: a function of the text alone. with_replacement, without_replacement: siblings sampled from
# the drafter's law, independently or without repeats. race, race_with_replacement, gls: candidates ranked by
# noise that the target's own choice is made with (distinct tokens, arrivals, one winner for each noise set).
# Each verification rule is lossless for some kinds only.
DraftKind = Literal[
    "deterministic", "with_replacement", "without_replacement", "race", "race_with_replacement", "gls"
]
# Kinds whose candidates are nothing but a function of text and race noise: no law is recorded with them.
WITHOUT_SAMPLES: frozenset[DraftKind] = frozenset({"deterministic", "race"})


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class DraftTree:
    """A rooted tree of tokens in which parents stand before their children.

    Node 0 is the root: the last committed token, whose successor the target call decides. The root is
    counted in the node budget P (positions scored in one target call), so a tree of P nodes holds P - 1
    drafted tokens. Source: arXiv 2512.11718v1, Definition 4 (there "Definition 4" also names the token
    tree of Definition 3 once; see docs/theory/errata.md).

    tokens: [nodes] token ids. parents: [nodes], parents[0] == -1 and 0 <= parents[i] < i.
    log_probs: [nodes] the drafter's natural-log probability of each node given its parent, <= 0;
    log_probs[0] == 0. Siblings carry distinct tokens.
    kind: how the tokens were chosen. samples: for sampled kinds, per node how its children were drawn
    (None where nothing was drawn); None for deterministic and race trees.

    Raises InvalidInput if any of this does not hold. The arrays are copied and made read-only.
    """

    tokens: IntArray
    parents: IntArray
    log_probs: FloatArray
    kind: DraftKind = "deterministic"
    samples: tuple[SampledChildren | None, ...] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("tokens", np.int64), ("parents", np.int64), ("log_probs", np.float64)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check(self.tokens, self.parents, self.log_probs)
        if self.kind not in WITHOUT_SAMPLES:
            _check_samples(self.parents, self.samples)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def depths(self) -> IntArray:
        """[nodes] number of edges between each node and the root (the root has depth 0)."""
        depths, parents = [0], list[int](self.parents[1:].tolist())
        for parent in parents:
            depths.append(depths[parent] + 1)
        return np.array(depths, dtype=np.int64)

    @property
    def path_log_probs(self) -> FloatArray:
        """[nodes] the drafter's log-probability of the whole path from the root to each node."""
        totals, parents = [0.0], list[int](self.parents[1:].tolist())
        log_probs = list[float](self.log_probs[1:].tolist())
        for parent, log_prob in zip(parents, log_probs, strict=True):
            totals.append(totals[parent] + log_prob)
        return np.array(totals)

    def children(self, node: int) -> IntArray:
        """The children of a node, in the order the drafter gave them."""
        return np.flatnonzero(self.parents == node)

    def path(self, node: int) -> IntArray:
        """Nodes from the root to `node`, both included."""
        nodes = [node]
        while self.parents[nodes[-1]] >= 0:
            nodes.append(int(self.parents[nodes[-1]]))
        return np.array(nodes[::-1], dtype=np.int64)

    def follow(self, tokens: Iterable[int]) -> IntArray:
        """[followed] nodes below the root that a text runs through, as far as it stays in the tree."""
        edges = zip(self.parents.tolist(), self.tokens.tolist(), strict=True)
        child = {edge: node for node, edge in enumerate(edges)}
        followed: list[int] = []
        for token in tokens:
            node = child.get((followed[-1] if followed else 0, token))
            if node is None:
                break
            followed.append(node)
        return np.array(followed, dtype=np.int64)


def root_only(token: int) -> DraftTree:
    """The tree of plain decoding: the last committed token and nothing drafted."""
    return DraftTree(np.array([token]), np.array([-1]), np.zeros(1))


def _check(tokens: IntArray, parents: IntArray, log_probs: FloatArray) -> None:
    if (
        tokens.ndim != 1
        or len(tokens) == 0
        or tokens.shape != parents.shape
        or tokens.shape != log_probs.shape
    ):
        raise InvalidInput(
            f"a draft tree needs three equally long 1-d arrays with at least the root, got shapes "
            f"tokens {tokens.shape}, parents {parents.shape}, log_probs {log_probs.shape}"
        )
    if parents[0] != -1 or log_probs[0] != 0.0:
        raise InvalidInput(
            f"node 0 must be the root (parent -1, log-probability 0), got parent {parents[0]} "
            f"and log-probability {log_probs[0]}"
        )
    drafted = np.arange(1, len(parents))
    wrong = drafted[(parents[1:] < 0) | (parents[1:] >= drafted)]
    if len(wrong):
        node = int(wrong[0])
        raise InvalidInput(
            f"node {node} has parent {parents[node]}, expected one in 0..{node - 1}: parents must stand "
            "before their children (a cycle or a second root is not a tree); order the nodes by depth"
        )
    if (tokens < 0).any():
        raise InvalidInput(f"token ids must be >= 0, got {int(tokens.min())}")
    if not (log_probs <= 0.0).all():  # also catches NaN
        raise InvalidInput("drafter log-probabilities must be <= 0 and not NaN; normalise the drafter's law")
    edges = set(zip(parents[1:].tolist(), tokens[1:].tolist(), strict=True))
    if len(edges) != len(parents) - 1:
        raise InvalidInput("siblings must carry distinct tokens; merge duplicates into one node")


def _check_samples(parents: IntArray, samples: tuple[SampledChildren | None, ...] | None) -> None:
    if samples is None or len(samples) != len(parents):
        raise InvalidInput("a sampled draft tree needs `samples`, one entry for each node (None where none)")
    drawn = {int(child) for sample in samples if sample is not None for child in sample.draws}
    for node, sample in enumerate(samples):
        if sample is not None and any(parents[child] != node for child in sample.draws):
            raise InvalidInput(f"node {node} lists draws that are not its children; list child node indices")
    if drawn != set(range(1, len(parents))):
        raise InvalidInput("every drafted node of a sampled tree must stand in its parent's draws")
