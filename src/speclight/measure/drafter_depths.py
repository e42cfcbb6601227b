"""A drafter by the depth of its drafts: how its law gets worse, and what any rule reaches with its chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.estimates import Estimate, mean_over


@dataclass(frozen=True, slots=True)
class DepthMoments:
    """Lemma 7's two numbers where all tokens before are one draft. depth: of the token drafted, from 1.

    miss_probability: that the text's token cannot be drafted. cross_entropy_on_hits: mean of -ln q of the
    text's token, a miss counted as 0, nats. Both with 95% intervals, clustered by prompt.
    """

    depth: int
    starts: int
    miss_probability: Estimate
    cross_entropy_on_hits: Estimate


def moments_by_depth(record: DrafterProfile) -> tuple[DepthMoments, ...]:
    """The moments at every depth that some start has; starts near the end of an ended text have fewer."""
    depths = max(len(start.ahead) for start in record.starts)
    found: list[DepthMoments] = []
    for depth in range(depths):
        starts = [start for start in record.starts if len(start.ahead) > depth]
        names = [start.prompt_id for start in starts]
        log_probs = np.array([start.ahead[depth] for start in starts])
        missed = np.isneginf(log_probs)
        found.append(
            DepthMoments(
                depth + 1,
                len(starts),
                mean_over(names, missed.astype(np.float64).tolist()),
                mean_over(names, np.where(missed, 0.0, -log_probs).tolist()),
            )
        )
    return tuple(found)


def chain_coupling(record: DrafterProfile) -> Estimate:
    """Most tokens per call of any lossless rule with chains of this drafter, as long as the record's depths.

    1 + sum over depths of min(1, Q/P) along the target's text, Q and P the probabilities of the path: the
    coupling bound at the recorded starts. Source: ours, docs/theory/drafter.md.
    """
    values = [1.0 + float(start.coupling.sum()) for start in record.starts]
    return mean_over([start.prompt_id for start in record.starts], values)
