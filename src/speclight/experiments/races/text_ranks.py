"""The rank laws of every rule along one sampled text, stacked: all that the comparison needs of a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from speclight.arrays import FloatArray
from speclight.experiments.races.laws import LawsAtToken, RaceDrafter, laws_along
from speclight.experiments.races.texts import RaceText
from speclight.measure.store import read_arrays, write_arrays
from speclight.models.causal_lm import CausalLM
from speclight.seeds import stream
from speclight.theory.coins.optimal_transport import transport_with_replacement, transport_without_replacement
from speclight.theory.information import kl_divergence, total_variation
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder
from speclight.theory.races.distinct_ranks import distinct_rank_law
from speclight.theory.races.emitted_ranks import EmittedRanks, emitted_ranks
from speclight.trees.race_noise import RaceField

RANKS = 32
# Sampled histories of rejection without replacement at each context.
HISTORIES = 16
# Every how many contexts the dear quantities are computed: law of R without the token, optimal transport.
STRIDE = 9
TRANSPORT_CANDIDATES = (1, 2, 4, 6, 8, 16, 32)
# Total error of a rank law, and of an optimal-transport value: far below the spread between contexts. Where
# nearly all mass is on one token the value without replacement takes a minute to 1e-5.
RANK_TOLERANCE, TRANSPORT_TOLERANCE = 1e-3, 1e-3


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TextRanks:
    """All arrays have one row a context, in the order of the text; the dear ones a row every STRIDE contexts.

    race .. any_set: as EmittedRanks. divergence: D_KL(p || q), nats. total_variation: of p and q.
    confidence: the drafter's largest probability. missing: the target's mass on tokens that the drafter's law
    has no place for. rank: of one race run by the field of this text, RANKS + 1 for any beyond. rank_law:
    [.., RANKS] P(R = m) of the distinct rank, the token not given. with_transport, without_transport:
    [.., candidates] most that any rule can accept of TRANSPORT_CANDIDATES drafts.
    """

    race: FloatArray
    race_with_replacement: FloatArray
    rejection: FloatArray
    rejection_without_replacement: FloatArray
    k_seq: FloatArray
    ratio: FloatArray
    matching_sets: FloatArray
    any_set: FloatArray
    divergence: FloatArray
    total_variation: FloatArray
    confidence: FloatArray
    missing: FloatArray
    rank: FloatArray
    rank_law: FloatArray
    with_transport: FloatArray
    without_transport: FloatArray


@dataclass(frozen=True, slots=True)
class _OfContext:
    """One context's row of the quantities that are cheap, named as in TextRanks."""

    divergence: float
    total_variation: float
    confidence: float
    missing: float
    rank: int


@dataclass(frozen=True, slots=True, eq=False)
class _Unconditional:
    """One row of the dear quantities, named as in TextRanks."""

    rank_law: FloatArray
    with_transport: FloatArray
    without_transport: FloatArray


def text_ranks(target: CausalLM, drafter: RaceDrafter, text: RaceText, cache: Path) -> TextRanks:
    """The rank laws along a text, kept in a file of the folder `cache` once computed; the laws are not."""
    unit = f"temperature-{text.temperature}-text-{text.number:03d}"
    names = [field.name for field in fields(TextRanks)]
    if not (cache / f"{unit}.npz").exists():
        computed = _computed(laws_along(target, drafter, text), text.number)
        write_arrays(cache, unit, {name: getattr(computed, name) for name in names})
    return TextRanks(**read_arrays(cache, unit, names))


def _computed(pairs: Iterable[LawsAtToken], number: int) -> TextRanks:
    """The ranks of one text. number: of the text; seeds the sampled histories and the races."""
    rng = stream(number, RANKS)
    steps: list[EmittedRanks] = []
    plain: list[_OfContext] = []
    dear: list[_Unconditional] = []
    for place, pair in enumerate(pairs):
        target, law = pair.target, pair.drafter
        steps.append(emitted_ranks(target, law, pair.token, rng.random((HISTORIES, RANKS - 1))))
        plain.append(
            _OfContext(
                divergence=float(kl_divergence(target, law)),
                total_variation=float(total_variation(target, law)),
                confidence=float(law.max()),
                missing=float(target[law == 0.0].sum()),
                rank=_raced_rank(target, law, RaceField(0, number).times(place, len(law))),
            )
        )
        if place % STRIDE == 0:
            dear.append(_unconditional(target, law))
    return TextRanks(**_stacked(steps), **_stacked(plain), **_stacked(dear))


def _stacked(rows: Sequence[EmittedRanks | _OfContext | _Unconditional]) -> dict[str, FloatArray]:
    """The rows' fields by name, [rows, ...] each."""
    names = [field.name for field in fields(rows[0])]
    return {name: np.stack([np.asarray(getattr(row, name)) for row in rows]) for name in names}


def _raced_rank(target: FloatArray, drafter: FloatArray, times: FloatArray) -> int:
    with np.errstate(divide="ignore", invalid="ignore"):
        winner = int(np.nanargmin(times / target))
        ahead = int((times / drafter < times[winner] / drafter[winner]).sum())
    return min(ahead + 1, RANKS + 1)


def _unconditional(target: FloatArray, drafter: FloatArray) -> _Unconditional:
    pair = LikelihoodRatioOrder(target, drafter)
    law = distinct_rank_law(pair.target, pair.drafter, RANKS, RANK_TOLERANCE)
    return _Unconditional(
        rank_law=law.probabilities,
        with_transport=np.array(
            [transport_with_replacement(target, drafter, count) for count in TRANSPORT_CANDIDATES]
        ),
        without_transport=np.array(
            [
                transport_without_replacement(target, drafter, count, TRANSPORT_TOLERANCE)
                for count in TRANSPORT_CANDIDATES
            ]
        ),
    )
