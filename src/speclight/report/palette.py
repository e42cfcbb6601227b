"""The colours of still figures: Okabe and Ito's, told apart by readers with any colour vision.

Curves of statements and drafters have looks of their own, on white and on dark grounds: see `curve_style`.
"""

from __future__ import annotations

BLUE, VERMILION, GREEN, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
BLACK, GREY = "#000000", "#999999"
# Darkened for text and for thin bars on white.
DARK_PINK = "#a1447a"
# Axes, grids and whiskers.
EDGE, RULE, INK = "#5f6670", "#e3e6ea", "#111418"
# A colour and a marker for each of several series without names of their own, in their order.
SERIES: tuple[tuple[str, str], ...] = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (PINK, "D"), (SKY, "v"))


def series_look(place: int) -> tuple[str, str]:
    """Colour and marker of the series at this place; after the last they begin again."""
    return SERIES[place % len(SERIES)]
