"""The what-if part in a real browser: what is moved there gives the numbers that Python gives."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from browser import opened
from cases import thinned
from speclight.advice.configuration import Configuration
from speclight.advice.what_if import Outcome, WhatIf, fastest_budget, outcome
from speclight.report.page.environment import page_environment, template_text, utf8
from speclight.report.what_if.definitions import Commands, what_if_definitions
from speclight.report.what_if.view import PACKAGE, what_if_view
from speclight.writing import write_whole
from what_if_data import made_up_what_if

pytestmark = pytest.mark.browser

# Sums in the same order, in the same arithmetic: equal up to the last digits of a double.
SAME = 1e-12
SHELL = """{% extends "base.html.j2" %}
{% import "macros.html.j2" as show with context %}
{% block main %}{% include "what_if.html.j2" %}{{ show.definition_list(definitions) }}{% endblock %}"""
SHOWN = Configuration("eagle3", "chain", "target_sample", 8)


@pytest.fixture(scope="module")
def what_if() -> WhatIf:
    return made_up_what_if()


@pytest.fixture(scope="module")
def path(what_if, tmp_path_factory):
    page = (
        page_environment(PACKAGE)
        .from_string(SHELL)
        .render(
            view=what_if_view(what_if, SHOWN),
            what_if_script=template_text(PACKAGE, "what_if.js"),
            definitions=what_if_definitions(Commands("texts", "times", "page")),
        )
    )
    return write_whole(tmp_path_factory.mktemp("what_if") / "page.html", utf8(page))


@pytest.fixture(scope="module")
def page(chromium, path):
    with opened(chromium, path) as opened_page:
        yield opened_page


def choose(page: Page, **choices: str) -> None:
    for name, value in choices.items():
        page.locator(f'[name="{name.replace("_", "-")}"]').select_option(value)


def slide(page: Page, budget: int) -> None:
    """Move the slider step by step with the keyboard, as a reader may."""
    slider = page.locator('[name="node-budget"]')
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(10):
        if page.locator("output").text_content() == str(budget):
            return
        page.keyboard.press("ArrowRight")
    raise AssertionError(f"the slider has no P = {budget}")


def numbers(page: Page) -> dict[str, float]:
    """Every number of the part by its name, read at once: each question to the browser takes its time."""
    shown = page.locator("[data-what][data-value]").evaluate_all(
        "all => all.map(each => [each.dataset.what, Number(each.dataset.value)])"
    )
    return dict(shown)


def assert_shows(page: Page, found: Outcome) -> None:
    expected = {
        "limit-tokens": found.limit_tokens,
        "limit-speed": found.limit_tokens_per_second,
        "plain-speed": found.plain_tokens_per_second,
        "drafter-tokens": found.tokens.value,
        "drafter-speed": found.tokens_per_second.value,
        "speed-up": found.speed_up,
        **{f"factor-{step.name}": step.factor for step in found.steps},
        **{f"left-{step.name}": step.tokens_per_second for step in found.steps},
    }
    shown = numbers(page)
    assert {name: shown[name] for name in expected} == pytest.approx(expected, rel=SAME)


def assert_shows_the_limit_alone(page: Page, limit: float) -> None:
    assert numbers(page)["limit-tokens"] == pytest.approx(limit, rel=SAME)
    for name in ("drafter-tokens", "drafter-speed", "speed-up", "share", "factor-knowledge", "left-loop"):
        assert page.locator(f'[data-what="{name}"]').text_content() == "–"
    assert page.locator("[data-interval]").text_content() == "not recorded at this P"


def test_it_opens_on_what_is_to_be_shown(page, what_if):
    load, times = what_if.loads[0], what_if.call_times[0].seconds
    assert page.locator("output").text_content() == "8"
    assert_shows(page, outcome(load, load.drafted[1], 8, times, what_if.plain_loop_seconds))


def test_without_a_script_the_same_numbers_stand_there(path, page):
    """What Python wrote is what the script shows when it begins."""
    view = what_if_view(made_up_what_if(), SHOWN)
    for step in view.steps:
        assert page.locator(f'[data-what="factor-{step.name}"]').text_content() == step.factor
        assert page.locator(f'[data-what="left-{step.name}"]').text_content() == step.left
    assert page.locator("[data-interval]").text_content() == view.interval
    assert f'data-what="left-loop">{view.steps[-1].left}</a>' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("budget", "place", "scale"),
    [
        *thinned([(4, 0, "1"), (2, 0, "1"), (16, 0, "1")]),
        *thinned([(16, 1, "0.5"), (2, 1, "0.5"), (4, 1, "0.5")], keep=0),
        *thinned([(2, 2, "0"), (4, 2, "0"), (16, 2, "0")]),
    ],
)
def test_every_choice_gives_the_numbers_of_python(page, what_if, budget, place, scale):
    for load in what_if.loads:
        for way in load.drafted:
            choose(page, temperature=f"{load.temperature:g}")
            choose(page, texts=load.name)
            choose(page, drafter=way.drafter)
            choose(page, tree=f"{way.growth}|{way.rule}", call_time=str(place), drafting=scale)
            slide(page, budget)
            seconds = what_if.call_times[place].seconds
            if budget not in [calls.node_budget for calls in way.calls]:
                assert_shows_the_limit_alone(page, load.limit[load.node_budgets.index(budget)])
                continue
            found = outcome(load, way, budget, seconds, what_if.plain_loop_seconds, float(scale))
            assert_shows(page, found)
            fastest = fastest_budget(load, way, seconds, what_if.plain_loop_seconds, float(scale))
            button = page.locator("button[data-fastest]")
            assert button.get_attribute("data-fastest") == str(fastest)
            is_untimed = way.calls[0].draft_seconds is None
            assert page.locator("[data-untimed]").is_visible() == is_untimed


def test_the_fastest_budget_is_a_click_away(page, what_if):
    choose(page, temperature="1", texts="all families", drafter="eagle3", call_time="1", drafting="0")
    slide(page, 2)
    page.locator("button[data-fastest]").click()
    load = what_if.loads[0]
    fastest = fastest_budget(
        load, load.drafted[0], what_if.call_times[1].seconds, what_if.plain_loop_seconds, 0.0
    )
    assert page.locator("output").text_content() == str(fastest) == "16"
    assert page.locator("button[data-fastest]").is_disabled()


def test_two_prompts_are_too_few_for_an_interval(page):
    choose(page, temperature="1", texts="code")
    assert page.locator("[data-interval]").text_content() == "too few to say"
    choose(page, texts="all families")
    assert " to " in page.locator("[data-interval]").inner_text()


def test_every_number_leads_to_a_definition(page):
    numbers = page.locator("a.number")
    assert numbers.count() > 15
    for place in range(numbers.count()):
        target = numbers.nth(place).get_attribute("href")
        assert page.locator(f"div{target}").count() == 1, target
    page.locator('[data-what="factor-drafting"]').click()
    assert page.locator("div:target dt").text_content() == "Drafting"


def test_names_are_text(page):
    """A drafter's name with markup is an option, not an element."""
    assert page.locator('[name="drafter"] option').all_text_contents()[-1] == "<b>untimed</b>"
