"""Where a trace starts its calls: windows of neighbouring positions, every position about equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from speclight.errors import InvalidInput
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.trace.settings import TraceSettings
from speclight.seeds import stream
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import usable_starts


def traced_positions(
    profile: Profile, settings: TraceSettings, context_window: int | None = None
) -> list[tuple[ProfiledText, list[int]]]:
    """Texts and the starts in each, ascending, under the settings' start law.

    Each text is cut into windows of neighbours behind a first, shorter one of random length; of all windows
    of a family an even spread from a random one is taken. So each position is equally likely, whatever the
    lengths of texts. Positions from which the largest tree could leave the context window do not count, nor,
    if settings.tokens_ahead, those that the ergodic bound may not use at its budget (see `usable_starts`).
    context_window: tokens, None if not known. Raises InvalidInput if a family has no start.
    """
    chosen: list[tuple[ProfiledText, list[int]]] = []
    for number, family in enumerate(profile.families):
        texts = profile.of_family(family)
        rng = stream(settings.seed, number)
        phases = rng.integers(settings.window, size=len(texts)).tolist()
        sampled = profile.sampled_texts(family)
        pool = [
            (text, window)
            for text, own, phase in zip(texts, sampled, phases, strict=True)
            for window in _windows(_usable(text, own, settings, context_window), settings.window, phase)
        ]
        if not pool:
            raise _no_start(family, settings, context_window)
        count = min(settings.windows_per_family, -(-len(pool) // settings.every))
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


def _usable(
    text: ProfiledText, sampled: SampledText, settings: TraceSettings, context_window: int | None
) -> int:
    """How many of the text's first positions can be starts."""
    largest = settings.largest_budget
    usable = usable_starts(sampled, largest) if settings.tokens_ahead else len(text.log_probs)
    if context_window is None:
        return usable
    return max(0, min(usable, context_window - len(text.prompt_token_ids) - largest + 1))


def _no_start(family: str, settings: TraceSettings, context_window: int | None) -> InvalidInput:
    if settings.tokens_ahead:
        return InvalidInput(
            f"no text of family {family!r} has a start followed by {settings.largest_budget - 1} tokens; "
            "profile longer texts (max_tokens) or lower the node budget",
            argument="max_tokens",
        )
    return InvalidInput(
        f"no text of family {family!r} has a token from which a tree of {settings.largest_budget} "
        f"nodes fits the context window of {context_window} tokens; lower the node budget",
        argument="node_budgets",
    )


def _windows(positions: int, size: int, phase: int) -> list[range]:
    """Positions 0, 1, ... cut into ranges of `size`, the first of them shorter unless the phase is 0."""
    edges = [0, *range(phase or size, positions, size), positions]
    return [range(first, last) for first, last in pairwise(edges) if first < last]
