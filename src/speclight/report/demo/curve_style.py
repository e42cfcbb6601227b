"""How each curve looks and what it is called: one source for Matplotlib, Plotly, the page and the terminal.

Colours are Okabe and Ito's, told apart with any colour vision; those too pale for a white ground (below
3:1 contrast) are darkened there, and the blue is lightened on a dark ground. Dashes repeat what colour says.
"""

from __future__ import annotations

from dataclasses import dataclass

from speclight.experiments.demo.record import LimitCurve

NOT_A_BOUND_HERE = "i.i.d. model, not a bound here"


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour on a white and on a dark ground, as #rrggbb."""

    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class CurveStyle:
    """variable: name of the CSS custom property. dashes: on-off lengths in pixels, empty for a solid line.

    meaning: what the curve is, in one line.
    """

    variable: str
    dashes: tuple[int, ...]
    width: float
    meaning: str


COLOURS: dict[str, Colour] = {
    "oracle": Colour("#0072b2", "#56b4e9"),
    "ergodic-renewal": Colour("#008f68", "#12b886"),
    "theorem-1": Colour("#b06f00", "#e69f00"),
    "renewal": Colour("#b4558c", "#cc79a7"),
    "limit": Colour("#5f6670", "#a9b1bb"),
    "other": Colour("#5f6670", "#a9b1bb"),
    "drafter": Colour("#d55e00", "#f2772a"),
    "plain": Colour("#5f6670", "#a9b1bb"),
}

_STYLES = {
    "oracle": CurveStyle(
        "oracle",
        (),
        2.6,
        "the measured limit: at real contexts, the best tree of P nodes, found with the target itself",
    ),
    "ergodic_renewal": CurveStyle(
        "ergodic-renewal",
        (),
        1.8,
        "the bound that needs no independence, from the surprisals of sampled text alone",
    ),
    "theorem_1": CurveStyle(
        "theorem-1",
        (9, 4),
        1.6,
        "the paper’s bound from two moments, μ and μ₂, if contexts were independent draws",
    ),
    "renewal": CurveStyle(
        "renewal",
        (9, 3, 2, 3),
        1.6,
        "the sharper bound from the whole step law, if contexts were independent draws",
    ),
    "limit": CurveStyle(
        "limit", (2, 3), 1.6, "the leading term ln(P)/μ as P grows; it bounds nothing at a finite P"
    ),
}
_OTHER = CurveStyle("other", (5, 5), 1.6, "")
# Front to back: what was measured before what bounds it before what only models it.
_ORDER = ("oracle", "ergodic_renewal", "renewal", "theorem_1", "limit")


def style_of(curve: LimitCurve) -> CurveStyle:
    """The look of a curve. What holds for a real model is solid, what does not is dashed."""
    style = _STYLES.get(curve.name, _OTHER)
    if holds_here(curve):
        return CurveStyle(style.variable, (), style.width, style.meaning)
    return CurveStyle(style.variable, style.dashes or _OTHER.dashes, style.width, style.meaning)


def holds_here(curve: LimitCurve) -> bool:
    """Whether the curve says something about the real model: it was measured, or its assumptions hold."""
    return curve.is_bound_here or curve.side == "measured"


def legend_label(curve: LimitCurve) -> str:
    """The curve's label, and that it is no bound here where that is so."""
    if holds_here(curve) or NOT_A_BOUND_HERE in curve.label:
        return curve.label
    return f"{curve.label} ({NOT_A_BOUND_HERE})"


def in_legend_order(curves: tuple[LimitCurve, ...]) -> list[LimitCurve]:
    """Measured, bound, models; curves without a style of their own last, in the order given."""
    return sorted(curves, key=lambda curve: _ORDER.index(curve.name) if curve.name in _ORDER else len(_ORDER))
