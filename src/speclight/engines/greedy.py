"""Is an endpoint's greedy decoding greedy? Told from the laws stated for its tokens, or a reference's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.engines.completion import EngineText
from speclight.engines.dialects.answers import UNSTATED
from speclight.engines.losslessness import CellLaw
from speclight.errors import InvalidInput

# The engine chooses and states from the same logits: what remains is the rounding of a logarithm.
OWN_MARGIN_NATS = 1e-3
# Of another computation of the same model: bfloat16 logits of size 16 are rounded to 1/16, and two differ.
REFERENCE_MARGIN_NATS = 0.25


@dataclass(frozen=True, slots=True)
class GreedyTest:
    """Tokens of greedy decoding against the likeliest ones.

    tokens: positions tested. others: of them not within `margin_nats` of the likeliest token.
    largest_gap_nats: how far below the likeliest token an emitted one was, at the most.
    """

    tokens: int
    others: int
    largest_gap_nats: float
    margin_nats: float

    @property
    def is_passed(self) -> bool:
        """Whether every token was a likeliest one, but for rounding."""
        return self.others == 0


def greedy_test(gaps: FloatArray, margin_nats: float) -> GreedyTest:
    """The test of tokens by how far each lies below the likeliest one.

    gaps: [tokens] nats. Raises InvalidInput for none.
    """
    if not len(gaps):
        raise InvalidInput("a test needs at least one token with a stated law, got none")
    largest = float(np.maximum(gaps, 0.0).max())
    return GreedyTest(len(gaps), int((gaps > margin_nats).sum()), largest, margin_nats)


def stated_gaps(text: EngineText) -> FloatArray:
    """How far each token lies below the likeliest, [tokens] nats, as the endpoint itself states them.

    Raises InvalidInput where it stated none.
    """
    if np.isnan(text.log_probs).any() or not all(text.top):
        raise InvalidInput(UNSTATED)
    return np.array([row[0].log_prob for row in text.top]) - text.log_probs


def reference_gaps(laws: Sequence[CellLaw]) -> FloatArray:
    """The same under a reference's laws at temperature 1, see `full_law`."""
    likeliest = np.log([law.probabilities[0] for law in laws])
    return likeliest + np.array([law.of_tokens.surprisal for law in laws if law.of_tokens is not None])
