"""The report in a real browser: it fits, it sorts, its numbers lead to definitions, and what if follows."""

from __future__ import annotations

import pytest

from browser import opened, seen
from cases import thinned
from page_layout import assert_fits, numbers_lead_to, sorted_by
from report.demo.synthetic_record import synthetic_record
from speclight.advice.what_if import outcome
from speclight.report.demo.html import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    path = write_report(synthetic_record(), tmp_path_factory.mktemp("report"))
    with opened(chromium, path, 390) as opened_page:
        yield opened_page


@pytest.mark.parametrize(
    ("width", "dark"), thinned([(390, False), (1280, True), (390, True), (1280, False)], keep=2)
)
def test_the_page_fits(page, width, dark):
    seen(page, width, dark=dark)
    assert_fits(page, width)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")


def test_numbers_lead_to_definitions(page):
    seen(page, 1280)
    led = numbers_lead_to(page)
    assert led >= {
        "speed-bound",
        "measured-speed",
        "oracle",
        "expected",
        "share",
        "bound",
        "mu",
        "mu2",
        "time",
    }
    page.locator("h1 a.number").first.click()
    assert page.locator("div:target dt").text_content() == "Limit of this machine"


def test_tables_sort(page):
    seen(page, 1280)
    sorted_by(page, "families", "drafter")
    sorted_by(page, "bounds", "P = 16")
    sorted_by(page, "profile", "full")
    names = page.locator("#families-table tbody th")
    page.locator("#families-table th[data-column] button", has_text="Family").click()
    assert names.all_text_contents() == sorted(names.all_text_contents())


@pytest.mark.parametrize("width", [390, 1280])
def test_a_table_that_goes_on_says_so(page, width):
    seen(page, width)
    for tabled in page.locator(".tabled").all():
        if not tabled.is_visible():
            continue
        scroll = tabled.locator(".scroll")
        scroll.evaluate("each => each.scrollTo(0, 0)")
        goes_on = scroll.evaluate("each => each.scrollWidth > each.clientWidth + 2")
        tabled.locator(".more").wait_for(state="visible" if goes_on else "hidden")
        if goes_on:
            scroll.evaluate("each => each.scrollTo(each.scrollWidth, 0)")
            tabled.locator(".more").wait_for(state="hidden")
    assert page.locator("#bounds-table").evaluate("each => each.scrollWidth > each.parentNode.clientWidth")


def test_what_if_follows_the_slider(page):
    seen(page, 1280)
    record = synthetic_record()
    part = page.locator("#what-if")
    part.locator('[name="drafter"]').select_option("ngram")
    part.locator('[name="call-time"]').select_option("2")
    part.locator('[name="node-budget"]').fill("0")
    load = record.what_if.loads[0]
    way = next(each for each in load.drafted if each.drafter == "ngram")
    found = outcome(load, way, 2, record.what_if.call_times[2].seconds, record.what_if.plain_loop_seconds)
    shown = part.locator('[data-what="drafter-speed"]').get_attribute("data-value")
    assert float(shown) == pytest.approx(found.tokens_per_second.value, rel=1e-12)
