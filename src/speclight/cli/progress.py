"""Progress of long-running library functions on stderr: bars on a terminal, elsewhere lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from speclight.progress import Progress

# What takes less is over before anyone wonders; so short a stage gets no line.
PATIENCE_SECONDS = 2.0
# A long stage says again how far it is.
REPEAT_SECONDS = 30.0


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on stderr that something of unknown length is being done, if it lasts."""
    if not sys.stderr.isatty():
        stderr = sys.stderr
        timer = threading.Timer(PATIENCE_SECONDS, lambda: _say(what, stderr))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        return
    from rich.console import Console

    with Console(file=sys.stderr, markup=False).status(what):
        yield


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress that draws one bar per label, or writes lines where stderr is no terminal."""
    if not sys.stderr.isatty():
        lines = StageLines()
        yield lines
        lines.end_stage()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(file=sys.stderr), redirect_stdout=False) as bars:

        def report(done: int, total: int, label: str) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield report


class StageLines:
    """Progress as plain lines: how far a stage is, every half minute, and at its end how long it took.

    A stage is everything reported under one label until another label comes. The time left is the elapsed
    time times steps left over steps done, so steps of equal length are assumed. Stages shorter than two
    seconds are left out. clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._reported = clock()
        self._line: float | None = None
        self._before = self._done = self._total = 0
        self._label: str | None = None

    def __call__(self, done: int, total: int, label: str) -> None:
        """A step was done."""
        if label != self._label:
            self.end_stage()
            # The first report comes when the first step is done; what a resumed run had before is no work.
            self._label, self._before = label, max(0, done - 1)
        self._done, self._total, self._reported = done, total, self._clock()
        elapsed = self._reported - self._began
        since = elapsed if self._line is None else self._reported - self._line
        if done < total and since >= (PATIENCE_SECONDS if self._line is None else REPEAT_SECONDS):
            here = done - self._before
            left = f", about {_duration(elapsed * (total - done) / here)} left" if here else ""
            self._write(f"{label}: {done} of {total}, {_duration(elapsed)}{left}")
            self._line = self._reported

    def end_stage(self) -> None:
        """Say how long the stage took; the next one begins where its last step ended."""
        elapsed = self._reported - self._began
        if self._label is not None and elapsed >= PATIENCE_SECONDS:
            self._write(f"{self._label}: {self._done} of {self._total} in {_duration(elapsed)}")
        self._began, self._line = self._reported, None

    def _write(self, line: str) -> None:
        _say(line, sys.stderr)


def _say(line: str, stderr: TextIO) -> None:
    with suppress(OSError):  # a full disk behind stderr is no reason to lose the work
        print(line, file=stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
