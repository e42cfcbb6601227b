"""The page of a plan: its what-if data against the plan it is cut from, and what a reader sees of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from browser import opened, seen
from page_layout import assert_fits, numbers_lead_to, sorted_by
from speclight.advice.configuration import Configuration
from speclight.advice.machine import prices_of
from speclight.advice.pooling import mean_calls
from speclight.advice.priced_calls import priced_calls
from speclight.advice.recorded_loads import TracedLoad, what_if_of
from speclight.advice.start_set import start_set
from speclight.advice.traced_calls import Choice
from speclight.advice.what_if import outcome
from speclight.cli.main import main
from speclight.measure.latency.record import read_latency
from speclight.measure.trace.record import read_trace

RULE = "target_sample"
EXACT = 1e-12


@pytest.fixture(scope="module")
def recorded(traced, timed):
    trace = read_trace(Path(traced))
    return trace, prices_of(trace, read_latency(Path(timed)), 1, loop_seconds=0.25)


@pytest.mark.parametrize("mix", [{"code": 0.5, "qa": 0.5}, {"code": 0.8, "qa": 0.2}, {"qa": 1.0}])
def test_the_machine_as_measured_gives_what_the_texts_gave(recorded, mix):
    """Every configuration, the mix of families included, as plans see it before they pool and choose."""
    trace, prices = recorded
    families = [
        priced_calls(start_set(trace.of_family(family)), RULE, [prices], Choice(), with_auto=False)[0]
        for family in mix
    ]
    shares = np.array(list(mix.values()))[:, None]
    calls_per_token, *seconds = mean_calls(families)
    calls_per_token = shares * calls_per_token
    per_token = [(calls_per_token * each).sum(axis=0) for each in seconds]
    what_if = what_if_of([_load(trace, prices, mix)])
    load, measured = what_if.loads[0], what_if.call_times[0].seconds
    compared = 0
    for way in load.drafted:
        for calls in way.calls:
            told = Configuration(way.drafter, way.growth, way.rule, calls.node_budget)
            place = families[0].configurations.index(told)
            found = outcome(load, way, calls.node_budget, measured, what_if.plain_loop_seconds)
            whole = sum(each[place] for each in per_token)
            assert found.tokens_per_second.value == pytest.approx(1.0 / whole, rel=1e-9)
            a_token = calls_per_token[:, place].sum()
            assert found.tokens.value == pytest.approx(1.0 / a_token, rel=1e-9)
            assert calls.draft_seconds == pytest.approx(per_token[1][place] / a_token, rel=1e-9)
            compared += 1
    assert compared == len(families[0].configurations)


def test_no_tree_is_worth_more_than_the_targets_own(recorded):
    trace, prices = recorded
    for load in what_if_of([_load(trace, prices, {"code": 0.5, "qa": 0.5})]).loads:
        assert list(load.limit) == sorted(load.limit)
        for way in load.drafted:
            for calls in way.calls:
                assert calls.likeliest <= calls.best_tree * (1 + EXACT)
                assert calls.tokens.value <= calls.best_tree * (1 + EXACT)
                assert sum(calls.shares) == pytest.approx(1.0)


def test_a_mix_stands_before_its_families(recorded):
    trace, prices = recorded
    loads = what_if_of([_load(trace, prices, {"code": 0.5, "qa": 0.5})]).loads
    assert [load.name for load in loads] == ["all families", "code", "qa"]
    alone = what_if_of([_load(trace, prices, {"code": 1.0})]).loads
    assert [load.name for load in alone] == ["code"]


def test_a_choice_narrows_what_can_be_chosen(recorded):
    trace, prices = recorded
    choice = Choice(("ngram",), ("chain",), (2, 4))
    (load,) = what_if_of([_load(trace, prices, {"code": 1.0}, choice)]).loads
    assert [(way.drafter, way.growth) for way in load.drafted] == [("ngram", "chain")]
    assert {calls.node_budget for calls in load.drafted[0].calls} <= {2, 4, 8}
    assert all(calls.likeliest is not None for calls in load.drafted[0].calls)


def _load(trace, prices, mix, choice=Choice()):  # noqa: B008
    texts = {family: trace.profile.sampled_texts(family) for family in mix}
    return TracedLoad(trace.starts, texts, 1.0, RULE, prices, mix, choice)


@pytest.fixture(scope="module")
def written(traced, timed, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.html"
    assert main(["plan", traced, "--latency", timed, "--also", traced, "--page", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def page(chromium, written):
    with opened(chromium, written, 390) as opened_page:
        yield opened_page


@pytest.mark.browser
def test_the_page_answers_first(page):
    assert "plain decoding’s speed is possible on this machine" in page.locator("h1").inner_text()
    assert "No setting traced pays" in page.locator("h1").inner_text()
    assert page.locator("p.verdict").first.text_content().startswith("Do not speculate")
    assert page.locator("#settings-table, #plan-table").count() == 1
    assert "vLLM" in page.locator("#engines pre").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_its_words_are_whole(page, width, dark):
    seen(page, width, dark=dark)
    assert_fits(page, width)


@pytest.mark.browser
def test_every_number_of_the_page_leads_to_a_definition_and_its_command(page):
    assert numbers_lead_to(page) >= {"speed-bound", "speed-up", "step-drafting"}
    commands = page.locator("#definitions code").all_text_contents()
    assert any(command.startswith("speclight trace --drafter ngram") for command in commands)


@pytest.mark.browser
def test_columns_sort_by_value(page):
    seen(page, 1280)
    sorted_by(page, "plan", "tokens per call")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--page", "plan.pdf"), "expected a name that ends in .html (the flag is --page)"),
        (("--also", "trace"), "got --also without --page"),
        (
            ("--page", "/dev/null/plan.html", "--drafter", "ngram", "--growth", "chain", "--budget", "2"),
            "cannot be written",
        ),
    ],
)
def test_pages_that_cannot_be(traced, timed, arguments, message, capsys):
    assert main(["plan", traced, "--latency", timed, *arguments]) == 2
    assert message in capsys.readouterr().err
