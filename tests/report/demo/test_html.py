"""The page: self-contained, escaped, and honest about what was slow or not measured."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from report.demo.synthetic_record import (
    made_up_estimate,
    made_up_speed_up,
    synthetic_record,
    with_every_text,
    without_interval,
)
from speclight.report.demo import html
from speclight.report.demo.figures import write_figures
from speclight.report.demo.html import write_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--{{7*7}}$x$"
ODD = "$\\frac$ a_b^$c$ 问答" + "long" * 60  # what a figure may take for mathematics, and does not hold
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


@pytest.fixture(scope="module", autouse=True)
def drawn_once(tmp_path_factory):
    """Images of one record for every page: test_figures.py is about them, and drawing takes longest."""
    figures = write_figures(synthetic_record(("code",)), tmp_path_factory.mktemp("figures"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(html, "write_figures", lambda record, folder: figures)
        yield


def page_of(record, folder) -> Page:
    return Page(write_report(record, folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    return page_of(synthetic_record(), tmp_path_factory.mktemp("report"))


def test_the_page_asks_the_network_for_nothing(page):
    assert not LOADING_TAGS & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name in LOADING_ATTRIBUTES & set(attributes):
            assert attributes[name].startswith(("#", "data:image/", "data:text/csv;")), (tag, name)
            assert not attributes[name].startswith("data:text/csv") or "download" in attributes
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


def test_text_of_the_record_cannot_become_markup(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "write_figures", write_figures)  # images of hostile texts too
    record = with_every_text(synthetic_record(("code",)), lambda text: text + HOSTILE + ODD)
    hostile = page_of(record, tmp_path / "hostile")
    assert hostile.structure == page_of(synthetic_record(("code",)), tmp_path).structure
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
        if "data-plot" in attributes
    ]
    figures = [json.loads(page.contents["script"][place]) for place in places]
    assert len(figures) == len(record.limits) + 2
    labels = [unescape(trace["name"]) for trace in figures[0]["data"] if "name" in trace]
    assert any(HOSTILE in label for label in labels)
    # Plotly would make elements of a few tags, links among them; nothing of the record may be one.
    assert not any("<script" in json.dumps(figure) or "<img" in json.dumps(figure) for figure in figures)


def test_control_characters_and_lone_surrogates_do_not_break_the_page(tmp_path):
    record = synthetic_record(("code",))
    odd = replace(record.examples[0], prompt="\ud800 \u202e \x1b[31m", text="\ud800\x00 end of text")
    assert "end of text" in page_of(replace(record, examples=(odd,)), tmp_path).text


def test_the_answer_comes_first(page):
    """What is possible in tokens per second and in calls, what the drafter gets, what P is, and the clock."""
    parts = (
        "At most 71.3 tokens per second are possible here, 1.93× plain decoding. The ngram drafter gives "
        "32.3",
        "In calls of the target: up to 3.17 times fewer are possible at P = 8, the ngram drafter gets 1.31 "
        "times fewer.",
        "P = 8 means that a call scores 8 positions at once, the last token of the text and 7 drafted ones; "
        "plain decoding is P = 1, one token per call. All of it is at temperature 1. A larger P raises the "
        "limit: over uniform positions of sampled text, from 3.33 at P = 8 to 5.67 at P = 64.",
        "plain decoding 1 by definition 36.9",
        "ngram drafter 1.31 1.20 to 1.42 32.3 0.874× plain (0.801 to 0.947): slower",
        "the limit 3.17 2.91 to 3.44 at most 71.3 95% upper limit 74.9; any P up to 64, drafting free",
        "Slower. Speculation was slower than plain decoding here",
        "What to do about it: Most is lost to drafter's knowledge. The 7 likeliest nodes of drafter ngram "
        "emit",
        "The drafter reaches 41.3% of the limit (95% interval 37.9 to 44.8%), both counted at the 342 call",
        "Family by family",
    )
    text = page.text.replace(" .", ".").replace(" ,", ",")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


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
    assert verdicts == ["verdict slower" if verdict == "Slower." else "verdict", "verdict"]  # and what if


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
    assert "the limit 1.23 too few to say at most 71.3" in page.text
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
    assert panels == ["limits-0", "time-0", "acceptance-0"]


def test_a_record_without_limits_runs_or_examples_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "write_figures", write_figures)
    page = page_of(
        replace(
            synthetic_record(("code",)),
            limits=(),
            decodings=(),
            overall=(),
            prompt_totals=(),
            examples=(),
            profiles=(),
        ),
        tmp_path,
    )
    assert "No limit was computed in this run." in page.text
    assert "Nothing was decoded in this run." in page.text
    assert "No profile was recorded in this run." in page.text
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


def test_a_decode_beyond_its_limit_is_an_alarm(page, tmp_path):
    record = synthetic_record(("code",))
    (item,) = record.limit_checks
    above = replace(item, check=replace(item.check, exceeds=True))
    assert "an error in the decode or in the limit" not in page.text
    alarmed = page_of(replace(record, limit_checks=(above,)), tmp_path)
    assert "an error in the decode or in the limit" in alarmed.text


def test_tables_have_headers_and_images_have_words(page):
    cells = [attributes for tag, attributes in page.elements if tag == "th"]
    assert cells
    assert all("scope" in attributes for attributes in cells)
    images = [
        attributes for tag, attributes in page.elements if tag == "img" or attributes.get("role") == "img"
    ]
    # panels, two figures of decoding, three stills, and what if
    assert len(images) == len(synthetic_record().limits) + 6
    assert all(attributes.get("alt") or attributes.get("aria-label") for attributes in images)


def test_curves_that_are_no_bound_here_say_so_in_the_legend(page):
    for label in ("Theorem 1, as printed", "Renewal bound", "ln(P)/μ"):
        assert f"{label} (i.i.d. model, not a bound here)" in page.text
    assert "Ergodic renewal bound (i.i.d." not in page.text
    assert "Oracle: the true limit (i.i.d." not in page.text


def test_both_start_laws_stand_in_the_table_with_their_names(page):
    table = page.text[page.text.index("Family by family") : page.text.index("How far one target call")]
    assert "Limit at uniform starts, temperature 1" in table
    assert "At the ngram drafter’s own call starts, P = 8" in table
    all_families = "all families 3.33 2.87 to 3.80 4.11 3.49 to 4.73 5.67 4.73 to 6.60"
    assert f"{all_families} 3.17 2.91 to 3.44 1.31 1.20 to 1.42 41.3% 37.9 to 44.8" in table


def test_two_prompts_are_too_few_to_say_an_interval(page, tmp_path):
    assert "too few to say" in page.text
    record = synthetic_record(("code",))
    estimate = replace(made_up_estimate(1.38), clusters=4)
    enough = tuple(
        replace(
            item, expected_tokens_per_call=estimate, limit_tokens_per_call=estimate, share_of_limit=estimate
        )
        for item in record.at_call_starts
    )
    runs = tuple(
        replace(run, tokens_per_call=estimate, speed_up=made_up_speed_up(0.9, clusters=4))
        for run in record.decodings
    )
    told = page_of(replace(record, at_call_starts=enough, decodings=runs), tmp_path)
    shown = told.text[: told.text.index("Every number leads here")]  # definitions say what the words mean
    assert "too few to say" not in shown


def test_every_table_can_be_saved_and_sorted(page, tmp_path):
    """The download in the page is the file beside it, and every shown column says what to sort by."""
    write_report(synthetic_record(), tmp_path)
    files = {path.name: path.read_bytes().decode("utf-8") for path in (tmp_path / "tables").iterdir()}
    links = {
        attributes["download"]: b64decode(attributes["href"].partition(",")[2]).decode("utf-8")
        for tag, attributes in page.elements
        if tag == "a" and "download" in attributes
    }
    assert links == files
    assert set(files) == {
        f"{name}.csv"
        for name in (
            "families",
            "bounds",
            "decoding",
            "decoding-by-family",
            "time",
            "acceptance",
            "profile",
            "prompts",
            "waterfall",
        )
    }
    sortable = [attributes["id"] for tag, attributes in page.elements if "data-sortable" in attributes]
    assert len(sortable) == len(files) - 2  # the prompts are a file only, the waterfall has bars
    keys = [attributes["data-sort"] for tag, attributes in page.elements if "data-sort" in attributes]
    columns = [attributes for tag, attributes in page.elements if "data-column" in attributes]
    assert all(attributes["scope"] == "col" for attributes in columns)
    assert repr(synthetic_record().headline.share_of_limit.value) in keys  # exact, not as shown


def test_wide_tables_say_that_they_go_on(page):
    """The words are there for the script to show; without it the scroll bar is all there is."""
    hints = [attributes for tag, attributes in page.elements if attributes.get("class") == "more"]
    regions = [attributes for tag, attributes in page.elements if attributes.get("class") == "scroll"]
    assert len(hints) == len(regions)
    assert all("hidden" in attributes for attributes in hints)
    assert all(attributes.get("tabindex") == "0" for attributes in regions)


def test_each_drafter_has_a_shape_and_its_name(tmp_path):
    record = synthetic_record(("code",))
    both = tuple(replace(run, drafter="eagle3") for run in record.decodings) + record.decodings
    page = page_of(replace(record, decodings=both), tmp_path)
    (button,) = [attributes for tag, attributes in page.elements if attributes.get("data-curve") == "drafter"]
    assert button["aria-pressed"] == "true"
    assert "eagle3, ngram, measured" in page.text
    shapes = {
        attributes["d"] for tag, attributes in page.elements if tag == "path" and "transform" in attributes
    }
    assert len(shapes) == 2
