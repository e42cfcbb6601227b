"""A drafter's calls are timed level by level while it grows real trees along a text."""

from __future__ import annotations

import numpy as np
import pytest

import speclight.measure.latency.run as run_module
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import LayerSkip, Lookahead, NGram, TwoStage
from speclight.drafting.drafters import law_source
from speclight.errors import ContextOverflow
from speclight.measure.latency.drafting import EMITTED, LevelTimer, text_needed
from speclight.measure.latency.level_times import LevelTimes, TimedLevel
from speclight.measure.latency.record import read_latency
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.trees.growing_tree import CandidateLaw
from toys import tiny_target

TEXT = [0, 1, 2] * 12


class Metered:
    """A drafter that finds every token equally likely; a call takes 1 s and 0.1 s for each node."""

    name, hidden_layers = "metered", (1,)

    def __init__(self):
        self.now, self.read, self.features = 0.0, [], 0

    def begin(self, token_ids, features):
        self.read, self.features = list(token_ids), len(features)

    def extend(self, token_ids, features):
        self.read += token_ids
        self.features += len(features)

    def laws(self, known, nodes):
        self.now += 1.0 + 0.1 * len(nodes)
        return [CandidateLaw(np.arange(3), np.log(np.full(3, 1 / 3)))] * len(nodes)


def test_levels_are_timed_and_the_drafter_is_led_along_the_text():
    source = Metered()
    timer = LevelTimer(tiny_target(), source, TEXT, 4, lambda: source.now)
    levels = timer.draft(8)
    # Best-first over equal candidates: the root, its three children, then what is still missing of eight.
    assert [(item.level, item.nodes) for item in levels[:2]] == [(0, 1), (1, 3)]
    assert all(item.seconds == pytest.approx(1.0 + 0.1 * item.nodes) for item in levels)
    assert all(item.node_budget == 8 for item in levels)
    assert source.read == TEXT[: 4 + EMITTED]
    timer.draft(2)
    assert source.read == TEXT[: 4 + 2 * EMITTED]
    assert source.features == len(source.read) - 1  # of all committed tokens but the last


@pytest.mark.parametrize("choice", [NGram(), Lookahead(), LayerSkip(1), TwoStage(LayerSkip(1))])
def test_drafters_of_all_makes_can_be_timed(choice):
    """Those that borrow the target's cache give it back: the text goes on as if nobody had drafted."""
    target = tiny_target(vocabulary_size=5)
    timer = LevelTimer(target, law_source(choice, target), TEXT, 6)
    for budget in (4, 2, 8):
        assert timer.draft(budget)[0].level == 0
    assert timer._scored.token_ids == TEXT[: 6 + 3 * EMITTED]
    assert timer._scored.cache.filled == 6 + 3 * EMITTED - 1


def test_a_text_beyond_the_window_is_refused():
    assert text_needed(10, [2, 4], 3) == 10 + 6 * EMITTED
    with pytest.raises(ContextOverflow, match="shorter contexts, or fewer rounds"):
        LevelTimer(tiny_target(window=12), law_source(NGram(), tiny_target()), TEXT, 4)


LEVELS = tuple(
    TimedLevel(8, level, nodes, seconds)
    for level, nodes, seconds in [(0, 1, 3.0), (0, 1, 5.0), (1, 2, 1.0), (1, 2, 2.0), (2, 6, 4.0)]
)


def test_seconds_of_drafts_add_up():
    times = LevelTimes.of_levels("toy", 7, LEVELS)
    assert (times.first[1], times.nodes.tolist(), times.medians.tolist()) == (4.0, [2, 6], [1.5, 4.0])
    assert times.level_seconds(4) == pytest.approx(2.75)
    assert (times.level_seconds(1), times.level_seconds(100)) == (1.5, 4.0)
    assert times.seconds(0, 0) == 0.0
    assert times.seconds(0.5, 0.5) == 2.0  # every second call drafted nothing
    assert times.seconds(1, 1) == 4.0
    assert times.seconds(3, 1 + 2 * 4) == pytest.approx(4.0 + 2 * 2.75)


def test_a_drafter_that_never_came_to_a_second_level():
    times = LevelTimes.of_levels("toy", 7, LEVELS[:2])
    assert not len(times.nodes)
    assert times.seconds(2, 5) == 8.0


def test_the_record_holds_the_drafters(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
    settings = LatencySettings((1, 2, 4), (3, 5, 9), rounds=2, warm_up=1, loop_calls=0)
    drafters = [ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1)]
    run_latency(tiny_target(), settings, tmp_path, drafters)
    ngram, skip = read_latency(tmp_path).drafters
    assert (ngram.drafter, skip.drafter, ngram.context_tokens) == ("ngram", "layer_skip", 5)
    assert 1 in skip.nodes
