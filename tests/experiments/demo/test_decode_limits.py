"""Limits of whole decodes in the demo: from a profile, and in seconds from the times measured beside it."""

from __future__ import annotations

import numpy as np
import pytest

from speclight.experiments.demo.decode_limits import call_times_along, family_decodes, speed_limit
from speclight.experiments.demo.record import CallTimes
from speclight.measure.decoded_run.decoding import OWN_LOOP, TRANSFORMERS
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.paired_times import TimedPrompt, TimedRun
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from toys import tiny_target


def uniform_profile(texts: int = 6, tokens: int = 6000) -> Profile:
    """Texts of a target whose law is uniform over two tokens: a tree of 3 nodes emits 2 tokens, 7 nodes 3."""
    return Profile(
        ProfileSettings(max_tokens=tokens),
        tuple(
            ProfiledText(
                f"p{number}",
                "toy",
                0,
                (0, 1),
                (0, 1) * (tokens // 2),
                np.full(tokens, -np.log(2)),
                None,
                None,
                False,
            )
            for number in range(texts)
        ),
        {},
    )


def curve(seconds_per_context_token: float) -> CallTimeCurve:
    """1, 1.2 and 4 seconds for 1, 3 and 7 nodes after 2 tokens, and so much more for every further one."""
    short = np.array([1.0, 1.2, 4.0])
    medians = np.stack([short, short + 100 * seconds_per_context_token])
    return CallTimeCurve(np.array([1, 3, 7]), np.array([2, 102]), medians, medians, medians)


def runs(**seconds: float) -> TimedPrompt:
    names = {"own": OWN_LOOP, "transformers": TRANSFORMERS}
    return TimedPrompt("p0", ({names.get(name, name): TimedRun(10, took) for name, took in seconds.items()},))


def test_the_interval_of_a_uniform_target_closes_on_what_its_best_tree_emits():
    found = family_decodes(uniform_profile(), "toy", 7, 7)
    (interval,) = found.intervals
    assert interval.node_budget == 7
    assert interval.none_exceeds.value == pytest.approx(3.0, rel=1e-3)
    assert 1.0 < interval.certified.value <= 3.0


def test_intervals_are_shown_at_the_budget_of_the_decoding_and_larger_ones():
    profile = uniform_profile(texts=2, tokens=200)
    assert [each.node_budget for each in family_decodes(profile, "toy", 4, 24).intervals] == [4, 16, 24]


def test_the_speed_limit_is_that_of_the_best_tree_for_the_times_measured():
    # 1, 2 and 3 tokens per call in 1, 1.2 and 4 seconds: two tokens per call are fastest.
    limit = speed_limit(
        uniform_profile(), curve(0.0), [runs(own=10.0, transformers=20.0, ngram=8.0)], ["ngram"]
    )
    assert limit.limit.value == pytest.approx(2.0 / 1.2, rel=1e-3)
    assert limit.plain_tokens_per_second == pytest.approx(1.0)
    assert limit.drafters == {"ngram": pytest.approx(10.0 / 8.0)}
    assert limit.call_times == CallTimes((1, 3, 7), (1.0, 1.2, 4.0), 2, 0.0)
    slower = speed_limit(uniform_profile(), curve(0.01), [runs(own=1.0, transformers=1.0)], [])
    assert slower.limit.value < 1.6
    assert slower.call_times.seconds_per_context_token == pytest.approx(0.01)


def test_calls_are_timed_up_to_the_largest_tree_that_fits():
    times = call_times_along(tiny_target(window=64), uniform_profile(tokens=40), 16, 1)
    assert times.nodes.tolist() == [1, 2, 4, 6, 8, 12, 16]
    assert times.context_tokens.tolist() == [2, 42]
    assert call_times_along(tiny_target(window=12), uniform_profile(tokens=40), 16, 1).nodes[-1] == 9
