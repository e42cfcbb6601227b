"""The figures on disk: there, readable, and a function of the record alone."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from math import nan
from xml.etree import ElementTree

import matplotlib
import matplotlib.image
import pytest

from report.demo.synthetic_record import synthetic_record, with_every_text
from speclight.report.demo.figures import write_figures

FAMILIES = ("code", "qa")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_figures(synthetic_record(FAMILIES), tmp_path_factory.mktemp("figures"))


@pytest.mark.parametrize("name", ["limits", "time", "acceptance"])
def test_figures_are_readable_and_not_blank(written, name):
    figure = getattr(written, name)
    pixels = matplotlib.image.imread(BytesIO(figure.png.read_bytes()), format="png")
    assert min(pixels.shape[:2]) > 300
    assert pixels[..., :3].std() > 0.01  # a blank canvas has one colour, hence 0
    root = ElementTree.fromstring(figure.svg.read_bytes())
    assert root.tag.endswith("svg")
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
    assert figure.svg_content == figure.svg.read_bytes()


@pytest.mark.slow
def test_equal_records_give_equal_svg_files_whatever_the_reader_set(written, tmp_path):
    with matplotlib.rc_context({"font.size": 30.0, "svg.hashsalt": "other", "axes.facecolor": "red"}):
        again = write_figures(synthetic_record(FAMILIES), tmp_path)
        assert matplotlib.rcParams["font.size"] == 30.0
    assert again.limits.svg_content == written.limits.svg_content
    assert again.time.svg_content == written.time.svg_content
    assert again.acceptance.svg_content == written.acceptance.svg_content
    assert b"<dc:date>" not in again.limits.svg_content


def test_every_curve_of_the_record_is_drawn(written, tmp_path):
    record = synthetic_record(FAMILIES)
    fewer = tuple(
        replace(limits, curves=tuple(curve for curve in limits.curves if curve.name != "limit"))
        for limits in record.limits
    )
    without = write_figures(replace(record, limits=fewer, overall=()), tmp_path)
    paths = [
        figure.svg_content.count(b'id="line2d_') for figure in (written.limits, without.limits)
    ]  # one less per family, and one less in the legend
    assert paths[0] - paths[1] == len(record.limits) + 1


@pytest.mark.slow  # the page of a record of such names has its figures too
def test_names_are_shown_and_not_interpreted(tmp_path):
    odd = "$\\frac$ a_b^$c$ 问答 <b>&" + "long" * 60
    record = with_every_text(synthetic_record(("code",)), lambda text: text + odd)
    assert write_figures(record, tmp_path).limits.png.stat().st_size > 0


def test_what_was_not_measured_is_left_out(tmp_path):
    record = synthetic_record(("code",))
    curves = tuple(
        replace(curve, values=(nan, *curve.values[1:]), lows=curve.lows and (nan, *curve.lows[1:]))
        for curve in record.limits[0].curves
    )
    runs = tuple(replace(run, tokens_per_second=nan) for run in record.overall)
    figures = write_figures(
        replace(record, limits=(replace(record.limits[0], curves=curves),), overall=runs), tmp_path
    )
    assert figures.limits is not None
    assert figures.time is not None


def test_no_data_no_figure(tmp_path):
    figures = write_figures(replace(synthetic_record(), limits=(), decodings=(), overall=()), tmp_path)
    assert figures.limits is None
    assert figures.time is None
    assert figures.acceptance is None
