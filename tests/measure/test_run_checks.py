"""No decode exceeds the decode bound of its own texts, and one that pretends to is caught.

The check's false-alarm rate is 1e-3 by construction; seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest

from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.errors import InvalidInput
from speclight.measure.run_checks import check_decode, scored_text
from speclight.models.sampling import SamplingSettings
from speclight.theory.laws.sampled_text import SampledText
from speclight.verification.rules import rule_named
from toys import tiny_target

BUDGET = 6


@pytest.fixture(scope="module")
def decoded():
    """Twelve prompts decoded with the target itself as drafter: as good as a drafter can be at each call."""
    target, sampling = tiny_target(vocabulary_size=4, seed=3, window=128), SamplingSettings(1.0)
    rule = rule_named("target_sample")
    drafter = drafter_for(target, "layer_skip", rule, sampling)
    texts, calls = [], []
    for number in range(12):
        settings = DecodeSettings(node_budget=BUDGET, max_tokens=24, seed=number, sampling=sampling)
        prompt = [number % 4, number // 4]
        made = generate_from_ids(target, prompt, drafter, rule, settings)
        texts.append(scored_text(target, prompt, made.token_ids, sampling, f"p{number}"))
        calls.append(len(made.calls))
    return texts, calls


def test_a_real_decode_stays_below_its_limit(decoded):
    texts, calls = decoded
    found = check_decode(texts, calls, BUDGET)
    assert not found.exceeds
    assert 0.3 < found.share < 1.0
    assert found.reached == pytest.approx(sum(map(len, texts)) / sum(calls))
    assert found.limit == pytest.approx(found.reached / found.share)
    # What the log-probabilities are is the target's own matter.
    assert np.mean([text.surprisals.mean() for text in texts]) > 0.2


def test_a_decode_that_claims_too_few_calls_is_caught(decoded):
    """Calls left out of the count, and a budget smaller than the trees were."""
    texts, calls = decoded
    assert check_decode(texts, [max(1, count // 3) for count in calls], BUDGET).exceeds
    assert check_decode(texts, calls, 1).exceeds


def test_plain_decoding_reaches_its_limit_exactly_and_is_not_accused(decoded):
    texts, _ = decoded
    found = check_decode(texts, [len(text) for text in texts], 1)
    assert (found.share, found.exceeds) == (pytest.approx(1.0), False)


def test_one_prompt_decides_nothing():
    text = SampledText(np.full(30, 1.0), False, "p")
    found = check_decode([text], [2], 4)
    assert (found.least_share, found.exceeds) == (None, False)
    with pytest.raises(InvalidInput, match="number of calls"):
        check_decode([text], [], 4)
