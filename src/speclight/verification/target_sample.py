"""Target-sample match: draw the target's own token at each node and follow it while it was drafted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class TargetSample:
    """Accepts a drafted child v with exactly the target's probability p(v).

    This is the verification model of arXiv 2512.11718v1 (section 3.1, Definition 2) for deterministic
    drafts. Lossless for every tree that was fixed before the target's draws: each emitted token is a fresh
    draw from the target's law at its own prefix, whatever was drafted. At temperature 0 it is greedy match.
    """

    name: str = "target_sample"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        path = [0]
        while True:
            node = path[-1]
            token = noise.sample(node, target_laws(node))
            children = tree.children(node)
            match = children[tree.tokens[children] == token]
            if len(match) == 0:
                return Verdict(np.array(path, dtype=np.int64), token)
            path.append(int(match[0]))
