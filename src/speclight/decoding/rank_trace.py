"""R of a race, call by call: the place of each emitted token in the drafter's own order of the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.information import kl_divergence
from speclight.trees.growing_tree import CandidateLaw, Draft
from speclight.trees.race_noise import RaceView
from speclight.verification.rule import TargetLaws


@dataclass(frozen=True, slots=True)
class RankTrace:
    """One emitted token: rank: its distinct rank among all candidates of the drafter's law, 1 the first to
    arrive, drafted or not; None where the drafter could not propose it. divergence: D_KL(p || q) of the
    target's and the drafter's law there, nats.
    """

    rank: int | None
    divergence: float


def traced_ranks(
    draft: Draft,
    path: IntArray,
    emitted: list[int],
    target_laws: TargetLaws,
    race: RaceView,
    never_drafted: frozenset[int],
) -> tuple[RankTrace | None, ...]:
    """[emitted] R at every context of the path, from the laws that the draft was grown with.

    None where the drafter was not asked for its law: after leaves of the draft. Whether it was asked depends
    on earlier ranks only, so for i.i.d. ranks those seen are a fair sample.
    """
    tokens = draft.tree.tokens[path[1:]].tolist()
    ranks: list[RankTrace | None] = []
    for depth, token in enumerate(emitted):
        law = draft.laws.get(tuple(tokens[:depth]))
        if law is None or not len(law.tokens):
            ranks.append(None)
            continue
        target = target_laws(int(path[depth]))
        ranks.append(
            RankTrace(
                distinct_rank(law, token, race.times(depth, len(target)), never_drafted),
                float(kl_divergence(target, _dense(law, len(target)))),
            )
        )
    return tuple(ranks)


def distinct_rank(
    law: CandidateLaw, token: int, times: FloatArray, never_drafted: frozenset[int] = frozenset()
) -> int | None:
    """Place of `token` in the order of times / law, 1 the first; None if it cannot be drafted.

    times: [vocab] of the race at this position. Ties count for neither side: they have probability 0.
    """
    can = np.isfinite(law.log_probs) & ~np.isin(law.tokens, sorted(never_drafted))
    keys = np.log(times[law.tokens[can]]) - law.log_probs[can]
    own = keys[law.tokens[can] == token]
    return int((keys < own[0]).sum()) + 1 if len(own) else None


def _dense(law: CandidateLaw, vocabulary_size: int) -> FloatArray:
    dense = np.zeros(vocabulary_size)
    dense[law.tokens] = np.exp(law.log_probs)
    return dense / dense.sum()
