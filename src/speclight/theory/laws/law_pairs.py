"""A target's law and a drafter's law at one context: everything Lemma 7 asks about the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.information import entropy


@dataclass(frozen=True, slots=True)
class LawPair:
    """Numbers of one context, p the target's law and q the drafter's.

    missed: probability under p of tokens that cannot be drafted. cross_entropy: sum of -p ln q over the
    others, nats. overlap: sum of min(p, q), the acceptance of one sampled draft. target_entropy: of p, nats.
    drafter_entropy, drafter_second: sums of -q ln q (nats) and of q (ln q)^2 (nats^2).
    """

    missed: float
    cross_entropy: float
    overlap: float
    target_entropy: float
    drafter_entropy: float
    drafter_second: float


def pair_of_laws(
    target: FloatArray, tokens: IntArray, log_probs: FloatArray, never_drafted: Sequence[int] = ()
) -> LawPair:
    """The pair of the target's law and a drafter's at one context.

    target: [vocab] p, sums to 1. tokens, log_probs: [candidates] of q, all others have q = 0.
    never_drafted: tokens that no tree holds whatever q says (end of text): the target misses with them.
    Raises InvalidInput if the target's is no law.
    """
    possible = np.isfinite(log_probs)
    tokens, log_probs = tokens[possible], log_probs[possible]
    drafted = ~np.isin(tokens, np.array(never_drafted, dtype=np.int64))
    on_hits, drafter = target[tokens], np.exp(log_probs)
    never = np.ones(len(target), dtype=np.bool_)
    never[tokens[drafted]] = False
    return LawPair(
        missed=float(target[never].sum()),
        cross_entropy=float(-(on_hits * log_probs)[drafted].sum()),
        overlap=float(np.minimum(on_hits, drafter).sum()),
        target_entropy=float(entropy(target)),
        drafter_entropy=float(-(drafter * log_probs).sum()),
        drafter_second=float((drafter * log_probs**2).sum()),
    )
