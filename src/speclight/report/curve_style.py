"""How each statement's curve and each drafter looks: one source for Matplotlib, Plotly, page and terminal.

Colours begin with Okabe and Ito's, told apart with any colour vision; those too pale for a white ground
(below 3:1 contrast) are darkened there, and the blue is lightened on a dark ground. No two statements share
colour, dashes and marker. What they are called and mean stands in the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from speclight.experiments.demo.record import LimitCurve
from speclight.theory.catalogue import BY_NAME

NOT_A_BOUND_HERE = "i.i.d. model, not a bound here"


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour on a white and on a dark ground, as #rrggbb."""

    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class CurveStyle:
    """The look of one curve.

    variable: name of the colour, and of its CSS custom property. dashes: on-off lengths in pixels, empty
    for a solid line. marker: Matplotlib's, blank for none. meaning: what the curve is, in one line.
    """

    variable: str
    dashes: tuple[int, ...]
    width: float
    marker: str
    meaning: str


COLOURS: dict[str, Colour] = {
    "oracle": Colour("#0072b2", "#56b4e9"),
    "ergodic-renewal": Colour("#008f68", "#12b886"),
    "theorem-1": Colour("#b06f00", "#e69f00"),
    "sharpened": Colour("#7d5a3c", "#c8a07c"),
    "two-moments": Colour("#7a4fb5", "#b79aea"),
    "leaf-entropy": Colour("#00798c", "#45b8c9"),
    "renewal": Colour("#b4558c", "#cc79a7"),
    "markov": Colour("#a3293d", "#ee8292"),
    "limit": Colour("#5f6670", "#a9b1bb"),
    "other": Colour("#5f6670", "#a9b1bb"),
    "drafter": Colour("#d55e00", "#f2772a"),
    "plain": Colour("#5f6670", "#a9b1bb"),
    "verification": Colour("#7a4fb5", "#b79aea"),
    "rest": Colour("#8a7420", "#d0b85a"),
    "truth": Colour("#111418", "#eceff3"),
}


@dataclass(frozen=True, slots=True)
class DrafterMark:
    """The shape that stands for one drafter in every figure of a page.

    symbol: Plotly's name. marker: Matplotlib's. path: SVG, inside a square from 0 to 10.
    """

    symbol: str
    marker: str
    path: str


# A ring is plain decoding's.
_SHAPES: tuple[DrafterMark, ...] = (
    DrafterMark("diamond", "D", "M5 0 10 5 5 10 0 5Z"),
    DrafterMark("square", "s", "M1 1H9V9H1Z"),
    DrafterMark("triangle-up", "^", "M5 .5 9.8 9.2H.2Z"),
    DrafterMark("triangle-down", "v", "M5 9.5 .2 .8H9.8Z"),
    DrafterMark("x", "X", "M2.5 0 5 2.5 7.5 0 10 2.5 7.5 5 10 7.5 7.5 10 5 7.5 2.5 10 0 7.5 2.5 5 0 2.5Z"),
    DrafterMark("cross", "P", "M3.3 0H6.7V3.3H10V6.7H6.7V10H3.3V6.7H0V3.3H3.3Z"),
    DrafterMark("triangle-right", ">", "M9.5 5 .8 9.8V.2Z"),
    DrafterMark("triangle-left", "<", "M.5 5 9.2 .2V9.8Z"),
)
_USUAL_SHAPE = {"eagle3": 0, "ngram": 1, "medusa": 2, "model": 3}

