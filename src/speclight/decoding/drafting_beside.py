"""A second thread, in which drafters go on with their drafts while the target scores them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol


class GoesOn(Protocol):
    """A text whose drafter can work on while its draft is scored."""

    @property
    def drafts_ahead(self) -> bool:
        """Whether it is to."""
        ...

    def draft_ahead(self) -> bool:
        """One call of its drafter; False: there is nothing left to work out."""
        ...


class DraftingBeside:
    """The thread of one decoding run; it starts when it is first needed, and ends with the run.

    As a context manager: leaving it waits for the thread's end.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draft-ahead")

    def __enter__(self) -> DraftingBeside:
        """The run begins."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The run is over, however it ended."""
        self._executor.shutdown()

    @contextmanager
    def while_scoring(self, texts: Sequence[GoesOn]) -> Iterator[None]:
        """Inside the block, what the target does; beside it, drafters' calls, in turn.

        Leaving the block waits for the drafter's call under way, and raises what a drafter raised.
        """
        going_on = [text for text in texts if text.drafts_ahead]
        if not going_on:
            yield
            return
        is_scored = threading.Event()
        work: Future[None] = self._executor.submit(_go_on, going_on, is_scored)
        try:
            yield
        finally:
            is_scored.set()
            wait([work])
        work.result()


def _go_on(texts: list[GoesOn], is_scored: threading.Event) -> None:
    while texts and not is_scored.is_set():
        texts = [text for text in texts if not is_scored.is_set() and text.draft_ahead()]
