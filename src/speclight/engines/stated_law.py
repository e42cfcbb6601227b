"""Of which law an engine states log-probabilities: found by asking for one context at two temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from speclight.engines.client import EngineClient
from speclight.engines.completion import CompletionRequest, EngineText

# Differences of log-probabilities are compared: bfloat16 logits of size 16 are rounded to 1/16.
MARGIN_NATS = 0.25
# What tells the two apart must be three times what is left unexplained, and more than float16 rounds.
LEAST_NATS = 0.02
LIKELIEST = 5


class Law(StrEnum):
    """A law that log-probabilities can be of."""

    SAMPLED = "of the law it samples"
    TEMPERATURE_1 = "of the law at temperature 1"
    UNCLEAR = "of neither the sampled law nor the one at temperature 1"


@dataclass(frozen=True, slots=True)
class StatedLaw:
    """What log-probabilities mean at a temperature.

    deviation_nats: largest difference between what was stated and what `of` says, over the tokens compared.
    """

    of: Law
    deviation_nats: float
    compared: int


def stated_law(
    client: EngineClient, prompt: tuple[int, ...] | tuple[dict[str, str], ...], temperature: float
) -> StatedLaw:
    """Compare the first token's law at `temperature` with that at 1. temperature: above 0, not 1.

    Under temperature T a difference of two log-probabilities is 1/T times what it is at 1, whatever the rest
    of the vocabulary does; before temperature it is the same. Raises what `EngineClient.complete` raises.
    """
    warm, plain = (
        client.complete(CompletionRequest(prompt, 1, value, LIKELIEST)) for value in (temperature, 1.0)
    )
    at_temperature, at_1 = _differences(warm, plain)
    candidates = (
        (Law.SAMPLED, float(np.abs(at_temperature - at_1 / temperature).max(initial=0.0))),
        (Law.TEMPERATURE_1, float(np.abs(at_temperature - at_1).max(initial=0.0))),
    )
    (name, deviation), (_, other) = sorted(candidates, key=lambda item: item[1])
    if len(at_1) == 0 or deviation > MARGIN_NATS or other < 3.0 * deviation + LEAST_NATS:
        return StatedLaw(Law.UNCLEAR, deviation, len(at_1))
    return StatedLaw(name, deviation, len(at_1))


def _differences(warm: EngineText, plain: EngineText) -> tuple[np.ndarray, np.ndarray]:
    """[tokens] log-probabilities below the best one's, of the tokens that both lists hold."""
    first = {item.token: item.log_prob for item in warm.top[0]}
    second = {item.token: item.log_prob for item in plain.top[0]}
    both = [token for token in second if token in first]
    if not both:
        return np.zeros(0), np.zeros(0)
    return (
        np.array([first[token] - first[both[0]] for token in both[1:]]),
        np.array([second[token] - second[both[0]] for token in both[1:]]),
    )
