import io
import sys
import threading

import pytest

from speclight.cli.progress import StageLines, progress_bars, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_short_stages_are_silent_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as progress:
        progress(1, 2, "profile")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_long_stages_say_how_far_they_are_and_how_long_they_took(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = StageLines(clock)
    for done in range(1, 11):  # ten steps of 10 s: a line after the first, then each half minute
        clock.now += 10
        lines(done, 10, "profile")
    for done in range(1, 5):  # a second in all
        clock.now += 0.25
        lines(done, 4, "limits")
    clock.now += 65
    lines(1, 2, "oracle")
    clock.now += 10
    lines(2, 2, "oracle")
    lines.end_stage()
    assert capsys.readouterr().err.splitlines() == [
        "profile: 1 of 10, 10 s, about 1 min 30 s left",
        "profile: 4 of 10, 40 s, about 1 min 0 s left",
        "profile: 7 of 10, 1 min 10 s, about 30 s left",
        "profile: 10 of 10 in 1 min 40 s",
        "oracle: 1 of 2, 1 min 5 s, about 1 min 5 s left",
        "oracle: 2 of 2 in 1 min 15 s",
    ]


def test_a_resumed_stage_counts_only_its_own_steps(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = StageLines(clock)
    clock.now += 10
    lines(91, 100, "profile")
    assert capsys.readouterr().err == "profile: 91 of 100, 10 s, about 1 min 30 s left\n"


def test_waiting_speaks_only_if_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("loading"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("speclight.cli.progress.PATIENCE_SECONDS", 0.0)
    written = threading.Event()

    class Noted(io.StringIO):
        def flush(self) -> None:
            written.set()

    monkeypatch.setattr(sys, "stderr", noted := Noted())
    with waiting("loading"):
        assert written.wait(60)
    assert noted.getvalue() == "loading\n"


def test_a_bar_for_each_label_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as progress:
        for done in range(4):
            progress(done, 3, "profile [code]")
        progress(2, 8, "oracle")
    drawn = terminal.getvalue()
    assert "profile [code]" in drawn
    assert "3/3" in drawn
    assert "oracle" in drawn
    assert "2/8" in drawn
    assert capsys.readouterr().out == ""
