"""Figures and tables that every experiment writes: equal bytes, whole files, known endings."""

import pytest
from matplotlib.figure import Figure

from speclight.errors import InvalidInput
from speclight.report.canvas import canvas, write_figure
from speclight.report.markdown import markdown_table


def drawn(path):
    with canvas():
        figure = Figure(figsize=(2, 2), layout="constrained")
        axes = figure.subplots()
        axes.plot([1, 2, 3], [2, 1, 4], label="a line")
        axes.legend()
        return write_figure(figure, path)


@pytest.mark.parametrize("name", ["one.svg", "one.png"])
def test_equal_figures_give_equal_files(tmp_path, name):
    first, second = drawn(tmp_path / "a" / name), drawn(tmp_path / "b" / name)
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == [name]  # nothing half-written beside it


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"one\.jpg"):
        drawn(tmp_path / "one.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_table_escapes_bars():
    assert markdown_table(["a", "b"], [["1", "x|y"]]) == "| a | b |\n|---|---|\n| 1 | x\\|y |"
