"""What decoding asks of its sources of randomness, call by call."""

import pytest

from speclight.decoding.decode import DecodeSettings, decode
from speclight.decoding.fitting_drafters import default_kind
from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.drafters import drafter_named
from speclight.drafting.settings import DrafterSettings
from speclight.verification.rules import RULES
from toys import tiny_target


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
    drafter = drafter_named("ngram", target, DrafterSettings(kind=default_kind(RULES[rule]), tree="chain"))
    settings = DecodeSettings(node_budget=4, max_tokens=20, seed=3, record_ranks=ranks)
    calls = list(decode(target, drafter, RULES[rule], [0, 1, 2, 0, 1], settings, noise=noise))
    assert noise.asked == ["draft", "verdict"] * len(calls)
    assert any(call.ranks is not None for call in calls) == ranks
