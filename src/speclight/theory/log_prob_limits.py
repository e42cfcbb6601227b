"""The limit of speculative decoding for a target known by its sampled log-probabilities alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speclight.errors import InvalidInput
from speclight.theory.bound import check_node_budget
from speclight.theory.ergodic.bound import ErgodicRenewal, ergodic_renewal
from speclight.theory.ergodic.certificates import LowerEstimate, certified_decode
from speclight.theory.ergodic.chains import ChainLimits, chain_limits
from speclight.theory.ergodic.decode import REPLICAS, DecodeBound, decode_bound
from speclight.theory.ergodic.entropy_rate import decode_leaf_entropy, entropy_rate_bound
from speclight.theory.ergodic.least_cost import UpperEstimate
from speclight.theory.ergodic.trace_walk import PairedRatio, TraceWalk, over_walk, trace_walk
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import usable_starts


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Limits:
    """What decodes of a target can average at one node budget, in tokens per call, deterministic drafts.

    certified: what a decode that exists reaches: the best one lies at or above it. decode: what no decode
    exceeds, wherever its calls start. Between the two lies the limit. walk: an estimate of what one common
    threshold reaches whose trees hold P nodes on average; None if no text has the P - 1 further tokens that a
    start needs. over_walk: the decode bound over the walk, both held to the texts' limits, paired by prompt:
    what remains between them. chains: for drafts without branches, of P - 1 tokens; None at P = 1.
    entropy_rate, leaf_entropy: simpler bounds on a decode, the second None without a vocabulary
    size. uniform_starts: bounds E[X] over uniform positions, which is another quantity: no bound on a decode;
    None as `walk`. Every estimate carries its sampling error, clustered by prompt.
    """

    node_budget: int
    certified: LowerEstimate
    decode: DecodeBound
    walk: TraceWalk | None
    over_walk: PairedRatio | None
    chains: ChainLimits | None
    entropy_rate: UpperEstimate
    leaf_entropy: UpperEstimate | None
    uniform_starts: ErgodicRenewal | None


def limits_from_log_probs(
    texts: Sequence[npt.ArrayLike],
    node_budget: int,
    *,
    ended: bool | Sequence[bool],
    prompts: Sequence[str] | None = None,
    length_limit: int | None = None,
    vocabulary_size: int | None = None,
    level: float = 0.95,
) -> Limits:
    """The limits at P from plain log-probabilities, as an inference API returns them.

    texts: for each, the natural log-probabilities of its sampled tokens under the law sampled from
    (temperature 1 without top-k, top-p and penalties, or processed ones). ended: whether each stopped with an
    end-of-text token, the last of its log-probabilities, or was cut (True or False for all alike). prompts:
    name of each text's prompt; texts of one prompt are resampled together; each its own if None.
    length_limit: max_tokens under which ended texts were made. vocabulary_size: for the leaf entropy.
    Source: ours. Raises InvalidInput for positive log-probabilities, lists of different lengths, or texts
    without tokens.
    """
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        raise InvalidInput(
            f"got the texts {texts!r}, expected a list of lists of log-probabilities; write [text]"
        )
    stopped = [ended] * len(texts) if isinstance(ended, bool) else list(ended)
    names = [str(i) for i in range(len(texts))] if prompts is None else list(prompts)
    if not len(texts) == len(stopped) == len(names):
        raise InvalidInput(
            f"each of {len(texts)} texts needs to be known as ended or cut, and its prompt; got "
            f"{len(stopped)} and {len(names)}"
        )
    sampled: list[SampledText] = []
    for log_probs, end, name in zip(texts, stopped, names, strict=True):
        try:
            values = np.asarray(log_probs, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"got log-probabilities that are no numbers ({error}), expected natural logarithms of the "
                "sampled tokens' probabilities; leave out the tokens"
            ) from error
        if (values > 1e-3).any():  # float32 rounds probabilities of 1 a little above
            raise InvalidInput(
                f"log-probabilities must be <= 0, got {values.max():.4g}; give natural logarithms of the "
                "sampled tokens' probabilities"
            )
        sampled.append(SampledText(-values, end, name, length_limit=length_limit if end else None))
    return limits_of_texts(sampled, node_budget, vocabulary_size, level)


def limits_of_texts(
    texts: Sequence[SampledText],
    node_budget: int,
    vocabulary_size: int | None = None,
    level: float = 0.95,
) -> Limits:
    """The same from texts that are there already. Errors as in `limits_from_log_probs`."""
    budget = check_node_budget(node_budget)
    some_start = any(usable_starts(text, budget) > 0 for text in texts)
    bound, walk = decode_bound(texts, budget, level=level), trace_walk(texts, budget) if some_start else None
    return Limits(
        node_budget=budget,
        certified=certified_decode(texts, budget, level=level),
        decode=bound,
        walk=walk,
        over_walk=None if walk is None else over_walk(bound, walk),
        chains=chain_limits(texts, budget - 1, level=level) if budget > 1 else None,
        entropy_rate=entropy_rate_bound(texts, budget, REPLICAS, level=level),
        leaf_entropy=None
        if vocabulary_size is None
        else decode_leaf_entropy(texts, budget, vocabulary_size, REPLICAS, level=level),
        uniform_starts=ergodic_renewal(texts, budget) if some_start else None,
    )
