"""Where a trace starts its calls: windows of neighbouring positions, every position about equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from speclight.errors import InvalidInput
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.trace.settings import TraceSettings
from speclight.seeds import stream


def traced_positions(
    profile: Profile, settings: TraceSettings, context_window: int
) -> list[tuple[ProfiledText, list[int]]]:
    """Texts and the starts in each, ascending, under the start law of settings.START_LAW.

    Each text is cut into windows of neighbours behind a first, shorter one of random length; of all windows
    of a family an even spread from a random one is taken. So each position is equally likely, whatever the
    lengths of texts. Positions from which the largest tree could leave the context window do not count.
    Raises InvalidInput if a family has none.
    """
    chosen: list[tuple[ProfiledText, list[int]]] = []
    for number, family in enumerate(profile.families):
        texts = profile.of_family(family)
        rng = stream(settings.seed, number)
        pool = [
            (text, window)
            for text, phase in zip(texts, rng.integers(settings.window, size=len(texts)), strict=True)
            for window in _windows(_usable(text, settings, context_window), settings.window, int(phase))
        ]
        if not pool:
            raise InvalidInput(
                f"no text of family {family!r} has a token from which a tree of {settings.largest_budget} "
                f"nodes fits the context window of {context_window} tokens; lower the node budget",
                argument="node_budgets",
            )
        count = min(settings.windows_per_family, len(pool))
        offset = rng.random()
        for place in range(count):
            text, window = pool[int((offset + place) * len(pool) / count)]
            if chosen and chosen[-1][0] is text:
                chosen[-1][1].extend(window)
            else:
                chosen.append((text, list(window)))
    return chosen


def window_numbers(starts: Sequence[int]) -> list[int]:
    """[starts] the number of the run of neighbours that each start is in."""
    numbers: list[int] = []
    for place, start in enumerate(starts):
        follows = place > 0 and starts[place - 1] == start - 1
        numbers.append(numbers[-1] + (not follows) if numbers else 0)
    return numbers


def _usable(text: ProfiledText, settings: TraceSettings, context_window: int) -> int:
    """How many of the text's first positions can be starts."""
    room = context_window - len(text.prompt_token_ids) - settings.largest_budget + 1
    return max(0, min(len(text.token_ids), room))


def _windows(positions: int, size: int, phase: int) -> list[range]:
    """Positions 0, 1, ... cut into ranges of `size`, the first of them shorter unless the phase is 0."""
    edges = [0, *range(phase or size, positions, size), positions]
    return [range(first, last) for first, last in pairwise(edges) if first < last]
