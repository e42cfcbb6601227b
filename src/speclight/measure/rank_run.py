"""What the ranks of one decoding run say: their law, H[R], and the bound on tokens per call they pay for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.decoding.call_trace import CallTrace
from speclight.errors import InvalidInput
from speclight.theory.bound import Bound
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.rank_entropy import EntropyEstimate, rank_entropy_from_counts
from speclight.theory.races.speed_up import speed_up, speed_up_converse


@dataclass(frozen=True, slots=True)
class RankRun:
    """Ranks of a run by the rule race, R distinct; tokens the drafter could not propose are one more value.

    calls, tokens: of the whole run. observed: contexts whose R is known. law: shares of R = 1, 2, ... up to
    the largest one seen. unproposable: share of tokens that the drafter gives no chance. entropy: H[R],
    plug-in and Miller-Madow. divergence: mean D_KL(p || q), nats; infinite if a token of the target's is
    unproposable anywhere. bound: E[X] <= ln(P (|V| - 1) + 1) / H[R]. converse: what the best rank tree
    reaches at least if ranks are i.i.d. and never unproposable. Both use the Miller-Madow estimate.
    Where many ranks were seen once it is still too small, so the bound too high.

    D_KL <= H[R] is not among these: it is about arrivals with replacement and false for this R
    (`divergence_lower_bound` refuses it).
    """

    calls: int
    tokens: int
    observed: int
    law: tuple[float, ...]
    unproposable: float
    entropy: EntropyEstimate
    divergence: float
    bound: Bound
    converse: Bound

    @property
    def tokens_per_call(self) -> float:
        """X of the run, the target's own token counted."""
        return self.tokens / self.calls


def rank_run(calls: Sequence[CallTrace], node_budget: int, vocabulary_size: int) -> RankRun:
    """Account for the traces of one run, or of several with one drafter and budget.

    node_budget: P. vocabulary_size: |V|. Raises InvalidInput if no trace holds a rank: decode with
    `record_ranks` and a drafter that drafts.
    """
    ranks = [rank for call in calls for rank in call.ranks or () if rank is not None]
    if not ranks:
        raise InvalidInput(
            f"none of {len(calls)} traces holds a rank, expected at least one; decode by the rule race with "
            "record_ranks=True and a drafter that draws trees from a law"
        )
    known = np.array([each.rank for each in ranks if each.rank is not None], dtype=np.int64)
    counts = np.bincount(known, minlength=2)[1:]
    missed = len(ranks) - len(known)
    entropy = rank_entropy_from_counts(np.append(counts, missed))
    return RankRun(
        calls=len(calls),
        tokens=sum(call.tokens_emitted for call in calls),
        observed=len(ranks),
        law=tuple((counts / len(ranks)).tolist()),
        unproposable=missed / len(ranks),
        entropy=entropy,
        divergence=float(np.mean([each.divergence for each in ranks])),
        bound=speed_up(node_budget, vocabulary_size, entropy.miller_madow, RankConvention.DISTINCT),
        converse=speed_up_converse(node_budget, entropy.miller_madow),
    )
