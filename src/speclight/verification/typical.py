"""Typical acceptance: LOSSY, the emitted text does not have the target's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.theory.information import entropy
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.rule import ANY_DRAFT, TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Typical:
    """LOSSY. Accepts a drafted token whose target probability is not too small for so uncertain a law.

    x is accepted where p(x) > min(threshold, alpha exp(-H(p))), H in nats. The longest accepted path is
    taken, among several the one most probable under the target (then the first), and the token after it is
    drawn from the target's law. Acceptance reads no noise, so drafted tokens are preferred beyond what the
    target's law allows: text comes faster, and comes from another law. At temperature 0 it is greedy match.

    threshold, alpha: 0.09 and 0.3 as in the Medusa release. Source: Medusa, arXiv 2401.10774, section 2.3.1
    (epsilon and delta there).
    """

    threshold: float = 0.09
    alpha: float = 0.3
    name: str = "typical"
    is_lossless: bool = False
    draft_kinds: frozenset[DraftKind] = ANY_DRAFT

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        accepted = {0: (0, 0.0)}  # node -> depth, log-probability of its path
        best = 0
        for node in range(len(tree)):  # parents come before their children
            children = tree.children(node)
            if node not in accepted or len(children) == 0:
                continue
            depth, path_log_prob = accepted[node]
            law = target_laws(node)
            least = min(self.threshold, self.alpha * float(np.exp(-entropy(law))))
            for child in children.tolist():
                probability = float(law[tree.tokens[child]])
                if probability > least:
                    accepted[child] = (depth + 1, path_log_prob + float(np.log(probability)))
                    best = max(best, child, key=lambda candidate: accepted[candidate])
        return Verdict(tree.path(best), noise.sample(best, target_laws(best)))
