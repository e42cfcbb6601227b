"""Call times are medians of forward passes by size, with the least growth per token of context."""

from __future__ import annotations

import itertools

import pytest

from speclight.errors import InvalidInput
from speclight.measure.call_times import measure_call_times
from toys import tiny_target


class ScriptedClock:
    """Every second reading ends a call, which took what the script says."""

    def __init__(self, seconds):
        self.now, self.seconds, self.readings = 0.0, iter(seconds), 0

    def __call__(self):
        self.readings += 1
        if self.readings % 2 == 0:
            self.now += next(self.seconds)
        return self.now


def test_medians_of_the_counted_rounds_and_the_least_growth():
    # Rounds of two texts and two sizes; the first round, thrown away, is slow.
    rounds = [[90.0] * 4, [1.0, 2.0, 3.0, 2.5], [1.0, 2.0, 3.0, 2.5], [9.0, 2.0, 3.0, 9.0]]
    clock = ScriptedClock(itertools.chain(*rounds))
    times = measure_call_times(tiny_target(), [0, 1], [0, 1, 2, 0, 1, 2], [1, 4], 3, clock)
    assert (times.sizes, times.seconds, times.context_tokens) == ((1, 4), (1.0, 2.0), 2)
    # The text of 4 tokens more takes 2 s more at size 1, and 0.5 s more at size 4.
    assert times.seconds_per_context_token == pytest.approx(0.5 / 4)
    assert times.by_size().largest == 4


def test_a_longer_context_that_is_faster_adds_nothing():
    clock = ScriptedClock([2.0, 1.0] * 2)
    times = measure_call_times(tiny_target(), [0], [0, 1], [1], 1, clock)
    assert times.seconds_per_context_token == 0.0


@pytest.mark.parametrize(
    ("short", "long", "sizes", "rounds"),
    [
        ([0], [0], [1], 1),
        ([], [0], [1], 1),
        ([0], [0, 1], [], 1),
        ([0], [0, 1], [0], 1),
        ([0], [0, 1], [1], 0),
    ],
)
def test_what_cannot_be_timed_is_refused(short, long, sizes, rounds):
    with pytest.raises(InvalidInput, match="call times need"):
        measure_call_times(tiny_target(), short, long, sizes, rounds)
