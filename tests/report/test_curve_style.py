"""Colours and dashes."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.report.curve_style import (
    COLOURS,
    NOT_A_BOUND_HERE,
    in_legend_order,
    legend_label,
    statement_style,
    style_of,
)
from speclight.theory.catalogue import BY_NAME

# WCAG 2.2, success criterion 1.4.11: graphical objects need this contrast against what is next to them.
GRAPHICAL_CONTRAST = 3.0


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", COLOURS)
def test_curves_stand_out_from_both_grounds(name):
    style = files("speclight.report.page").joinpath("templates", "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r"--paper: (#\w{6});", style)
    assert contrast(COLOURS[name].light, light) >= GRAPHICAL_CONTRAST
    assert contrast(COLOURS[name].dark, dark) >= GRAPHICAL_CONTRAST


def test_only_what_holds_here_is_solid():
    (limits,) = synthetic_record(("code",)).limits
    for curve in limits.curves:
        assert bool(style_of(curve).dashes) == (not curve.is_bound_here)
        assert style_of(replace(curve, is_bound_here=False, side="upper")).dashes
        unknown = replace(curve, name="a_later_bound", is_bound_here=False, side="upper")
        assert style_of(unknown).dashes


def test_the_caution_is_said_once():
    (limits,) = synthetic_record(("code",)).limits
    theorem = limits.curves[0]
    assert legend_label(theorem) == f"Theorem 1, as printed ({NOT_A_BOUND_HERE})"
    said = replace(theorem, label=f"Theorem 1 ({NOT_A_BOUND_HERE})")
    assert legend_label(said) == said.label


def test_what_was_measured_leads_the_legend_and_later_bounds_close_it():
    (limits,) = synthetic_record(("code",)).limits
    later = replace(limits.curves[0], name="a_later_bound")
    names = [curve.name for curve in in_legend_order((later, *limits.curves))]
    assert names == ["oracle", "ergodic_renewal", "renewal", "theorem_1", "limit", "a_later_bound"]


def test_no_two_statements_look_alike():
    styles = {name: statement_style(name) for name in (*BY_NAME, "oracle", "optimum")}
    looks = [(COLOURS[s.variable].light, s.dashes, s.marker) for s in styles.values()]
    assert len(set(looks)) == len(looks)
    assert all(style.meaning for name, style in styles.items() if name in BY_NAME)


def test_what_is_drawn_without_independence_is_solid_and_nothing_else_is():
    for name in ("ergodic_renewal", "ergodic_renewal_stratified", "trivial"):
        assert statement_style(name).dashes == ()
    for name in ("theorem_1", "two_moments", "renewal", "markov_renewal", "lemma_6", "limit"):
        assert statement_style(name).dashes
