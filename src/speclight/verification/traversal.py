"""Traversal verification of a tree: leaves first, back up towards the root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.proposals import Proposal, Proposals
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Traversal:
    """Walks the tree depth first and tests a path only after everything below it was rejected.

    At a node of weight w (1 at the root) with m of the target's law p left (m = p at first), a drafted child
    x has weight min(1, w m(x) / q(x)). Where it is rejected with all below it, what is left becomes
    m' = norm (w m - q)_+ and the weight w' = S / (S + 1 - w), S = sum_x (w m(x) - q(x))_+. A node whose
    children are all rejected is accepted if its coin falls below its weight, and the token drawn from m.

    The weight of a node is the chance that it is accepted, given the tokens drawn up to it, whatever is
    drafted below it; hence lossless for any proposal law fixed before its draw: samples with or without
    replacement and, as one-hot laws, deterministic drafts. On a chain this is block verification, coin by
    coin. Source: Weng et al., arXiv 2505.12398; the form for arbitrary proposal laws is ours, and tested by
    enumeration.
    """

    name: str = "traversal"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        proposals = Proposals(tree)
        visits = [_Visit(0, 1.0, None, proposals, target_laws)]
        while True:
            visit = visits[-1]
            following = visit.next_proposal()
            if following is not None:
                weight = visit.weight_of(following)
                if weight > 0.0:
                    visits.append(_Visit(following.child, weight, following, proposals, target_laws))
                else:
                    visit.reject(following)
            elif visit.proposal is None or noise.accepts(visit.proposal.coin, visit.weight):
                path = np.array([step.node for step in visits], dtype=np.int64)
                return Verdict(path, noise.sample(visit.node, visit.left))
            else:
                visits.pop()
                visits[-1].reject(visit.proposal)


class _Visit:
    """A node on the path being walked: its weight, what is left of the target's law, what is still to try."""

    def __init__(
        self,
        node: int,
        weight: float,
        proposal: Proposal | None,
        proposals: Proposals,
        target_laws: TargetLaws,
    ) -> None:
        self.node = node
        self.weight = weight
        self.proposal = proposal  # the one that led here; None at the root
        self._target_laws = target_laws
        self._left: FloatArray | None = None
        # A leaf's law is processed only if the leaf is accepted.
        self._untried: Iterator[Proposal] = iter(())
        if proposals.count(node):
            self._untried = proposals.after(node, len(self.left))

    @property
    def left(self) -> FloatArray:
        """[vocab] the target's law after the node, given that the proposals tried so far were rejected."""
        if self._left is None:
            self._left = self._target_laws(self.node)
        return self._left

    def next_proposal(self) -> Proposal | None:
        """The next one to try; None when all were rejected."""
        return next(self._untried, None)

    def weight_of(self, following: Proposal) -> float:
        """The weight of a child."""
        return min(1.0, self.weight * float(self.left[following.token]) / following.probability)

    def reject(self, following: Proposal) -> None:
        """Take a child, rejected with all below it, out of what is left."""
        excess = np.maximum(self.weight * self.left - following.law, 0.0)
        mass = float(excess.sum())
        missing = 1.0 - self.weight
        if mass > 0.0:
            self._left = excess / mass
            self.weight = mass / (mass + missing)
        elif missing > 0.0:
            self.weight = 0.0
        # Otherwise the child was certain, so this is reached by rounding alone and nothing need change.
