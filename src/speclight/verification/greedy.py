"""Greedy match: follow the target's most probable token while it was drafted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Greedy:
    """Emits the argmax of the target's law at every node (lowest token id on ties); uses no noise.

    Lossless with respect to greedy decoding only: its text is that of temperature 0 whatever the
    temperature asked for, so decoding refuses it at any other temperature. Source: Stern et al. 2018,
    "Blockwise Parallel Decoding for Deep Autoregressive Models", section 3.
    """

    name: str = "greedy"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        path = [0]
        while True:
            token = int(np.argmax(target_laws(path[-1])))
            children = tree.children(path[-1])
            match = children[tree.tokens[children] == token]
            if len(match) == 0:
                return Verdict(np.array(path, dtype=np.int64), token)
            path.append(int(match[0]))
