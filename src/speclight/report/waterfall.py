"""The waterfall of a run: table rows, and the figure from the limit down to what was measured."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speclight.advice.waterfall import Factor, Waterfall
from speclight.advice.waterfall_words import LABELS
from speclight.report.canvas import canvas, write_figure
from speclight.report.curve_style import COLOURS
from speclight.report.number_format import significant, span
from speclight.report.palette import INK

LOST, WON, LIMIT, MEASURED, PLAIN = (
    COLOURS[name].light for name in ("renewal", "ergodic-renewal", "oracle", "drafter", "plain")
)
HEADINGS = ("from the limit down", "factor", "95% interval", "tokens/s left", "tokens/s if it were 1")


def waterfall_rows(found: Waterfall) -> list[tuple[str, ...]]:
    """One row for each factor in the order of HEADINGS, and one of the speed-up."""
    rows = [_row(factor) for factor in found.factors]
    speed_up = found.speed_up
    return [
        *rows,
        (
            "speed-up over plain decoding",
            f"{speed_up.value:.3f}",
            span(speed_up.low, speed_up.high) or "one prompt",
            significant(found.tokens_per_second),
            "",
        ),
    ]


def _row(factor: Factor) -> tuple[str, ...]:
    is_limit = factor.name == "decode_bound"
    return (
        LABELS[factor.name],
        f"{factor.value.value:.3f}" if is_limit else f"× {factor.value.value:.3f}",
        span(factor.value.low, factor.value.high) or "one prompt",
        significant(factor.tokens_per_second.value),
        "" if is_limit else significant(factor.without),
    )


def draw_waterfall(found: Waterfall, title: str, path: Path) -> Path:
    """Tokens per second behind each factor, as bars that hang from the one before. Writes and returns `path`.

    Whiskers: 95% intervals of the factors, at the bar's end. A dashed line is plain decoding.
    """
    with canvas():
        return write_figure(waterfall_figure(found, title), path)


def waterfall_figure(found: Waterfall, title: str) -> Figure:
    """The same, to be written within the canvas that it is drawn in."""
    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    axes = figure.subplots()
    levels = [factor.tokens_per_second.value for factor in found.factors]
    last = len(levels)
    axes.set_xlim(0.0, 1.08 * max(levels))
    for place, factor in enumerate(found.factors):
        before = 0.0 if place == 0 else levels[place - 1]
        _bar(axes, place, before, levels[place], LIMIT if place == 0 else None)
        _whisker(axes, place, before, factor)
        axes.plot([levels[place]] * 2, [place - 0.31, place + 1.31], color=PLAIN, linewidth=0.7)
        _say(axes, place, f"{'' if place == 0 else '× '}{factor.value.value:.2f}")
    _bar(axes, last, 0.0, found.tokens_per_second, MEASURED)
    _say(axes, last, f"{found.tokens_per_second:.1f} tokens/s\n× {found.speed_up.value:.2f} over plain")
    plain = found.plain_tokens_per_second
    axes.axvline(plain, color=PLAIN, linestyle="--", linewidth=1.0)
    axes.annotate(
        f"plain: {plain:.1f}", (plain, -0.8), (3, 0), textcoords="offset points", color=PLAIN, va="center"
    )
    axes.set_yticks(range(last + 1), [*(LABELS[factor.name] for factor in found.factors), "measured"])
    axes.set_ylim(last + 0.6, -1.2)
    axes.set_xlabel("tokens per second left behind each factor")
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return figure


def _say(axes: Axes, place: int, text: str) -> None:
    """A number in the right margin of a row."""
    axes.annotate(
        text, (1.01, place), xycoords=axes.get_yaxis_transform(), va="center", annotation_clip=False
    )


def _bar(axes: Axes, place: int, before: float, after: float, colour: str | None) -> None:
    colour = colour or (LOST if after < before else WON)
    axes.barh(place, after - before, left=before, height=0.62, color=colour)


def _whisker(axes: Axes, place: int, before: float, factor: Factor) -> None:
    """The interval of the factor, the bars before it taken as they stand; of the first, its own."""
    ends = factor.tokens_per_second if place == 0 else factor.value
    scale = 1.0 if place == 0 else before
    if ends.low is not None and ends.high is not None:
        axes.plot([scale * ends.low, scale * ends.high], [place, place], color=INK, linewidth=1.0)
