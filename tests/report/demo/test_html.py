"""The page: self-contained, escaped, and honest about what was slow or not measured."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from report.demo.synthetic_record import (
    made_up_estimate,
    synthetic_record,
    with_every_text,
    without_interval,
)
from speclight.report.demo.html import write_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--{{7*7}}$x$"
LOADING_ATTRIBUTES = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "cite"}
LOADING_TAGS = {"link", "iframe", "object", "embed", "base", "form", "audio", "video", "source"}


class Page(HTMLParser):
    """What a browser would see of a page: elements with attributes, style and script text, shown text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, list[str]] = {"style": [], "script": []}
        self.shown: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open in self.contents:
            self.contents[self._open][-1] += data
        else:
            self.shown.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.shown))

    @property
    def structure(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def page_of(record, folder) -> Page:
    return Page(write_report(record, folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    return page_of(synthetic_record(), tmp_path_factory.mktemp("report"))


def test_the_page_asks_the_network_for_nothing(page):
    assert not LOADING_TAGS & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name in LOADING_ATTRIBUTES & set(attributes):
            assert attributes[name].startswith(("#", "data:image/")), (tag, name)
        assert "url(" not in (attributes.get("style") or "")
    for style in page.contents["style"]:
        assert "url(" not in style
        assert "@import" not in style
    own_scripts = [script for script in page.contents["script"] if script != get_plotlyjs()]
    assert len(own_scripts) == len(page.contents["script"]) - 1
    assert not any("://" in script for script in own_scripts)


def test_the_content_security_policy_allows_nothing_from_outside(page):
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert not re.search(r"https?:|\*|'self'", policy)


def test_text_of_the_record_cannot_become_markup(page, tmp_path):
    record = with_every_text(synthetic_record(), lambda text: text + HOSTILE)
    hostile = page_of(record, tmp_path)
    assert hostile.structure == page.structure
    assert record.examples[0].text.split("\n")[0] in hostile.text
    assert HOSTILE in hostile.text


def test_text_inside_figure_data_survives_as_text(tmp_path):
    record = with_every_text(synthetic_record(), lambda text: text + HOSTILE)
    page = page_of(record, tmp_path)
    places = [
        index
        for index, (_, attributes) in enumerate(
            element for element in page.elements if element[0] == "script"
        )
        if attributes.get("type") == "application/json"
    ]
    figures = [json.loads(page.contents["script"][place]) for place in places]
    assert len(figures) == len(record.limits) + 1
    labels = [unescape(trace["name"]) for trace in figures[0]["data"] if "name" in trace]
    assert any(HOSTILE in label for label in labels)
    # Plotly would make elements of a few tags, links among them; nothing of the record may be one.
    assert not any("<script" in json.dumps(figure) or "<img" in json.dumps(figure) for figure in figures)


def test_control_characters_and_lone_surrogates_do_not_break_the_page(tmp_path):
    record = synthetic_record(("code",))
    odd = replace(record.examples[0], prompt="\ud800 \u202e \x1b[31m", text="\ud800\x00 end of text")
    assert "end of text" in page_of(replace(record, examples=(odd,)), tmp_path).text


def test_headline_comes_first_with_its_numbers(page):
    headline = (
        "At P = 8 and temperature 1, the ngram drafter reaches 41.3% of this model’s limit "
        "(95% interval 37.9 to 44.8%). "
        "1.31 (95% interval 1.20 to 1.42) tokens per target call, against 3.17 (95% interval 2.91 to 3.44)"
    )
    assert headline in page.text
    assert page.text.index(headline) < page.text.index("Family by family")


@pytest.mark.parametrize(
    ("speed_up", "verdict", "conclusion"),
    [
        (0.874, "Slower.", "Speculation was slower than plain decoding here"),
        (0.9996, "Not decided.", "this run cannot tell"),
        (1.05, "Not decided.", "this run cannot tell"),
        (1.43, "Faster.", "Speculation was faster than plain decoding here"),
    ],
)
def test_the_verdict_follows_the_interval(tmp_path, speed_up, verdict, conclusion):
    page = page_of(synthetic_record(("code",), speed_up), tmp_path)
    assert f"{verdict} " in page.text
    assert conclusion in page.text
    verdicts = [
        attributes["class"] for _, attributes in page.elements if "verdict" in (attributes.get("class") or "")
    ]
    assert verdicts == ["verdict slower" if verdict == "Slower." else "verdict"]


def test_other_work_on_the_machine_is_said(page, tmp_path):
    record = synthetic_record(("code",))
    busy = page_of(replace(record, load=replace(record.load, before=5.0)), tmp_path)
    assert "Other work was running: the machine’s load was 5.00 before and 2.10 at the end" in busy.text
    assert "Other work was running" not in page.text


def test_the_page_says_how_the_drafter_was_chosen(page):
    assert synthetic_record().headline.drafter_choice in page.text


def test_estimates_without_interval_show_none(tmp_path):
    record = synthetic_record(("code",))
    bare = without_interval(made_up_estimate(1.234))
    limits = replace(
        record.limits[0],
        curves=tuple(replace(curve, lows=None, highs=None) for curve in record.limits[0].curves),
    )
    page = page_of(
        replace(
            record,
            headline=replace(
                record.headline,
                expected_tokens_per_call=bare,
                limit_tokens_per_call=bare,
                measured_tokens_per_call=bare,
            ),
            profiles=tuple(replace(profile, full_mu=bare) for profile in record.profiles),
            decodings=tuple(replace(run, tokens_per_call=bare) for run in record.decodings),
            limits=(limits,),
        ),
        tmp_path,
    )
    assert "1.23 tokens per target call, against 1.23 for the best possible tree" in page.text
    assert "no error from one prompt" in page.text
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


def test_one_family_gives_one_panel(tmp_path):
    page = page_of(synthetic_record(("code",)), tmp_path)
    panels = [
        attributes["id"]
        for tag, attributes in page.elements
        if attributes.get("role") == "img" and tag == "div"
    ]
    assert panels == ["limits-0", "speed-0"]


def test_a_record_without_limits_runs_or_examples_says_so(tmp_path):
    page = page_of(
        replace(synthetic_record(("code",)), limits=(), decodings=(), examples=(), profiles=()), tmp_path
    )
    assert "No limit was computed in this run." in page.text
    assert "Nothing was decoded in this run." in page.text
    assert not (tmp_path / "figures").exists()


def test_a_divergence_that_is_no_near_tie_is_an_alarm(page, tmp_path):
    record = synthetic_record(("code", "qa"))
    wrong = tuple(
        replace(run, divergences_other=2) if run.family == "qa" and run.temperature == 0.0 else run
        for run in record.decodings
    )
    assert "lossless decoding must not" not in page.text
    alarmed = page_of(replace(record, decodings=wrong), tmp_path)
    assert "which lossless decoding must not do. Families: qa." in alarmed.text


def test_tables_have_headers_and_images_have_words(page):
    cells = [attributes for tag, attributes in page.elements if tag == "th"]
    assert cells
    assert all("scope" in attributes for attributes in cells)
    images = [
        attributes for tag, attributes in page.elements if tag == "img" or attributes.get("role") == "img"
    ]
    assert len(images) == len(synthetic_record().limits) + 3  # panels, the speed figure, two still images
    assert all(attributes.get("alt") or attributes.get("aria-label") for attributes in images)


def test_curves_that_are_no_bound_here_say_so_in_the_legend(page):
    for label in ("Theorem 1, as printed", "Renewal bound", "ln(P)/μ"):
        assert f"{label} (i.i.d. model, not a bound here)" in page.text
    assert "Ergodic renewal bound (i.i.d." not in page.text
    assert "Oracle: the true limit (i.i.d." not in page.text
