"""The race rule: the target's winner of the shared noise is emitted, whatever was drafted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict

RACED: frozenset[DraftKind] = frozenset({"race", "race_with_replacement"})
RACE_OR_ANY_DRAFT = ANY_DRAFT | RACED


@dataclass(frozen=True, slots=True)
class Race:
    """Emits argmin_i E_i / p(i) at every node and follows it while it was drafted.

    E is the Exp(1) noise of the output position, which a race draft was ranked with as well: its candidates
    are the first tokens of E_i / q(i). No coin is flipped, no residual is formed and q is not needed. The
    text is a function of noise and target alone, so at one seed it is the same for every drafter, tree and
    budget, and for any kind of draft ("drafter invariance"): a wrong draft costs speed, never the text.

    Source: "exponential race speculative decoding" (ERSD) of arXiv 2504.15475. The body of that paper was
    not available to us: this is a reconstruction from its abstract and public summaries.
    """

    name: str = "race"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = RACE_OR_ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        return follow_winners(tree, target_laws, noise)


def follow_winners(tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
    """The path of drafted race winners from the root, and the first winner that was not drafted."""
    path = [0]
    while True:
        token = noise.race_winner(len(path) - 1, target_laws(path[-1]))
        child = child_holding(tree, path[-1], token)
        if child is None:
            return Verdict(np.array(path, dtype=np.int64), token)
        path.append(child)


def child_holding(tree: DraftTree, node: int, token: int) -> int | None:
    """The child of `node` that holds `token`, if there is one."""
    children = tree.children(node)
    match = children[tree.tokens[children] == token]
    return int(match[0]) if len(match) else None
