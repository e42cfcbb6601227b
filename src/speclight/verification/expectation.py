"""E[X | tree] of a rule: the tokens a call is expected to emit with the tree that was drafted."""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.enumeration import enumerate_outcomes
from speclight.verification.gls import Gls
from speclight.verification.noise import Noise
from speclight.verification.race import Race
from speclight.verification.race_with_replacement import RaceWithReplacement
from speclight.verification.rule import TargetLaws, VerifyRule
from speclight.verification.target_sample import TargetSample

# Drafted with the noise that the target's choice is made with: given the tree, their coins are not fair ones.
COUPLED: frozenset[DraftKind] = frozenset({"race", "race_with_replacement", "gls"})
# Rules that emit the target's own draw, whatever was drafted: of a draft fixed before, each token is one.
TARGETS_OWN = (TargetSample, Race, RaceWithReplacement, Gls)


def expected_tokens(rule: VerifyRule, tree: DraftTree, laws: TargetLaws) -> float | None:
    """The mean length of the accepted path with its root, over all of the rule's coins; exact.

    None for drafts that share their noise with the verdict: their tree says something of it. By enumeration
    (as many outcomes as there are ways to accept), for rules that emit the target's own draw by Lemma 1 of
    arXiv 2512.11718v1.
    """
    if len(tree) == 1:
        return 1.0
    if tree.kind in COUPLED:
        return None
    if isinstance(rule, TARGETS_OWN):
        return _sum_of_path_probabilities(tree, laws)
    outcomes = enumerate_outcomes(lambda noise: len(rule.verify(tree, laws, _PathOnly(noise)).path))
    return sum(outcome.result * outcome.probability for outcome in outcomes)


def _sum_of_path_probabilities(tree: DraftTree, laws: TargetLaws) -> float:
    chances = np.ones(len(tree))
    for parent in np.unique(tree.parents[1:]).tolist():  # parents come before their children
        children = tree.children(parent)
        chances[children] = chances[parent] * laws(parent)[tree.tokens[children]]
    return float(chances.sum())


class _PathOnly:
    """The coins of other noise; the token after the path is not of interest."""

    def __init__(self, coins: Noise) -> None:
        self.accepts = coins.accepts
        self.race_winner = coins.race_winner

    def sample(self, node: int, law: FloatArray) -> int:
        return 0
