"""Drafter and limit at the starts of a trace whose best trees are larger than the drafted ones."""

from __future__ import annotations

import numpy as np
import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.errors import InvalidInput
from speclight.experiments.demo.call_starts import uniform_start_limit
from speclight.experiments.demo.record import ALL_FAMILIES
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from toys import tiny_target

PROMPTS = tuple(Prompt(f"{name}-{n}", name, (f"t{n} t2",)) for name in ("code", "qa") for n in range(3))
SETTINGS = TraceSettings((4,), ("best_first",), best_budget=9, window=2, windows_per_family=4, lookahead=2)


def test_the_share_of_the_limit_is_that_of_the_traced_trees(tmp_path):
    target = tiny_target(6, seed=2, window=64)
    run_profile(target, PROMPTS, ProfileSettings(max_tokens=12), tmp_path / "texts")
    trace = run_trace(target, (ComparedDrafter("layer_skip", layers=1),), SETTINGS, tmp_path)
    assert {len(start.best) for start in trace.starts} == {9}
    assert max(len(start.drafters["layer_skip"].tree) for start in trace.starts) == 4
    for family in (ALL_FAMILIES, "qa"):
        found = uniform_start_limit(family, trace, "layer_skip", 4)
        starts = trace.starts if family == ALL_FAMILIES else trace.of_family(family)
        worth = [np.exp(start.drafters["layer_skip"].tree.target_path_log_probs).sum() for start in starts]
        best = [np.exp(start.best[:4]).sum() for start in starts]
        assert found.starts == len(starts)
        assert found.expected_tokens_per_call.value == pytest.approx(np.mean(worth))
        assert found.limit_tokens_per_call.value == pytest.approx(np.mean(best))
        assert found.share_of_limit.value == pytest.approx(np.sum(worth) / np.sum(best))
        assert found.share_of_limit.value < 1.0


def test_best_trees_are_no_smaller_than_drafted_ones():
    with pytest.raises(InvalidInput, match="best trees of 4 nodes beside drafted ones of 8"):
        TraceSettings((4, 8), best_budget=4)
