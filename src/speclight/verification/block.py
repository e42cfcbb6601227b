"""Block verification of a chain: all drafted tokens are judged together, from the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise, draw_counts
from speclight.verification.proposals import Proposal, Proposals
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Block:
    """Accepts the longest prefix of a chain whose own coin says so, more tokens than token by token.

    With w_0 = 1 and w_i = min(1, w_{i-1} p(x_i) / q(x_i)) the prefix of i tokens is accepted if its coin
    falls below h_i = S_i / (S_i + 1 - w_i), S_i = sum_x (w_i p(x) - q(x))_+, at the chain's end h = w; the
    longest accepted prefix counts. Then the token is drawn from norm (w_i p - q)_+, at the chain's end from
    p. No chain verifier accepts more in expectation. Source: Sun et al., arXiv 2403.10444.

    Of every kind a chain holds one draw a node, so all kinds are legal (deterministic ones as one-hot laws).
    Raises InvalidInput for a tree that branches or holds a repeated draw.
    """

    name: str = "block"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        if max(draw_counts(tree)) > 1:
            raise InvalidInput(
                "rule 'block' verifies chains, got a tree that branches; draft a chain or take 'traversal'"
            )
        prefixes = _prefixes(tree, target_laws)
        coin = len(prefixes) - 2  # of the last prefix's last token
        while len(prefixes) > 1 and not noise.accepts(coin, prefixes[-1].acceptance):
            prefixes.pop()
            coin -= 1
        last = prefixes[-1]
        path = np.array([prefix.node for prefix in prefixes], dtype=np.int64)
        law = target_laws(last.node) if last.law is None else last.residual()
        return Verdict(path, noise.sample(last.node, law))


@dataclass(frozen=True, slots=True, eq=False)
class _Prefix:
    """A drafted prefix, by its last node; law and following are None where the chain ends.

    weight: w, the chance that a verdict accepts at least this prefix, given its tokens. law: [vocab] the
    target's after it. following: the draft's next token.
    """

    node: int
    weight: float
    law: FloatArray | None
    following: Proposal | None

    @property
    def acceptance(self) -> float:
        """h, the chance to accept it once all longer prefixes were rejected."""
        if self.law is None or self.following is None:
            return self.weight
        excess = float(np.maximum(self.weight * self.law - self.following.law, 0.0).sum())
        missing = 1.0 - self.weight
        # No excess and nothing missing: the longer prefix was certain, so this is reached by rounding only.
        return excess / (excess + missing) if excess + missing > 0.0 else 1.0

    def residual(self) -> FloatArray:
        """[vocab] the law of the token after it, given that all longer prefixes were rejected."""
        assert self.law is not None
        assert self.following is not None
        left = np.maximum(self.weight * self.law - self.following.law, 0.0)
        return left / left.sum() if left.any() else self.law


def _prefixes(tree: DraftTree, target_laws: TargetLaws) -> list[_Prefix]:
    """Every prefix that can be accepted, the empty one first; those of weight 0 are left out."""
    proposals, prefixes = Proposals(tree), list[_Prefix]()
    node, weight = 0, 1.0
    while True:
        if node + 1 == len(tree):  # a chain's nodes stand in order
            return [*prefixes, _Prefix(node, weight, None, None)]
        law = target_laws(node)
        following = next(proposals.after(node, len(law)))
        prefixes.append(_Prefix(node, weight, law, following))
        weight = min(1.0, weight * float(law[following.token]) / following.probability)
        if weight == 0.0:
            return prefixes
        node = following.child
