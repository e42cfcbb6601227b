"""How numbers are written for people: three significant digits, and a dash for what was not measured."""

from __future__ import annotations

from math import isfinite

from speclight.measure.estimates import Estimate

NOT_MEASURED = "–"
# An interval of fewer prompts than this is so wide that it says nothing: t quantiles of 4.3 and 12.7.
FEWEST_PROMPTS = 4
TOO_FEW = "too few to say"


def significant(value: float | None, digits: int = 3) -> str:
    """The value to this many significant digits, trailing zeros kept; whole numbers never lose digits.

    None, NaN and infinities give a dash.
    """
    if value is None or not isfinite(value):
        return NOT_MEASURED
    text = f"{value:#.{digits}g}"
    if "e+" in text:  # from 10**digits on: 1235 stays 1235 rather than 1.24e+03
        return f"{value:.0f}"
    return "0" if value == 0.0 else text.rstrip(".")


def percent(share: float | None) -> str:
    """A share (0 to 1) as a percentage to three significant digits."""
    if share is None or not isfinite(share):
        return NOT_MEASURED
    return f"{significant(100.0 * share)}%"


def ratio(value: float | None) -> str:
    """A speed-up as a multiple, such as 0.871×."""
    text = significant(value)
    return text if text == NOT_MEASURED else f"{text}×"


def interval(estimate: Estimate) -> str | None:
    """The 95% interval as "low to high"; None where one prompt allowed none."""
    return span(estimate.low, estimate.high)


def told_interval(estimate: Estimate) -> str | None:
    """The 95% interval, or that prompts are too few to say one; None for a number without interval.

    They are where the interval is wider than the number itself.
    """
    return TOO_FEW if estimate.is_wide else told_difference(estimate)


def told_difference(estimate: Estimate) -> str | None:
    """The same of a difference, whose interval may well be wider than it is."""
    return TOO_FEW if estimate.clusters < FEWEST_PROMPTS else interval(estimate)


def span(low: float | None, high: float | None) -> str | None:
    """Two ends as "low to high"; None unless both are finite numbers."""
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        return None
    return f"{significant(low)} to {significant(high)}"


def standard_error(estimate: Estimate) -> str | None:
    """The standard error to two significant digits; None where one prompt allowed none."""
    error = estimate.standard_error
    return None if error is None or not isfinite(error) else significant(error, digits=2)


def whole(count: int | None) -> str:
    """A count with thin spaces between thousands."""
    return NOT_MEASURED if count is None else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def shortened(words: str, length: int) -> str:
    """Words of at most this many characters, for places that cannot grow; an ellipsis stands for the rest."""
    return words if len(words) <= length else words[: length - 1] + "…"


def duration(seconds: float) -> str:
    """Seconds as "4 min 12 s", or "41.2 s" below a minute."""
    if not isfinite(seconds):
        return NOT_MEASURED
    if seconds < 60.0:
        return f"{significant(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
