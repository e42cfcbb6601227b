"""A decoded run is recorded, resumed and read; what was possible at its starts is what it is said to be."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from cases import thinned
from speclight.advice.run_totals import run_setup, run_totals
from speclight.advice.waterfall import FACTOR_NAMES, waterfall
from speclight.advice.waterfall_words import sentences
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput, StorageError
from speclight.measure.decoded_run.run import DraftedBy, run_decoded
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.decoded_run.tables import read_decoded_run
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings
from speclight.trees.draft_tree import DraftTree
from speclight.verification.rule import default_kind
from speclight.verification.rules import RULES
from toys import laws_along, tiny_target

PROMPTS = [
    Prompt("qa-0", "qa", ("t0 t2", "t3 t1")),
    Prompt("qa-1", "qa", ("t1 t2 t4",)),
    Prompt("code-0", "code", ("t4 t4 t4",)),
    Prompt("qa-2", "qa", ("t5",)),
]
SETTINGS = DecodedRunSettings(node_budget=5, max_tokens=12, prompts_per_family=2, rounds=2, seed=3)
# float64 laws of two ways to compute one pass.
LAW_ATOL = 1e-9
RTOL = 1e-9


def target():
    return tiny_target(6, seed=2, window=256)


def by(drafter: str = "ngram", tree: str | None = None, rule: str = "target_sample") -> DraftedBy:
    kind = "race" if rule == "race" else default_kind(RULES[rule])
    return DraftedBy(ComparedDrafter(drafter), read_tree(tree, kind), tree or "best_first", RULES[rule])


def run(folder, *, settings=SETTINGS, **drafted):
    return run_decoded(target(), PROMPTS, by(**drafted), settings, folder)


@pytest.fixture(scope="module")
def ngram(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ngram")
    return folder, run(folder)


def test_each_family_has_its_first_prompts_with_all_turns(ngram):
    _, made = ngram
    assert [(text.prompt_id, text.turn) for text in made.texts] == [
        ("qa-0", 1),
        ("qa-0", 2),
        ("code-0", 1),
        ("qa-1", 1),
    ]
    assert made.families == ("qa", "code")
    for text in made.texts:
        assert len(text.token_ids) == 12 == sum(call.emitted for call in text.calls)
        assert len(text.drafted) == len(text.plain) == 2
        assert [one.calls for one in text.plain] == [12, 12]
        assert {one.calls for one in text.drafted} == {len(text.calls)}
        assert len(text.starts) == len(text.calls)


def test_the_record_is_what_was_measured(ngram):
    folder, made = ngram
    again = read_decoded_run(folder)
    assert (again.settings, again.drafter, again.rule) == (SETTINGS, "ngram", "target_sample")
    for ours, theirs in zip(made.texts, again.texts, strict=True):
        np.testing.assert_array_equal(ours.log_probs, theirs.log_probs)
        assert (ours.drafted, ours.plain) == (theirs.drafted, theirs.plain)


def test_values_of_trees_are_the_targets_own_probabilities(ngram):
    """By plain passes over each path: no cache, tree or mask of ours."""
    _, made = ngram
    model, text = target(), made.texts[0]
    ids = [*text.prompt_token_ids, *text.token_ids]
    assert any(len(call.tokens) > 2 for call in text.calls)
    for call, start in zip(text.calls, text.starts, strict=True):
        tree = DraftTree(call.tokens, call.parents, call.drafter_log_probs)
        expected = 1.0
        for node in range(1, len(tree)):
            path = tree.tokens[tree.path(node)[1:]].tolist()
            laws = laws_along(model, ids[: call.start], path[:-1])
            expected += prod(law[token] for law, token in zip(laws, path, strict=True))
        value = np.exp(call.target_path_log_probs).sum()
        assert abs(value - expected) < LAW_ATOL
        assert abs(call.tokens_by_rule - expected) < LAW_ATOL
        np.testing.assert_allclose(np.exp(start.likeliest).sum(), value, rtol=0, atol=LAW_ATOL)
        assert value <= np.exp(start.best).sum() + LAW_ATOL


def test_factors_multiply_to_the_measured_speed_up(ngram):
    _, made = ngram
    found = waterfall(run_totals(made.texts, 5))
    rounds = [(d, p) for text in made.texts for d, p in zip(text.drafted, text.plain, strict=True)]
    drafted = sum(d.emitted for d, _ in rounds) / sum(d.seconds.total for d, _ in rounds)
    plain = sum(p.emitted for _, p in rounds) / sum(p.seconds.total for _, p in rounds)
    assert prod(factor.value.value for factor in found.factors) == pytest.approx(drafted / plain, rel=RTOL)
    assert found.tokens_per_second == pytest.approx(drafted, rel=RTOL)
    assert found.plain_tokens_per_second == pytest.approx(plain, rel=RTOL)
    setup = run_setup(made.texts, 5, made.drafter, made.tree, made.rule)
    assert tuple(sentences(found, setup)) == FACTOR_NAMES


def test_a_drafter_that_knows_all_loses_nothing_but_by_its_tree(tmp_path):
    once = replace(SETTINGS, rounds=1)
    best = waterfall(run_totals(run(tmp_path / "best", settings=once, drafter="oracle").texts, 5))
    assert best.of("knowledge").value.value == pytest.approx(1.0, abs=LAW_ATOL)
    assert best.of("shape").value.value == 1.0
    chains = run(tmp_path / "chain", settings=once, drafter="oracle", tree="chain").texts
    chain = waterfall(run_totals(chains, 5))
    assert chain.of("knowledge").value.value == pytest.approx(1.0, abs=LAW_ATOL)
    assert chain.of("shape").value.value < 0.97
    assert chain.of("rule").value.value == pytest.approx(1.0, abs=LAW_ATOL)


def test_greedy_text_is_limited_by_the_budget_alone(tmp_path):
    settings = replace(SETTINGS, sampling=SamplingSettings(0.0), rounds=1)
    found = waterfall(run_totals(run(tmp_path, settings=settings, drafter="oracle").texts, 5))
    assert found.of("decode_bound").value.value == pytest.approx(5.0)
    assert found.of("knowledge").value.value == pytest.approx(1.0)
    assert found.of("luck").value.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rule", "tree"),
    thinned([("race", "chain"), ("traversal", "batch"), ("block", "chain"), ("rejection", "chain")], 2),
)
def test_rules_with_coins_and_races_have_a_waterfall(tmp_path, rule, tree):
    made = run(tmp_path, settings=replace(SETTINGS, rounds=1), drafter="layer_skip", tree=tree, rule=rule)
    found = waterfall(run_totals(made.texts, 5))
    calls = [call for text in made.texts for call in text.calls]
    assert {call.tokens_by_rule is None for call in calls} == {rule == "race"}
    assert prod(factor.value.value for factor in found.factors) == pytest.approx(
        found.speed_up.value, rel=RTOL
    )
    if rule == "race":
        assert found.of("luck").value.value == 1.0


def test_a_run_goes_on_where_it_stopped(tmp_path):
    class Killed(Exception):
        """In place of a signal."""

    def kill(done, total, label):
        if (done, label) == (2, "decoding, in turn with plain decoding"):
            raise Killed

    with pytest.raises(Killed):
        run_decoded(target(), PROMPTS, by(), SETTINGS, tmp_path, kill)
    with pytest.raises(StorageError):
        read_decoded_run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("prompt-*.parquet")}
    assert len(before) == 6
    made = run(tmp_path)
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    starts = tmp_path / "prompt-0001-starts.parquet"
    content = starts.read_bytes()
    starts.unlink()
    assert run(tmp_path).texts[2].drafted == made.texts[2].drafted
    assert starts.read_bytes() == content


def test_another_run_is_not_written_over(ngram):
    folder, _ = ngram
    with pytest.raises(StorageError, match="rule"):
        run(folder, drafter="ngram", tree="chain", rule="block")


def test_what_was_not_looked_at_has_no_waterfall(ngram):
    _, made = ngram
    with pytest.raises(InvalidInput, match="finish"):
        run_totals([replace(made.texts[0], starts=())], 5)
    with pytest.raises(InvalidInput):
        run_totals([], 5)
