"""The likely part of full laws along a text: what lets estimates average over a step instead of drawing it.

Of each context only tokens up to a reach of surprisal are kept, a hundred or so of a vocabulary of 50,000.
What lies beyond is estimated from the sampled token as before, so nothing is lost but a little variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.information import check_laws, surprisals

# Tokens of probability above 1 in 2981. Where E N(t), about e^t/mu, crosses P = 1024 at one nat per token, t
# is 7: a token beyond 8 nats is in no such tree.
REACH = 8.0


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class LikelyTokens:
    """The tokens of each context whose surprisal is at most `reach`, end of text left out.

    reach: nats. surprisals: [tokens kept] of all contexts, one behind the other, rising within each. kept:
    [contexts] how many belong to each. end_probabilities: [contexts] probability that the text ends there.

    Raises InvalidInput if the arrays contradict each other. They are copied and made read-only.
    """

    reach: float
    surprisals: FloatArray
    kept: IntArray
    end_probabilities: FloatArray

    def __post_init__(self) -> None:
        for name, dtype in (
            ("surprisals", np.float64),
            ("kept", np.int64),
            ("end_probabilities", np.float64),
        ):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check(self)

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def first(self) -> IntArray:
        """[contexts] where each context's tokens begin in `surprisals`."""
        return np.cumsum(self.kept) - self.kept


def likely_tokens(laws: npt.ArrayLike, end_tokens: Sequence[int] = (), reach: float = REACH) -> LikelyTokens:
    """From full rows: laws [contexts, vocabulary], under which each context's token was sampled.

    end_tokens: ids that end the text. Raises InvalidInput for what is no law.
    """
    rows = check_laws(laws)
    if rows.ndim != 2:
        raise InvalidInput(
            f"likely tokens are taken from rows [contexts, vocabulary], got shape {rows.shape}"
        )
    ends = list(end_tokens)
    lengths = surprisals(rows)
    ending = rows[:, ends].sum(axis=1)
    lengths[:, ends] = np.inf
    near = lengths <= reach
    context, token = np.nonzero(near)
    values = lengths[context, token]
    order = np.lexsort((values, context))
    return LikelyTokens(reach, values[order], near.sum(axis=1), np.minimum(ending, 1.0))


def largest_probabilities(tokens: LikelyTokens) -> FloatArray:
    """[contexts] largest probability of a token that does not end the text; e^-reach where all lie beyond."""
    smallest = np.full(len(tokens), tokens.reach)
    some = tokens.kept > 0
    smallest[some] = tokens.surprisals[tokens.first[some]]
    return np.exp(-smallest)


def first_contexts(tokens: LikelyTokens, count: int) -> LikelyTokens:
    """Of the first `count` contexts only."""
    return LikelyTokens(
        tokens.reach,
        tokens.surprisals[: int(tokens.kept[:count].sum())],
        tokens.kept[:count],
        tokens.end_probabilities[:count],
    )


def joined(parts: Sequence[LikelyTokens]) -> LikelyTokens:
    """The contexts of several texts, one text behind the other, within the smallest of their reaches.

    Raises InvalidInput if there is none.
    """
    if not parts:
        raise InvalidInput("joining the likely tokens of texts needs at least one text, got none")
    reach = min(part.reach for part in parts)
    cut = [_within(part, reach) for part in parts]
    return LikelyTokens(
        reach,
        np.concatenate([part.surprisals for part in cut]),
        np.concatenate([part.kept for part in cut]),
        np.concatenate([part.end_probabilities for part in cut]),
    )


def _within(tokens: LikelyTokens, reach: float) -> LikelyTokens:
    if tokens.reach <= reach:
        return tokens
    inside = tokens.surprisals <= reach
    context = np.repeat(np.arange(len(tokens)), tokens.kept)
    kept = np.bincount(context[inside], minlength=len(tokens))
    return LikelyTokens(reach, tokens.surprisals[inside], kept, tokens.end_probabilities)


def _check(tokens: LikelyTokens) -> None:
    if not isfinite(tokens.reach) or tokens.reach <= 0.0:
        raise InvalidInput(f"the reach must be a positive number of nats, got {tokens.reach}")
    if tokens.kept.ndim != 1 or tokens.kept.shape != tokens.end_probabilities.shape:
        raise InvalidInput(
            f"kept and end_probabilities need one number per context, got shapes {tokens.kept.shape} and "
            f"{tokens.end_probabilities.shape}"
        )
    if (tokens.kept < 0).any() or int(tokens.kept.sum()) != len(tokens.surprisals):
        raise InvalidInput(
            f"the contexts keep {int(tokens.kept.sum())} tokens, got surprisals of {len(tokens.surprisals)}"
        )
    if not ((tokens.surprisals >= 0.0) & np.isfinite(tokens.surprisals)).all():
        raise InvalidInput("kept surprisals must be finite nats >= 0; leave impossible tokens out")
    ends = tokens.end_probabilities
    if not ((ends >= 0.0) & (ends <= 1.0)).all():
        raise InvalidInput("the probabilities of an end of text must lie in [0, 1]")
    rising = np.diff(tokens.surprisals) >= 0.0
    rising[(tokens.first[tokens.kept > 0] - 1)[1:]] = True  # from one context to the next
    if not rising.all():
        raise InvalidInput("surprisals must rise within each context; sort each context's tokens")
