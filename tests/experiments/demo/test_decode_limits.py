"""Limits of whole decodes in the demo: from a profile, and in seconds from the times measured beside it."""

from __future__ import annotations

import numpy as np
import pytest

from speclight.experiments.demo.decode_limits import call_times_along, family_decodes, speed_limit
from speclight.experiments.demo.decoding import OWN_LOOP, TRANSFORMERS
from speclight.measure.call_times import CallTimes
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


def runs(**seconds: float) -> TimedPrompt:
    names = {"own": OWN_LOOP, "transformers": TRANSFORMERS}
    return TimedPrompt("p0", ({names.get(name, name): TimedRun(10, took) for name, took in seconds.items()},))


def test_the_interval_of_a_uniform_target_closes_on_what_its_best_tree_emits():
    found = family_decodes(uniform_profile(), "toy", 7)
    (interval,) = found.intervals
    assert interval.node_budget == 7
    assert interval.none_exceeds.value == pytest.approx(3.0, rel=1e-3)
    assert 1.0 < interval.certified.value <= 3.0


def test_the_speed_limit_is_that_of_the_best_tree_for_the_times_measured():
    # 1, 2 and 3 tokens per call in 1, 1.2 and 4 seconds: two tokens per call are fastest.
    times = CallTimes((1, 3, 7), (1.0, 1.2, 4.0), 2, 0.0)
    limit = speed_limit(uniform_profile(), times, [runs(own=10.0, transformers=20.0, ngram=8.0)], ["ngram"])
    assert limit.limit.value == pytest.approx(2.0 / 1.2, rel=1e-3)
    assert limit.plain_tokens_per_second == pytest.approx(1.0)
    assert limit.drafters == {"ngram": pytest.approx(10.0 / 8.0)}
    slower = CallTimes((1, 3, 7), (1.0, 1.2, 4.0), 2, 0.01)
    assert speed_limit(uniform_profile(), slower, [runs(own=1.0, transformers=1.0)], []).limit.value < 1.6


def test_calls_are_timed_up_to_the_largest_tree_that_fits():
    times = call_times_along(tiny_target(window=64), uniform_profile(tokens=40), 16, 1)
    assert times.sizes == (1, 2, 4, 6, 8, 12, 16)
    assert times.context_tokens == 2
    assert call_times_along(tiny_target(window=12), uniform_profile(tokens=40), 16, 1).sizes[-1] == 9
