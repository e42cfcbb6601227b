"""One prompt at a time decoded by several decoders in turn, every turn of it after the same conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from speclight.measure.paired_times import interleaved
from speclight.measure.turns import AskedTurn

Run = TypeVar("Run")


def answered_in_turn(
    first: AskedTurn,
    decoders: Mapping[str, Callable[[AskedTurn], Run]],
    answer: Callable[[tuple[Mapping[str, Run], ...]], str],
    rounds: int,
    *,
    backwards: bool = False,
) -> Iterator[tuple[AskedTurn, tuple[Mapping[str, Run], ...]]]:
    """Every turn of a prompt and, round by round, what each decoder made of it (see `interleaved`).

    answer: the text, of all rounds' runs, that the conversation goes on with. backwards: whether the first
    turn's first round goes from the last decoder to the first; the next turn has it the other way.
    """
    asked: AskedTurn | None = first
    while asked is not None:
        runs = {name: partial(decode, asked) for name, decode in decoders.items()}
        made = interleaved(runs, rounds, backwards=backwards)
        yield asked, made
        asked, backwards = asked.after(answer(made)), not backwards
