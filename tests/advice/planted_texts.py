"""Texts that begin otherwise than they go on, cut into windows as a trace cuts them.

The state of the pair is the place in the text, so that what a call is worth depends on where it starts, and
the tokens per call of whole decodes are finite sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.advice.planted import DRAFTER, PlantedPair
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import traced_positions, window_numbers
from speclight.measure.trace.traced import TracedStart

# Tokens of a text, and how many of them are hard to foresee, the first ones.
LENGTH, HARD = 48, 10
LARGEST = 8
HARD_LAW, EASY_LAW = (0.25, 0.25, 0.25, 0.25), (0.91, 0.03, 0.03, 0.03)


def text_pair(drafter: tuple[float, ...] | None = None) -> PlantedPair:
    """A drafter that knows the target's laws, or has one of its own everywhere."""
    states = LENGTH + LARGEST
    target = np.array([HARD_LAW if place < HARD else EASY_LAW for place in range(states)])
    following = np.minimum(np.arange(states) + 1, states - 1)[:, None].repeat(4, axis=1)
    return PlantedPair(target, target if drafter is None else np.tile(drafter, (states, 1)), following)


def tokens_per_call(pair: PlantedPair, growth: str, node_budget: int) -> float:
    """Of decodes: of the calls that start within a text, the first one at its beginning."""
    steps = pair.call_steps(growth, node_budget)[:LENGTH, :LENGTH]
    calls = np.linalg.solve(np.eye(LENGTH) - steps.T, np.eye(LENGTH)[0])
    return float(calls @ pair.expected_tokens(growth, node_budget)[:LENGTH] / calls.sum())


def toy_profile(texts: int, tokens: Sequence[Sequence[int]] | None = None) -> Profile:
    """So many texts, each of a prompt of its own; of tokens that nobody asks for, if none are given."""
    written = [
        ProfiledText(
            f"p{number:04d}",
            "toy",
            0,
            (0,),
            tuple(range(LENGTH) if tokens is None else tokens[number][:LENGTH]),
            np.zeros(LENGTH),
            None,
            None,
            False,
        )
        for number in range(texts)
    ]
    return Profile(ProfileSettings(), tuple(written), {})


def starts_in_texts(
    pair: PlantedPair, texts: int, settings: TraceSettings, rng: np.random.Generator
) -> list[TracedStart]:
    """The starts that a trace with these settings takes of so many texts, each a prompt of its own."""
    tokens = [[int(rng.choice(pair.vocabulary_size, p=law)) for law in pair.target] for _ in range(texts)]
    found: list[TracedStart] = []
    for text, starts in traced_positions(toy_profile(texts, tokens), settings):
        own = tokens[int(text.prompt_id[1:])]
        for start, window in zip(starts, window_numbers(starts), strict=True):
            found.append(
                TracedStart(
                    text.prompt_id,
                    text.family,
                    0,
                    1,
                    start,
                    window,
                    tuple(own[start : start + LARGEST]),
                    np.zeros(LARGEST),
                    np.arange(LARGEST),
                    {DRAFTER: pair.traced(start, settings.growths, settings.node_budgets)},
                    0,
                )
            )
    return found