MEASURED_MEANING = (
    "the measured limit: at real contexts, the best tree of P nodes, found with the target itself"
)
_SOLID: tuple[int, ...] = ()
_MODEL, _LOWER, _LEADING = (9, 4), (6, 2, 1, 2), (2, 3)
# Name -> colour, dashes, width, marker. Solid: holds for a real model; long dashes: above, if contexts were
# independent; dash and dot: below; dots: leading terms.
_LOOKS: dict[str, tuple[str, tuple[int, ...], float, str]] = {
    "oracle": ("oracle", _SOLID, 2.6, ""),
    "optimum": ("truth", _SOLID, 2.0, "o"),
    "trivial": ("limit", _SOLID, 1.2, ""),
    "theorem_1": ("theorem-1", _MODEL, 1.6, ""),
    "sharpened_theorem_1": ("sharpened", _MODEL, 1.6, "s"),
    "two_moments": ("two-moments", _MODEL, 1.6, ""),
    "leaf_entropy": ("leaf-entropy", _MODEL, 1.6, "D"),
    "lemma_6": ("theorem-1", _LOWER, 1.6, "v"),
    "two_moments_lower": ("two-moments", _LOWER, 1.6, "v"),
    "limit": ("limit", _LEADING, 1.6, ""),
    "corollary_1": ("limit", _LEADING, 1.6, "x"),
    "two_moments_limit": ("two-moments", _LEADING, 1.6, "x"),
    "theorem_1_leading_term": ("theorem-1", _LEADING, 1.6, "x"),
    "lemma_5": ("limit", _LEADING, 1.6, "+"),
    "renewal": ("renewal", (9, 3, 2, 3), 1.6, ""),
    "lemma_6_renewal": ("renewal", _LOWER, 1.6, "v"),
    "markov_renewal": ("markov", _MODEL, 1.6, "P"),
    "ergodic_renewal": ("ergodic-renewal", _SOLID, 1.8, ""),
    "ergodic_renewal_stratified": ("ergodic-renewal", _SOLID, 1.8, "^"),
    "seen_tree": ("ergodic-renewal", _LOWER, 1.6, "v"),
    "chains": ("ergodic-renewal", _MODEL, 1.6, ">"),
    "lemma_7_printed": ("drafter", _LEADING, 1.6, "x"),
    "lemma_7_corrected_leading_order": ("drafter", _LEADING, 1.6, "+"),
    "lemma_7_corrected": ("drafter", _LOWER, 1.6, "v"),
    "lemma_7_corrected_two_moments": ("drafter", _LOWER, 1.6, "^"),
}
_OTHER_DASHES = (5, 5)
_MARKERS = ("", "X", "*", "<", ">", "p", "h", "8", "d")
# Front to back: what was measured before what bounds it before what only models it.
_ORDER = ("oracle", "ergodic_renewal", "renewal", "two_moments", "theorem_1", "limit")


def drafter_marks(drafters: Iterable[str]) -> dict[str, DrafterMark]:
    """A shape of its own for each drafter of a page, by name: the usual one where there is one.

    Beyond eight drafters shapes are used again; their labels still tell them apart.
    """
    names = sorted(set(drafters))
    taken = {name: _USUAL_SHAPE[name] for name in names if name in _USUAL_SHAPE}
    everything = range(len(_SHAPES))
    free = [place for place in everything if place not in taken.values()] or list(everything)
    others = [name for name in names if name not in taken]
    taken |= {name: free[number % len(free)] for number, name in enumerate(others)}
    return {name: _SHAPES[taken[name]] for name in names}


def statement_style(name: str) -> CurveStyle:
    """The look of a statement of the catalogue, or of what was measured, by name.

    Statements without an entry are dashed in grey, with a marker each.
    """
    if name in BY_NAME:
        meaning = BY_NAME[name].meaning
    else:
        meaning = MEASURED_MEANING if name == "oracle" else ""
    if name in _LOOKS:
        return CurveStyle(*_LOOKS[name], meaning)
    others = [known for known in BY_NAME if known not in _LOOKS]
    marker = _MARKERS[others.index(name) % len(_MARKERS)] if name in others else ""
    return CurveStyle("other", _OTHER_DASHES, 1.6, marker, meaning)


def style_of(curve: LimitCurve) -> CurveStyle:
    """The look of a curve. What holds for a real model is solid, what does not is dashed."""
    style = statement_style(curve.name)
    if holds_here(curve):
        return replace(style, dashes=())
    return replace(style, dashes=style.dashes or _OTHER_DASHES)


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
