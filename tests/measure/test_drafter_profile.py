"""A drafter laid over its target's text: both laws, the tree and its verdict, against plain passes."""

import heapq
import json
from functools import cache

import numpy as np
import pytest

import speclight.cli.drafters.drafter_profile
from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.layer_skip import early_exit
from speclight.errors import InvalidInput, StorageError
from speclight.measure.drafter_depths import chain_coupling, moments_by_depth
from speclight.measure.drafter_limits import drafter_limits
from speclight.measure.drafter_profile import read_drafter_profile
from speclight.measure.drafter_profile_run import run_drafter_profile
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import ProfileSettings, read_profile
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.theory.iid.lemma_7 import drafter_moments, lemma_7_corrected
from speclight.theory.laws.law_pairs import pair_of_laws
from speclight.theory.laws.step_law import from_laws
from toys import law_after, tiny_target

# Float64 on both sides; sums of five terms.
VALUE_ATOL = 1e-10
END, BUDGET = 4, 6
PROMPTS = tuple(
    Prompt(f"{family}-{n}", family, (" ".join(["t0", "t2", "t3"][: 1 + n]),))
    for family in ("first", "second")
    for n in range(3)
)
SETTINGS = DrafterProfileSettings(node_budget=BUDGET, every=2)


@pytest.fixture(scope="module")
def target():
    return tiny_target(vocabulary_size=5, seed=1, end_of_text=frozenset({END}), window=128)


@pytest.fixture(scope="module")
def drafter(target):
    return early_exit(target, 1)


