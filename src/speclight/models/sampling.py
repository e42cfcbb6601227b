"""From logits to the law that is sampled: temperature, top-k, top-p. Pure functions on numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from speclight.arrays import FloatArray
from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.compiled_laws import can_compile_laws, compiled_laws
from speclight.models.sampling_settings import SamplingSettings as SamplingSettings
from speclight.trees.best_values import bar_of_best


def processed_probabilities(logits: npt.NDArray[Any], settings: SamplingSettings) -> FloatArray:
    """The law each row is sampled from, after temperature, top-k and top-p in this order.

    logits: [rows, vocab], any float dtype, nats up to a constant per row; -inf excludes a token. Returns
    [rows, vocab] float64, rows summing to 1 within rounding; the input is not changed.

    The order and the sets kept are those of Transformers' logits warpers: top-k keeps every token that ties
    with the k-th best, top-p the fewest best tokens. Where top-p cuts between equals the lowest ids stay
    (Transformers leaves that to an unstable sort). At temperature 0 top-k and top-p are without effect and
    the lowest id among the best tokens wins.

    Raises InvalidInput for another shape, BrokenModelOutput if a row holds NaN or +inf or only -inf.
    """
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise InvalidInput(f"got logits of shape {logits.shape}, expected [rows, vocab] with vocab >= 1")
    places = logits.argmax(axis=1)[:, None]  # of the first best, or of a NaN if there is one
    best = np.take_along_axis(logits, places, 1)
    broken = np.flatnonzero(~np.isfinite(best[:, 0]))
    if len(broken):
        row = int(broken[0])
        raise BrokenModelOutput(
            f"row {row} of the logits has the maximum {best[row, 0]}, expected a finite number; "
            "check the weights, or use dtype float32 if the model overflows in a smaller type",
            argument="dtype",
        )
    if settings.temperature == 0.0:
        greedy = np.zeros(logits.shape)
        np.put_along_axis(greedy, places, 1.0, 1)
        return greedy
    if not _has_cuts(settings) and can_compile_laws(logits, settings.temperature):
        return compiled_laws(logits, best[:, 0].astype(np.float64), settings.temperature)
    return laws_row_by_row(logits, best, settings)


def laws_row_by_row(
    logits: npt.NDArray[Any], best: npt.NDArray[Any], settings: SamplingSettings
) -> FloatArray:
    """`processed_probabilities` above temperature 0, in numpy. best: [rows, 1] each row's largest, finite."""
    laws = np.empty(logits.shape)
    # Row by row: a row stays in the processor's cache from its first step to its last.
    for law, row, largest in zip(laws, logits, best, strict=True):
        np.subtract(row, largest, out=law, dtype=np.float64)
        if settings.temperature != 1.0:
            with np.errstate(over="ignore"):  # a tiny temperature drives the others to -inf, as it should
                law /= settings.temperature
        if settings.top_k is not None and settings.top_k < len(law):
            _exclude_beyond_top_k(law, settings.top_k)
        _normalise(law)
        if settings.top_p is not None and settings.top_p < 1.0:
            _exclude_beyond_top_p(law, settings.top_p)
    return laws


def law_on_device(logits: torch.Tensor, settings: SamplingSettings) -> FloatArray:
    """[vocab] `processed_probabilities` of one row, worked out where the row lies, on a device with float64.

    At temperature 0 two numbers leave the device, else the finished law; top-k and top-p are applied here.
    Raises BrokenModelOutput as there.
    """
    if settings.temperature == 0.0:
        best = int(logits.argmax())  # the first of equals; a NaN, if there is one
        if bool(torch.isfinite(logits[best])):
            law = np.zeros(len(logits))
            law[best] = 1.0
            return law
    elif not _has_cuts(settings):
        scores = logits.double()
        law = torch.softmax((scores - scores.max()) / settings.temperature, 0).cpu().numpy()
        if np.isfinite(law[0]):  # all of them are NaN where one is
            return law
    return processed_probabilities(logits.cpu().numpy()[None], settings)[0]


def _has_cuts(settings: SamplingSettings) -> bool:
    return settings.top_k is not None or (settings.top_p or 1.0) < 1.0


def _exclude_beyond_top_k(scores: FloatArray, top_k: int) -> None:
    """Set all but the top_k best scores, [vocab], to -inf, in place; ties with the k-th best stay."""
    best = scores[scores >= bar_of_best(scores, top_k)]
    scores[scores < np.partition(best, -top_k)[-top_k]] = -np.inf


def _exclude_beyond_top_p(law: FloatArray, top_p: float) -> None:
    """Set the tail of a law, [vocab], of mass at most 1 - top_p, to 0, and make it a law again, in place.

    Only probabilities are sorted, which is many times faster than sorting tokens by them, and only those that
    can matter: tokens below 1 / vocab of the tail's mass belong to it even all together.
    """
    # Never empty: the best token has at least 1 / vocab.
    head = np.sort(law[law >= (1.0 - top_p) / len(law)])[::-1]
    kept = min(int(np.searchsorted(np.cumsum(head), top_p)) + 1, len(head))
    least = head[kept - 1]
    equals = np.flatnonzero(law == least)
    law[law < least] = 0.0
    law[equals[kept - np.count_nonzero(head > least) :]] = 0.0  # of equals the lowest ids stay
    law /= law.sum()


def _normalise(scores: FloatArray) -> None:
    """Make scores, [vocab], a law by softmax, in place; their maximum is 0, so nothing overflows."""
    torch.from_numpy(scores).exp_()  # a third of the time that numpy's takes
    scores /= scores.sum()
