"""Calls of all sizes and contexts take turns; only what lies between two readings of the clock counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from speclight.errors import ContextOverflow, InvalidInput
from speclight.measure.latency.calls import CallTimer, time_calls
from speclight.measure.latency.curve import CallTimeCurve
from toys import tiny_target

SHORT, LONG = [0, 1], [0, 1, 2, 0, 1, 2]


class ScriptedClock:
    """Every second reading ends a call, which took what the script says."""

    def __init__(self, seconds):
        self.now, self.seconds, self.readings = 0.0, iter(seconds), 0

    def __call__(self):
        self.readings += 1
        if self.readings % 2 == 0:
            self.now += next(self.seconds)
        return self.now


class SteadyClock:
    """Every call takes 1 s for its texts, 0.1 s for each of its nodes and 0.01 s for each context token."""

    def __init__(self, target):
        self.now, self.works = 0.0, False
        forward = target.forward

        def timed(cache, tokens, positions, visible, *rest, **named):
            slots = visible.shape[-1] - tokens.shape[-1]
            if tokens.shape[-1] < 6 and slots:  # the texts are read before, in one piece
                self.now += 1.0 + 0.1 * tokens.shape[-1] + 0.01 * slots
            return forward(cache, tokens, positions, visible, *rest, **named)

        target.forward = timed

    def __call__(self):
        return self.now


def test_rounds_alternate_and_the_warm_up_is_not_counted():
    # A round of two texts and two sizes; the first one is slow, and every second one runs backwards.
    rounds = [[90.0] * 4, [2.5, 2.0, 3.0, 1.0], [1.0, 3.0, 2.0, 2.5], [9.0, 2.0, 3.0, 9.0]]
    clock = ScriptedClock(itertools.chain(*rounds))
    timer = CallTimer(tiny_target(layers=1), [SHORT, LONG], [1, 4], clock=clock)
    taken = time_calls(timer, 3)
    assert taken.shape == (3, 1, 2, 2)
    assert taken[0, 0].tolist() == taken[1, 0].tolist() == [[1.0, 3.0], [2.0, 2.5]]
    assert taken[2, 0].tolist() == [[9.0, 3.0], [2.0, 9.0]]
    curve = CallTimeCurve.of_rounds(timer.node_budgets, timer.context_tokens, taken[:, 0])
    assert curve.medians.tolist() == [[1.0, 3.0], [2.0, 2.5]]


def test_a_call_holds_its_context_its_tree_and_every_text_of_the_batch():
    target = tiny_target(layers=1)
    clock = SteadyClock(target)
    timer = CallTimer(target, [SHORT, LONG], [1, 2], (1, 2), clock)
    taken = time_calls(timer, 1)[0]
    # The last committed token is the root: it is among the nodes, not the context that is read.
    by_hand = [
        [[1.0 + 0.1 * b * size + 0.01 * b * (len(text) - 1) for size in (1, 2)] for text in (SHORT, LONG)]
        for b in (1, 2)
    ]
    np.testing.assert_allclose(taken, by_hand)


def test_a_chain_is_forgotten_before_the_next_call():
    target = tiny_target(layers=1)
    timer = CallTimer(target, [SHORT], [1, 4])
    time_calls(timer, 2)
    assert timer._texts[0][0].token_ids == SHORT
    assert timer._texts[0][0].cache.filled == len(SHORT) - 1


@pytest.mark.parametrize(
    ("texts", "sizes", "batches"),
    [
        ([SHORT, SHORT], [1], (1,)),
        ([LONG, SHORT], [1], (1,)),
        ([[]], [1], (1,)),
        ([], [1], (1,)),
        ([SHORT], [], (1,)),
        ([SHORT], [0], (1,)),
        ([SHORT], [4, 4], (1,)),
        ([SHORT], [1], (2, 1)),
    ],
)
def test_what_does_not_increase_is_refused(texts, sizes, batches):
    with pytest.raises(InvalidInput, match=r"timing calls needs .*increasing"):
        CallTimer(tiny_target(layers=1), texts, sizes, batches)


def test_a_tree_that_does_not_fit_is_refused_before_anything_is_timed():
    with pytest.raises(ContextOverflow, match="ask for contexts of at most 4 tokens"):
        CallTimer(tiny_target(window=12, layers=1), [LONG], [8])


@pytest.mark.parametrize(("rounds", "warm_up"), [(0, 1), (1, 0)])
def test_without_a_round_or_a_warm_up_nothing_is_timed(rounds, warm_up):
    with pytest.raises(InvalidInput, match="a round and one to warm up"):
        time_calls(CallTimer(tiny_target(layers=1), [SHORT], [1]), rounds, warm_up)
