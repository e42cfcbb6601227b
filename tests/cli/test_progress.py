import io
import sys

import pytest

from speclight.cli.progress import progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_bar_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as progress:
        progress(1, 2, "profile")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


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
