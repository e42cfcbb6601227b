"""The trace and the certificates that an endpoint's likeliest tokens give, beside the laws they come from."""

import json
from pathlib import Path

import numpy as np
import pytest

from engines.fake_server import END, VOCABULARY, Behaviour, fake_server, law
from speclight.cli.main import main
from speclight.engines.client import EngineClient, EngineSettings
from speclight.engines.oracle import between
from speclight.engines.oracle_run import most_possible
from speclight.engines.profile_run import profile_engine
from speclight.engines.trace_run import trace_engine
from speclight.measure.known_families import known_families
from speclight.measure.profile import Profile, ProfileSettings, read_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.record import read_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw

PROMPTS = tuple(Prompt(f"qa-{n}", "qa", (f"What is {n} times {n} or so?",)) for n in range(5))
# Draws of one seed are alike whatever the prompt, and some of these texts end.
SETTINGS = ProfileSettings(max_tokens=24, samples=3)
TRACED = TraceSettings(node_budgets=(2, 5), window=4, windows_per_family=3)
# Of sums of ten float64 logarithms.
ROUNDING_ATOL = 1e-9


def best_path_log_probs(context: list[int], node_budget: int) -> np.ndarray:
    """Of the best tree after a context, from the server's own law."""
    growth = BestFirstGrowth(context[-1], node_budget, [END])
    while nodes := growth.unexpanded():
        for node in nodes:
            path = [growth.known.tokens[member] for member in growth.known.path(node)[1:]]
            growth.expand(node, CandidateLaw(np.arange(VOCABULARY), np.log(law([*context, *path]))))
    return growth.tree().path_log_probs


def profiled(folder: Path, top: int = 0) -> Profile:
    with fake_server(Behaviour()) as url, EngineClient(EngineSettings((url,), concurrency=2)) as client:
        profile = profile_engine(client, PROMPTS, SETTINGS, folder, top)
    assert any(text.ended for text in profile.texts)
    return profile


def traced(folder: Path, top: int, behaviour: Behaviour, settings: TraceSettings = TRACED):
    with fake_server(behaviour) as url, EngineClient(EngineSettings((url,), concurrency=2)) as client:
        return trace_engine(client, read_profile(folder.parent / "profile"), settings, top, folder)


def test_best_trees_are_those_of_the_servers_law(tmp_path: Path) -> None:
    profile = profiled(tmp_path / "profile")
    found = traced(tmp_path / "trace", VOCABULARY - 1, Behaviour())
    texts = {text.key: text for text in profile.texts}
    assert len(found.starts) > 4
    for start in found.starts:
        text = texts[start.prompt_id, start.sample]
        context = [*text.prompt_token_ids, *text.token_ids[: start.start]]
        np.testing.assert_allclose(start.best, best_path_log_probs(context, 5), rtol=0, atol=ROUNDING_ATOL)
        assert start.following == text.token_ids[start.start : start.start + 5]
        assert start.best_depths[0] == 0
        assert start.best_depths[1:].min() == 1
    again = Behaviour()
    traced(tmp_path / "trace", VOCABULARY - 1, again)
    assert not [body for body in again.asked if "prompt" in body]  # what is finished is not asked for again
    assert read_trace(tmp_path / "trace").drafters == ()


@pytest.mark.slow
def test_what_was_not_listed_bounds_the_best_tree(tmp_path: Path) -> None:
    profile = profiled(tmp_path / "profile")
    few = traced(tmp_path / "few", 2, Behaviour())
    texts = {text.key: text for text in profile.texts}
    for start in few.starts:
        text = texts[start.prompt_id, start.sample]
        best = best_path_log_probs([*text.prompt_token_ids, *text.token_ids[: start.start]], 5)
        low, high = start.best_tokens(5), between(start.best, start.hidden, 5)[1]
        assert low <= np.exp(best).sum() + ROUNDING_ATOL
        assert np.exp(best).sum() <= high + ROUNDING_ATOL
    assert most_possible(few, "qa", 5).value > few.limit_tokens_per_call("qa", 5).value


def test_the_command_traces_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = tmp_path / "questions.jsonl"
    lines = [{"question_id": n, "category": "qa", "turns": [f"the {n} the"]} for n in range(3)]
    questions.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with fake_server(Behaviour()) as url:
        given = ["trace", "--engine", url, "--prompts", str(questions), "--max-tokens", "16", "--top", "11"]
        given += ["--budget", "2,4", "--out", str(tmp_path / "trace"), "--json"]
        assert main([*given, "--drafter", "ngram"]) == 2
        assert "expected --drafter none" in capsys.readouterr().err
        assert main([*given, "--drafter", "none"]) == 0
    found = json.loads(capsys.readouterr().out)["families"]["qa"]["tokens_per_call"]
    (name,) = found
    assert 1.0 < found[name][0]["value"] < found[name][1]["value"] < 4.0


def seen_tree(profile: Profile, node_budget: int) -> float:
    """0 where the catalogue has none."""
    (family,) = known_families(profile, node_budget)
    found = [bound.value for bound in family.known.bounds(node_budget) if bound.name == "seen_tree"]
    return found[0] if found else 0.0


@pytest.mark.slow
def test_the_certificate_grows_with_the_tokens_listed_and_never_exceeds_the_best_tree(tmp_path: Path) -> None:
    budget = 4
    found = {top: seen_tree(profiled(tmp_path / str(top), top), budget) for top in (0, 1, 3, 11)}
    assert found[0] == 0.0
    assert 1.0 < found[1] < found[3] <= found[11]
    profile = read_profile(tmp_path / "11")
    best = [
        np.exp(best_path_log_probs([*text.prompt_token_ids, *text.token_ids[:start]], budget)).sum()
        for text in profile.texts
        for start in range(SETTINGS.max_tokens - budget + 2)
        if start < len(text.token_ids)
    ]
    assert found[11] <= np.mean(best) + ROUNDING_ATOL


def test_no_certificate_where_the_end_of_text_is_not_known(tmp_path: Path) -> None:
    with fake_server(Behaviour()) as url, EngineClient(EngineSettings((url,))) as client:
        profile = profile_engine(client, PROMPTS[:1], ProfileSettings(max_tokens=1), tmp_path, 3)
    assert not profile.texts[0].ended
    assert profile.texts[0].listed is None
