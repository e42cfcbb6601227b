"""Sentences say what was planted, with the tokens per second that it costs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from advice.planted_decode import BAD_DRAFTER, Faults, planted_run
from speclight.advice.waterfall import FACTOR_NAMES, waterfall
from speclight.advice.waterfall_words import LABELS, RunSetup, sentences

SETUP = RunSetup("eagle3", "chain", "block", 7, 6.5)
LOST = re.compile(r"win back ([\d.]+) tokens per second")


def said(faults: Faults) -> dict[str, str]:
    told = sentences(waterfall(planted_run(faults)), SETUP)
    return {str(name): sentence for name, sentence in told.items()}


def test_every_factor_has_a_label_and_a_sentence():
    words = said(Faults(drafter=BAD_DRAFTER, draft=0.3))
    assert tuple(words) == FACTOR_NAMES == tuple(LABELS)
    assert all(re.fullmatch(r"[A-Z\d].*\.", sentence) for sentence in words.values())


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("knowledge", Faults(drafter=BAD_DRAFTER)),
        ("shape", Faults(wide=True)),
        ("rule", Faults(blind=True)),
        ("call_time", Faults(call=1.6)),
        ("drafting", Faults(draft=0.25)),
        ("loop", Faults(loop=0.25)),
    ],
)
def test_only_what_was_planted_is_to_be_won_back(name, faults):
    found = waterfall(planted_run(faults))
    words = sentences(found, SETUP)
    (lost,) = LOST.findall(words[name])
    assert float(lost) == pytest.approx(found.of(name).without - found.tokens_per_second, abs=0.051)
    others = {other: words[other] for other in FACTOR_NAMES if other not in (name, "end")}
    assert [other for other, sentence in others.items() if LOST.search(sentence)] == []


def test_what_gains_is_to_be_kept():
    assert "no larger share of a call than in plain" in said(Faults(plain_loop=0.5))["loop"]
    run = planted_run(Faults())
    assert "keep it" in sentences(waterfall(replace(run, rule=1.2 * run.rule)), SETUP)["rule"]


def test_luck_beyond_chance_is_said():
    run = planted_run(Faults(drafter=BAD_DRAFTER), seed=3)
    assert "chance makes as much" in sentences(waterfall(run), SETUP)["luck"]
    assert "more prompts" in sentences(waterfall(replace(run, rule=1.1 * run.rule)), SETUP)["luck"]
    single = planted_run(Faults(), prompts=1)
    assert "chance makes as much" in sentences(waterfall(single), SETUP)["luck"]


def test_zero_acceptance_everywhere():
    """Drafts that the target never emits: one token a call, and the drafter is what is missing."""
    words = said(Faults(drafter=(0.0, 0.0, 0.5, 0.5)))
    assert "emit 1.00 tokens per call, those of the target 3.00" in words["knowledge"]
    assert np.isclose(waterfall(planted_run(Faults(drafter=(0.0, 0.0, 0.5, 0.5)))).speed_up.value, 1.0)
