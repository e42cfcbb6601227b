"""Ranks in the traces of a run: against the race run by hand, and the account made of them."""

import math

import numpy as np
import pytest

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.drafter_choices import Model, Plain
from speclight.drafting.drafters import new_drafter
from speclight.drafting.tree_choices import Batch, Chain
from speclight.errors import InvalidInput
from speclight.measure.rank_run import rank_run
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.speed_up import speed_up
from speclight.trees.race_noise import RaceField
from speclight.verification.rules import RULES
from toys import law_after, tiny_target

VOCABULARY, PROMPT, SEED = 7, [0, 3, 5, 1], 5
BATCH = Batch(kind="race")


def run_of(target, drafter, tree=BATCH, rule="race") -> list[CallTrace]:
    made = new_drafter(drafter, target, tree)
    decoding = DecodeSettings(node_budget=4, max_tokens=20, seed=SEED, record_ranks=True)
    return list(decode(target, made, RULES[rule], PROMPT, decoding))


def test_traced_ranks_are_those_of_the_race_run_by_hand():
    target, other = tiny_target(VOCABULARY, seed=4, layers=1), tiny_target(VOCABULARY, seed=5, layers=1)
    calls, text, seen = run_of(target, Model(other), Chain(kind="race")), list(PROMPT), 0
    for call in calls:
        assert call.ranks is not None
        assert len(call.ranks) == len(call.emitted_tokens)
        for depth, (token, rank) in enumerate(zip(call.emitted_tokens, call.ranks, strict=True)):
            drafter, p = law_after(other, text), law_after(target, text)
            keys = RaceField(SEED).times(len(text), VOCABULARY) / drafter
            if rank is None:
                assert depth == 3  # the leaf of a chain of three drafts: nobody asked for its law
            else:
                assert rank.rank == 1 + int((keys < keys[token]).sum())
                assert rank.divergence == pytest.approx(float(p @ np.log(p / drafter)), abs=1e-6)
                assert (rank.rank == 1) == (depth + 1 < len(call.path))
                seen += 1
            text.append(token)
    assert seen >= 15


def test_the_account_of_a_run():
    target, other = tiny_target(VOCABULARY, seed=4, layers=1), tiny_target(VOCABULARY, seed=5, layers=1)
    calls = run_of(target, Model(other))
    run = rank_run(calls, 4, VOCABULARY)
    ranks = [each.rank for call in calls for each in call.ranks if each is not None]
    assert (run.tokens, run.calls, run.observed) == (20, len(calls), len(ranks))
    assert run.law == tuple(np.bincount(ranks)[1:] / len(ranks))
    assert (run.unproposable, sum(run.law)) == (0.0, pytest.approx(1.0))
    assert run.entropy.miller_madow > run.entropy.plug_in > 0.0
    expected = speed_up(4, VOCABULARY, run.entropy.miller_madow, RankConvention.DISTINCT)
    assert run.bound == expected
    assert run.converse.value <= run.bound.value
    assert 1.0 <= run.tokens_per_call <= 4.0


def test_a_perfect_drafter_has_rank_1_everywhere():
    target = tiny_target(VOCABULARY, seed=4, layers=1)
    run = rank_run(run_of(target, Model(target), Chain(kind="race")), 4, VOCABULARY)
    assert (run.law, run.entropy.plug_in, run.divergence) == ((1.0,), 0.0, pytest.approx(0.0, abs=1e-9))
    assert run.bound.value == run.tokens_per_call == 4.0


def test_tokens_that_cannot_be_proposed_are_counted_apart():
    target, other = tiny_target(VOCABULARY, seed=4, layers=1), tiny_target(4, seed=5, layers=1)
    run = rank_run(run_of(target, Model(other, "shared")), 4, VOCABULARY)
    assert 0.0 < run.unproposable < 1.0
    assert sum(run.law) + run.unproposable == pytest.approx(1.0)
    assert math.isinf(run.divergence)


def test_ranks_are_refused_where_there_are_none():
    target = tiny_target(VOCABULARY, seed=4, layers=1)
    with pytest.raises(InvalidInput, match="ranks are those of a race"):
        run_of(target, Model(target), Batch(kind="with_replacement"), "rejection")
    plain = list(decode(target, new_drafter(Plain(), target), RULES["race"], PROMPT, DecodeSettings()))
    with pytest.raises(InvalidInput, match="holds a rank"):
        rank_run(plain, 8, VOCABULARY)
