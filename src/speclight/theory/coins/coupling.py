"""The most that any lossless rule can reach with a given drafter, whatever randomness the two share.

Ours. A drafted node v is kept at most as often as it is drafted, and at most as often as the target's text
goes through it: Pr[v kept] <= min(P(v), Pr[v drafted]) (the coupling inequality). Summed over nodes along the
target's own text x,

    E[X] <= 1 + sum_{i >= 1} E_text[min(1, Pr[x^i drafted]/P(x^i))],   x^i the first i tokens after the start.

It holds for rejection, block verification, races and every other rule that leaves the target's law as it is,
for chains and for random trees; a deterministic tree is the case Pr[v drafted] in {0, 1}. Proof:
docs/theory/drafter.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import usable_starts


@dataclass(frozen=True, slots=True)
class CouplingBound:
    """What no lossless rule exceeds with a given drafter.

    value: tokens per call at uniform starts. by_depth: [K] its terms. standard_error: clustered by prompt,
    NaN for one prompt. starts: used.
    """

    value: float
    standard_error: float
    by_depth: tuple[float, ...]
    starts: int


def coupling_bound(texts: Sequence[SampledText], drafted: Sequence[FloatArray]) -> CouplingBound:
    """From texts of the target, and how likely the drafter drafts them.

    drafted: for each text [tokens, K], at [s, i] the log-probability that the path of the i + 1 tokens from
    s on is drafted by a call that starts at s; what lies behind the text's end is not read. Starts of texts
    cut by a limit need K further tokens. Raises InvalidInput for shapes that do not fit, or without a start.
    """
    if len(texts) != len(drafted) or not texts:
        raise InvalidInput(f"each of {len(texts)} texts needs its drafted paths, got {len(drafted)}")
    depth = drafted[0].shape[1] if drafted[0].ndim == 2 else 0
    prompts = {name: i for i, name in enumerate(dict.fromkeys(text.prompt_id for text in texts))}
    terms, starts = np.zeros((len(prompts), depth)), np.zeros(len(prompts))
    for text, paths in zip(texts, drafted, strict=True):
        if depth < 1 or paths.shape != (len(text), depth):
            raise InvalidInput(
                f"a text of {len(text)} tokens needs drafted paths [tokens, K] with K >= 1, got {paths.shape}"
            )
        used = usable_starts(text, depth + 1)
        kept = np.minimum(1.0, np.exp(np.minimum(paths[:used] - _target_paths(text, depth)[:used], 0.0)))
        nodes = len(text) - text.ended
        behind = np.arange(used)[:, None] + np.arange(depth)[None, :] >= nodes
        terms[prompts[text.prompt_id]] += np.where(behind, 0.0, kept).sum(axis=0)
        starts[prompts[text.prompt_id]] += used
    if not starts.sum():
        raise InvalidInput(f"no start has the {depth} further tokens that {depth} drafts need")
    return CouplingBound(
        1.0 + float(terms.sum() / starts.sum()),
        ratio_standard_error(terms.sum(axis=1), starts),
        tuple((terms.sum(axis=0) / starts.sum()).tolist()),
        int(starts.sum()),
    )


def chain_paths(log_probs: npt.ArrayLike, drafted: int) -> FloatArray:
    """[tokens, K] paths of a chain of K = `drafted` tokens, each drawn after those before it.

    log_probs: [tokens] the drafter's log-probability of each token of the text, after the text before it:
    one teacher-forced pass.
    """
    steps, count = np.asarray(log_probs, dtype=np.float64), check_count(drafted, "drafted")
    padded = np.append(steps, np.zeros(count))
    return np.cumsum(np.stack([padded[i : i + len(steps)] for i in range(count)], axis=1), axis=1)


def parallel_head_paths(log_probs: npt.ArrayLike) -> FloatArray:
    """[tokens, K] paths of heads that do not see each other's drafts: products of their marginals.

    log_probs: [tokens, K], at [s, i] head i's log-probability, after the text before s, of token s + i.
    """
    return np.cumsum(np.asarray(log_probs, dtype=np.float64), axis=1)


def independent_chains(paths: FloatArray, chains: int) -> FloatArray:
    """[tokens, K] paths of several chains drafted independently: 1 - (1 - Q)^chains."""
    missed = check_count(chains, "chains") * np.log1p(-np.minimum(np.exp(paths), 1.0 - 1e-16))
    return np.log(-np.expm1(missed))


def _target_paths(text: SampledText, depth: int) -> FloatArray:
    return chain_paths(-text.surprisals, depth)
