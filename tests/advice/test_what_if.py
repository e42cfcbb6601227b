"""The arithmetic of what-if: steps against their product, and each against what it is named after."""

from __future__ import annotations

from math import prod

import pytest

from speclight.advice.recorded_loads import call_time_presets
from speclight.advice.what_if import fastest_budget, outcome
from speclight.errors import InvalidInput
from what_if_data import SECONDS, made_up_load, made_up_what_if

EXACT = 1e-12


@pytest.mark.parametrize("budget", [2, 8])
def test_steps_multiply_to_the_prediction(budget):
    load = made_up_load("code", 1.0)
    for way in load.drafted:
        for preset in call_time_presets(SECONDS):
            found = outcome(load, way, budget, preset.seconds, 0.003, 0.7)
            product = prod(step.factor for step in found.steps) * found.plain_tokens_per_second
            assert product == pytest.approx(found.tokens_per_second.value, rel=EXACT)
            assert found.steps[-1].tokens_per_second == pytest.approx(product, rel=EXACT)
            assert found.steps[0].factor == load.limit[load.node_budgets.index(budget)]


def test_each_step_takes_what_it_is_named_after():
    load = made_up_load("code", 1.0)
    way = load.drafted[0]
    flat, linear = (preset.seconds for preset in call_time_presets(SECONDS)[1:])
    by_name = {step.name: step.factor for step in outcome(load, way, 8, flat).steps}
    assert by_name["call_time"] == 1.0
    assert by_name["loop"] < 1.0  # nothing around a plain call, something around a drafted one
    slow = {step.name: step.factor for step in outcome(load, way, 8, linear).steps}
    assert slow["call_time"] == pytest.approx(1 / 8, rel=EXACT)
    moved = {name for name in by_name if by_name[name] != pytest.approx(slow[name])}
    assert moved == {"call_time", "drafting", "loop"}
    free = {step.name: step.factor for step in outcome(load, way, 8, flat, drafting_scale=0.0).steps}
    assert free["drafting"] == 1.0


def test_the_fastest_budget_is_the_best_of_all():
    what_if = made_up_what_if()
    for load in what_if.loads:
        for way in load.drafted:
            for preset in what_if.call_times:
                best = fastest_budget(load, way, preset.seconds, what_if.plain_loop_seconds)
                speeds = {
                    calls.node_budget: outcome(
                        load, way, calls.node_budget, preset.seconds, what_if.plain_loop_seconds
                    ).tokens_per_second.value
                    for calls in way.calls
                }
                assert speeds[best] == max(speeds.values())


def test_a_budget_that_was_not_recorded_is_refused():
    load = made_up_load("code", 1.0)
    with pytest.raises(InvalidInput, match="got node budget 3 for eagle3, best_first, expected one of 2, 4"):
        outcome(load, load.drafted[0], 3, SECONDS)
