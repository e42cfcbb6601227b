"""What decoding asks of its sources of randomness, call by call."""

import numpy as np
import pytest
from scipy import stats

from cases import thinned
from speclight.decoding import running_text
from speclight.decoding.decode import DecodeSettings, decode
from speclight.decoding.noise_streams import SeededNoise, TextNoise
from speclight.decoding.pace import Pace
from speclight.drafting.drafter_choices import LayerSkip, NGram, Plain
from speclight.drafting.drafters import new_drafter
from speclight.drafting.tree_choices import Chain
from speclight.trees.draft_tree import DraftTree
from speclight.verification.rule import default_kind
from speclight.verification.rules import RULES
from toys import tiny_target


def tiny_tree():
    """A root with two children."""
    return DraftTree(np.array([0, 1, 2]), np.array([-1, 0, 0]), np.array([0.0, -1.0, -1.0]))


class Counted(SeededNoise):
    """Notes what it is asked for."""

    def __init__(self, seed):
        super().__init__(seed)
        self.asked = []

    def for_draft(self):
        self.asked.append("draft")
        return super().for_draft()

    def for_verification(self, tree):
        self.asked.append("verdict")
        return super().for_verification(tree)


@pytest.mark.parametrize(("rule", "ranks"), [("race", True), ("race", False), ("target_sample", False)])
def test_noise_is_asked_for_once_a_call_each(rule, ranks):
    target, noise = tiny_target(6, seed=2), Counted(3)
    drafter = new_drafter(NGram(), target, Chain(kind=default_kind(RULES[rule])))
    settings = DecodeSettings(node_budget=4, max_tokens=20, seed=3, record_ranks=ranks)
    calls = list(decode(target, drafter, RULES[rule], [0, 1, 2, 0, 1], settings, noise=noise))
    assert noise.asked == ["draft", "verdict"] * len(calls)
    assert any(call.ranks is not None for call in calls) == ranks


class Fickle(Pace):
    """Budgets as if the clock said something else at every call."""

    def __init__(self, seed):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def node_budget(self, *, grows):
        return int(self.rng.integers(1, 12))

    def worth_expanding(self, path_log_probs, size):
        return (self.rng.random(len(path_log_probs)) < 0.7).tolist()

    def worth_scoring(self, path_log_probs):
        return int(self.rng.integers(1, len(path_log_probs) + 1))


@pytest.mark.parametrize("rule", thinned(["race", "target_sample"]))
def test_with_auto_the_text_depends_neither_on_the_clock_nor_on_the_drafter(monkeypatch, rule):
    """For rules that emit the target's own draws: plain decoding's text, whatever sizes the calls had."""
    target = tiny_target(6, seed=2, window=256)
    settings = DecodeSettings(node_budget="auto", max_tokens=60, seed=3)
    texts, sizes = [], set()
    for drafter, clock in ((Plain(), 0), (NGram(), 1), (LayerSkip(1), 2), (LayerSkip(1), 3)):
        fickle = Fickle(clock)
        monkeypatch.setattr(running_text, "pace_of", lambda *_, pace=fickle: pace)
        calls = list(decode(target, new_drafter(drafter, target), RULES[rule], [0, 1, 2], settings))
        texts.append([token for call in calls for token in call.emitted_tokens])
        sizes |= {len(call.tree) for call in calls}
        assert len(calls) < 60 or drafter == Plain()
    assert texts[1:] == texts[:1] * 3
    assert len(sizes) > 5


def test_draws_by_position_are_uniform_and_differ_from_position_to_position():
    """Kolmogorov-Smirnov on 2,000 draws at false-alarm rate 0.001, for single draws and for their pairs."""
    noise, root = TextNoise(5), tiny_tree()
    draws = []
    for position in range(2_000):
        noise.at(position)
        draws.append(noise.for_verification(root).draws[0])
    assert stats.kstest(draws, "uniform").pvalue > 0.001
    differences = (np.diff(draws) % 1.0)[::2]
    assert stats.kstest(differences, "uniform").pvalue > 0.001
    noise.at(7)
    assert noise.for_verification(root).draws.tolist() == [draws[7], draws[8], draws[8]]


def test_what_is_recorded_on_request_takes_no_time_of_a_call(monkeypatch):
    """On a clock that only recording moves, no call takes any time; and what is recorded is what it says."""
    now = [0.0]

    def slowly(wrapped):
        def recorded(*arguments):
            now[0] += 100.0
            return wrapped(*arguments)

        return recorded

    monkeypatch.setattr(running_text.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(running_text.NodeLaws, "node_log_probs", slowly(running_text.NodeLaws.node_log_probs))
    monkeypatch.setattr(running_text, "expected_tokens", slowly(running_text.expected_tokens))
    target = tiny_target(6, seed=2)
    settings = DecodeSettings(5, 20, seed=3, record_target_log_probs=True, record_expected_tokens=True)
    drafter = new_drafter(NGram(), target)
    calls = list(decode(target, drafter, RULES["target_sample"], [0, 1, 2, 0, 1], settings))
    assert now[0] == 200.0 * len(calls)
    assert all(call.seconds.total == 0.0 for call in calls)
    assert any(len(call.tree) > 1 for call in calls)
    for call in calls:
        assert call.tokens_by_rule == pytest.approx(call.expected_tokens)
