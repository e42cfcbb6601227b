"""The rank laws of every rule along one recorded text, stacked: all that the comparison needs of a text."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from speclight.experiments.count_law import count_law
from speclight.experiments.emitted_ranks import EmittedRanks, emitted_ranks
from speclight.experiments.race_records import RecordedText
from speclight.measure.store import write_whole
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.theory.distinct_ranks import distinct_rank_law
from speclight.theory.information import kl_divergence, total_variation
from speclight.theory.likelihood_ratio import LikelihoodRatioOrder
from speclight.theory.optimal_transport import transport_with_replacement, transport_without_replacement
from speclight.trees.race_noise import RaceField

FloatArray = npt.NDArray[np.float64]

RANKS = 32
# Sampled histories of rejection without replacement at each context.
HISTORIES = 16
# Every how many contexts the dear quantities are computed: law of R without the token, optimal transport.
STRIDE = 9
TRANSPORT_CANDIDATES = (1, 2, 4, 6, 8, 16, 32)
# Total error of a rank law, and of an optimal-transport value: far below the spread between contexts. Where
# nearly all mass is on one token the value without replacement takes a minute to 1e-5.
RANK_TOLERANCE, TRANSPORT_TOLERANCE = 1e-3, 1e-3

DrafterLaw = Literal["layer_skip", "ngram"]


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TextRanks:
    """All arrays have one row a context, in the order of the text; the dear ones a row every STRIDE contexts.

    race .. any_set: as EmittedRanks. divergence: D_KL(p || q), nats. total_variation: of p and q.
    confidence: the drafter's largest probability. rank: of one race run by the field of this text, RANKS + 1
    for any beyond. rank_law: [.., RANKS] P(R = m) of the distinct rank, the token not given. with_transport,
    without_transport: [.., candidates] most that any rule can accept of TRANSPORT_CANDIDATES drafts.
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
    rank: FloatArray
    rank_law: FloatArray
    with_transport: FloatArray
    without_transport: FloatArray


def text_ranks(text: RecordedText, drafter: DrafterLaw, number: int, cache: Path) -> TextRanks:
    """The rank laws along a recorded text, kept in a file of the folder `cache` once computed.

    number: of the text; seeds the sampled histories and the races.
    """
    path = cache / f"{drafter}-temperature-{text.temperature}-text-{number:03d}.npz"
    names = [field.name for field in fields(TextRanks)]
    if not path.exists():
        computed = _computed(text, drafter, number)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: getattr(computed, name) for name in names})
        write_whole(path, buffer.getvalue())
    with np.load(path) as stored:
        return TextRanks(**{name: stored[name] for name in names})


def _computed(text: RecordedText, drafter: DrafterLaw, number: int) -> TextRanks:
    sampling = SamplingSettings(text.temperature)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([number, RANKS])))
    steps: list[EmittedRanks] = []
    plain: list[tuple[float, float, float, int]] = []
    dear: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for place, token in enumerate(text.token_ids):
        target = processed_probabilities(text.target_logits[place][None], sampling)[0]
        law = _drafter_law(text, place, drafter, sampling)
        steps.append(emitted_ranks(target, law, token, rng.random((HISTORIES, RANKS - 1))))
        plain.append(
            (
                float(kl_divergence(target, law)),
                float(total_variation(target, law)),
                float(law.max()),
                _raced_rank(target, law, RaceField(0, number).times(place, len(law))),
            )
        )
        if place % STRIDE == 0:
            dear.append(_unconditional(target, law))
    of_steps = {
        field.name: np.stack([np.asarray(getattr(step, field.name)) for step in steps])
        for field in fields(EmittedRanks)
    }
    divergence, distance, confidence, rank = (np.array(column) for column in zip(*plain, strict=True))
    rank_law, with_transport, without_transport = (np.stack(column) for column in zip(*dear, strict=True))
    return TextRanks(
        **of_steps,
        divergence=divergence,
        total_variation=distance,
        confidence=confidence,
        rank=rank,
        rank_law=rank_law,
        with_transport=with_transport,
        without_transport=without_transport,
    )


def _drafter_law(
    text: RecordedText, place: int, drafter: DrafterLaw, sampling: SamplingSettings
) -> FloatArray:
    if drafter == "layer_skip":
        return processed_probabilities(text.drafter_logits[place][None], sampling)[0]
    before = [*text.prompt_token_ids, *text.token_ids[:place]]
    return count_law(before, text.target_logits.shape[1])


def _raced_rank(target: FloatArray, drafter: FloatArray, times: FloatArray) -> int:
    with np.errstate(divide="ignore", invalid="ignore"):
        winner = int(np.nanargmin(times / target))
        ahead = int((times / drafter < times[winner] / drafter[winner]).sum())
    return min(ahead + 1, RANKS + 1)


def _unconditional(target: FloatArray, drafter: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    pair = LikelihoodRatioOrder(target, drafter)
    law = distinct_rank_law(pair.target, pair.drafter, RANKS, RANK_TOLERANCE)
    return (
        law.probabilities,
        np.array([transport_with_replacement(target, drafter, count) for count in TRANSPORT_CANDIDATES]),
        np.array(
            [
                transport_without_replacement(target, drafter, count, TRANSPORT_TOLERANCE)
                for count in TRANSPORT_CANDIDATES
            ]
        ),
    )
