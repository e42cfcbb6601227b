"""The starts of a trace in the order that scoring needs: prompt by prompt, each window in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.measure.trace.traced import GrowthCost, TracedStart


@dataclass(frozen=True, slots=True, eq=False)
class StartSet:
    """Starts of one trace. Made by `start_set`.

    starts: sorted by text and place. prompts: [prompts] their names. prompt_begins: [prompts] where each
    prompt's starts begin. window_begins: [windows + 1] where each run of neighbouring starts begins.
    best_tokens: [starts, nodes] E[X] of the target's own best tree of 1, 2, ... nodes (Lemma 1 of arXiv
    2512.11718v1). growths: of each drafter, the growths traced, each with its node budgets, rising.
    """

    starts: tuple[TracedStart, ...]
    prompts: tuple[str, ...]
    prompt_begins: IntArray
    window_begins: IntArray
    best_tokens: FloatArray
    growths: dict[str, dict[str, tuple[int, ...]]]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def positions(self) -> IntArray:
        """[starts] the place of each in its text, from 0."""
        return np.array([start.start for start in self.starts])

    def by_prompt(self, values: FloatArray) -> FloatArray:
        """[prompts, ...] sums of values [starts, ...]."""
        return np.add.reduceat(values, self.prompt_begins, axis=0)

    def ratio(self, numerators: FloatArray, denominators: FloatArray) -> Estimate:
        """Total over total with a 95% interval; both [prompts], sums of `by_prompt`."""
        part = denominators > 0.0  # a prompt without weight took no part
        names = [name for name, takes in zip(self.prompts, part, strict=True) if takes]
        return ratio_of_totals(names, numerators[part].tolist(), denominators[part].tolist())

    def largest_budget(self, drafter: str) -> int:
        """The largest node budget that any growth of the drafter was traced at."""
        return max(budgets[-1] for budgets in self.growths[drafter].values())


def start_set(starts: Sequence[TracedStart]) -> StartSet:
    """The starts in order. Raises InvalidInput for none, or if they do not all hold the same drafters."""
    if not starts:
        raise InvalidInput("got a trace without starts, expected at least one; trace longer texts")
    ordered = sorted(
        starts, key=lambda start: (start.prompt_id, start.sample, start.turn, start.window, start.start)
    )
    names = [start.prompt_id for start in ordered]
    begins = [place for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
    windows = [place for place in range(len(ordered)) if place == 0 or not _follows(ordered, place)]
    first = ordered[0]
    for start in ordered:
        if start.drafters.keys() != first.drafters.keys():
            raise InvalidInput(
                f"start {start.start} of prompt {start.prompt_id!r} holds the drafters "
                f"{_listed(start)}, expected {_listed(first)} as the first one does; trace all texts with "
                "the same drafters"
            )
    growths = {name: _growths(traced.costs) for name, traced in first.drafters.items()}
    return StartSet(
        starts=tuple(ordered),
        prompts=tuple(names[place] for place in begins),
        prompt_begins=np.array(begins),
        window_begins=np.array([*windows, len(ordered)]),
        best_tokens=_best_tokens(ordered),
        growths=growths,
    )


def _best_tokens(starts: Sequence[TracedStart]) -> FloatArray:
    values = np.zeros((len(starts), max(len(start.best) for start in starts)))
    for row, start in zip(values, starts, strict=True):
        row[: len(start.best)] = np.exp(start.best)  # a tree that could not grow further stays as it is
    return values.cumsum(axis=1)


def _follows(ordered: Sequence[TracedStart], place: int) -> bool:
    before, here = ordered[place - 1], ordered[place]
    return here.start == before.start + 1 and _window(before) == _window(here)


def _window(start: TracedStart) -> tuple[str, int, int, int]:
    return start.prompt_id, start.sample, start.turn, start.window


def _listed(start: TracedStart) -> str:
    return ", ".join(start.drafters) or "none"


def _growths(costs: Sequence[GrowthCost]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for cost in costs:
        found.setdefault(cost.growth, set()).add(cost.node_budget)
    return {growth: tuple(sorted(budgets)) for growth, budgets in found.items()}