@pytest.fixture(scope="module")
def profile_folder(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    run_profile(target, PROMPTS, ProfileSettings(max_tokens=16, batch_size=3), folder)
    return folder


@pytest.fixture(scope="module")
def record(target, profile_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drafter")
    drafter = ComparedDrafter("layer_skip", layers=1)
    profile = read_profile(profile_folder)
    return profile, run_drafter_profile(target, drafter, profile, SETTINGS, folder), folder


@cache
def law_of_next(model, tokens):
    return law_after(model, list(tokens))


def best_paths(drafter, context):
    """The BUDGET paths of largest drafter probability, by plain passes, the end of text left out."""
    heap, best = [(0.0, ())], []
    while len(best) < BUDGET:
        surprisal, path = heapq.heappop(heap)
        best.append(path)
        law = law_of_next(drafter, (*context, *path))
        for token in range(END):
            heapq.heappush(heap, (surprisal - np.log(law[token]), (*path, token)))
    return best


def path_probability(target, context, path):
    """Under the target, by plain passes."""
    laws = [law_of_next(target, (*context, *path[:depth])) for depth in range(len(path))]
    return np.prod([law[token] for law, token in zip(laws, path, strict=True)])


def test_every_start_has_both_laws_and_what_its_trees_are_worth(target, drafter, record):
    profile, measured, _ = record
    texts = {text.prompt_id: text for text in profile.texts}
    assert measured.families == ("first", "second")
    laws = []
    for start in measured.starts:
        text = texts[start.prompt_id]
        context = [*text.prompt_token_ids, *text.token_ids[: start.start]]
        p, q = law_after(target, context), law_after(drafter, context)
        laws.append((p, q))
        assert abs(start.pair.missed - p[END]) < VALUE_ATOL
        assert abs(start.pair.cross_entropy + (p * np.log(q))[:END].sum()) < VALUE_ATOL
        assert abs(start.pair.overlap - np.minimum(p, q).sum()) < VALUE_ATOL
        paths = best_paths(drafter, context)
        for budget in range(1, BUDGET + 1):
            worth = sum(path_probability(target, context, path) for path in paths[:budget])
            assert start.tokens_per_call(budget) == pytest.approx(worth, abs=VALUE_ATOL)
    # The moments and the drafter's law over all starts, as Lemma 7 takes them.
    own = drafter_limits(measured, (BUDGET,), replicas=0)[0]
    law = from_laws(np.array([q for _, q in laws]), end_tokens=(END,), width=2.0**-10)
    assert own.moments.miss_probability == pytest.approx(np.mean([p[END] for p, _ in laws]))
    expected = lemma_7_corrected(
        own.moments.cross_entropy_on_hits, own.moments.miss_probability, law, BUDGET
    ).value
    assert own.bounds[-1].value == pytest.approx(expected, rel=1e-9)


def test_laws_ahead_are_those_of_the_path_and_the_coupling_bound_is_theirs(target, drafter, record):
    """At each depth both laws by plain passes along the text; a model, unlike a head, is no worse there."""
    profile, measured, _ = record
    texts = {text.prompt_id: text for text in profile.texts}
    values = []
    for start in measured.starts:
        text = texts[start.prompt_id]
        path = [*text.prompt_token_ids, *text.token_ids[: start.start]]
        q_of_path, p_of_path, total = 1.0, 1.0, 1.0
        ahead = text.token_ids[start.start : start.start + SETTINGS.depths]
        for token, found, coupling in zip(ahead, start.ahead, start.coupling, strict=True):
            q = 0.0 if token == END else law_of_next(drafter, tuple(path))[token]
            p = law_of_next(target, tuple(path))[token]
            assert np.exp(found) == pytest.approx(q, abs=VALUE_ATOL)
            q_of_path, p_of_path = q_of_path * q, p_of_path * p
            assert coupling == pytest.approx(min(1.0, q_of_path / p_of_path), abs=1e-6)
            total += min(1.0, q_of_path / p_of_path)
            path = [*path, token]
        values.append(total)
    assert chain_coupling(measured).value == pytest.approx(np.mean(values))
    depths = moments_by_depth(measured)
    assert [item.depth for item in depths] == list(range(1, SETTINGS.depths + 1))
    first = [start.ahead[0] for start in measured.starts]
    assert depths[0].miss_probability.value == pytest.approx(np.mean(np.isneginf(first)))
    assert depths[0].cross_entropy_on_hits.value == pytest.approx(
        np.mean([0.0 if np.isneginf(value) else -value for value in first])
    )
    assert 1.0 < chain_coupling(measured).value < 1.0 + SETTINGS.depths


def test_intervals_hold_the_value_and_vanish_without_replicas(record):
    _, measured, _ = record
    limits = drafter_limits(measured, (BUDGET,), replicas=20)[0]
    assert [item.name for item in limits.bounds] == [
        "lemma_7_printed",
        "lemma_7_corrected_leading_order",
        "lemma_7_corrected",
    ]
    for item in limits.bounds:
        assert item.interval.lower <= item.value <= item.interval.upper
    assert all(item.interval is None for item in drafter_limits(measured, (BUDGET,), replicas=0)[0].bounds)
    assert 1.0 <= limits.measured.value <= BUDGET
    with pytest.raises(InvalidInput, match="larger"):
        drafter_limits(measured, (BUDGET + 1,))[0]


def test_a_finished_record_is_read_back_and_another_kind_refused(record, profile_folder):
    _, measured, folder = record
    again = read_drafter_profile(folder)
    assert [start.pair for start in again.starts] == [start.pair for start in measured.starts]
    with pytest.raises(StorageError, match="expected 'trace'"):
        read_drafter_profile(profile_folder)


def test_a_trace_that_says_too_little_is_refused(target, profile_folder, tmp_path):
    run_oracle(target, read_profile(profile_folder), OracleSettings(2, 4), tmp_path)
    with pytest.raises(StorageError, match=r"drafters none, expected one.*speclight drafter-profile"):
        read_drafter_profile(tmp_path)


def test_a_pair_of_laws_agrees_with_the_moments_of_rows():
    p, q = np.array([0.5, 0.2, 0.2, 0.1]), np.array([0.25, 0.0, 0.25, 0.5])
    tokens = np.array([3, 0, 2])
    pair = pair_of_laws(p, tokens, np.log(q[tokens]))
    moments = drafter_moments(p[None], q[None])
    assert pair.missed == pytest.approx(moments.miss_probability)
    assert pair.cross_entropy == pytest.approx(moments.cross_entropy_on_hits)
    assert pair_of_laws(p, tokens, np.log(q[tokens]), (3,)).missed == pytest.approx(0.3)


def test_a_drafter_that_knows_some_tokens_only(target, profile_folder, tmp_path):
    """Prompt lookup gives most contexts no law and never a whole vocabulary: zeros, without a warning."""
    profile = read_profile(profile_folder)
    measured = run_drafter_profile(target, ComparedDrafter("ngram"), profile, SETTINGS, tmp_path)
    assert max(start.pair.missed for start in measured.starts) == pytest.approx(1.0)
    assert all(1.0 <= start.tokens_per_call(BUDGET) <= BUDGET for start in measured.starts)
    limits = drafter_limits(measured, (BUDGET,))[0]
    assert limits.measured.standard_error is not None
    assert limits.bounds[-1].value <= limits.measured.value + 3 * limits.measured.standard_error


def run_json(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_commands_show_the_record(target, profile_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speclight.cli.drafters.drafter_profile, "load_target", lambda options: target)
    options = ["--profile", str(profile_folder), "--out", str(tmp_path), "--budget", "2,6"]
    layers = ["--drafter", "layer_skip", "--layers", "1"]
    document = run_json(capsys, "drafter-profile", *options, *layers)
    first = document["families"]["first"]["limits"][1]
    assert first["node_budget"] == 6
    assert 1.0 <= first["measured_tokens_per_call"]["value"] <= 6.0
    bound = ["bound", "--profile", str(profile_folder), "--budget", "6", "--drafter-profile", str(tmp_path)]
    bound += ["--families", "first"]
    shown = run_json(capsys, *bound, "--strata", "1")["families"]["first"][0]
    assert shown["drafter_tokens_per_call"] == first["measured_tokens_per_call"]
    named = {item["name"]: item for item in shown["bounds"]}
    for item in first["bounds"]:
        assert named[item["name"]] == item
        assert item["interval"]["low"] <= item["value"] <= item["interval"]["high"]
    assert main([*bound, "--strata", "1"]) == 0
    assert "best-first trees of 6 nodes" in capsys.readouterr().out
    assert main([*bound, "--cross-entropy", "1.0"]) == 2
    assert "leave out" in capsys.readouterr().err
    assert main(["drafter-profile", *options, "--drafter", "none"]) == 2
    assert "expected one with a law" in capsys.readouterr().err
