"""List sampling over several noise sets, each followed by one drafted chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.race import child_holding
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Gls:
    """Emits argmin_i of min over active noise sets of E_i / p(i); a set is active while its draft matched.

    Draft k is the winner of noise set k under the drafter's law, so the drafts at a node are independent.
    Which sets are active at a position depends on noise of earlier positions only, hence each emitted token
    has the target's law. The text depends on the drafter through the active sets: it is invariant only given
    the drafts accepted so far. Where nothing was drafted set 0 decides.
    Source: Rowan, Phan and Khisti, arXiv 2506.05632 ("Gumbel-max list sampling"), section 4.
    """

    name: str = "gls"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = frozenset({"gls", "deterministic"})

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule. Raises InvalidInput if the sets drafted for cannot be told from the tree."""
        path, active = [0], tuple(range(max(1, len(_winners(tree, 0)))))
        while True:
            node = path[-1]
            winners = _winners(tree, node)
            if len(winners) not in (0, len(active)):
                raise InvalidInput(
                    f"node {node} holds the winners of {len(winners)} noise sets, expected {len(active)}: "
                    "list one draw for each set whose draft reached the node"
                )
            token = noise.race_winner(len(path) - 1, target_laws(node), active)
            child = child_holding(tree, node, token)
            if child is None:
                return Verdict(np.array(path, dtype=np.int64), token)
            path.append(child)
            if winners:
                active = tuple(
                    noise_set for noise_set, drawn in zip(active, winners, strict=True) if drawn == child
                )


def _winners(tree: DraftTree, node: int) -> list[int]:
    """The child each active set's draft went to, in the order of the sets; empty if nothing was drafted."""
    sample = tree.samples[node] if tree.kind == "gls" and tree.samples is not None else None
    return [] if sample is None else sample.draws.tolist()
