"""`speclight score` on a small trace: table, document, files, and what it refuses."""

import pyarrow.parquet as pq
import pytest

from speclight.cli.main import main


def test_every_configuration_in_one_document(traced, run_json):
    document, shown = run_json("score", traced)
    rows = document["scores"]
    # Two drafters, three growths, P from 2 to 8, and plain decoding.
    assert len(rows) == 2 * 3 * 7 + 1
    assert {row["drafter"] for row in rows} == {"none", "ngram", "layer_skip"}
    assert [row["tokens_per_call"] for row in rows] == sorted(
        (row["tokens_per_call"] for row in rows), reverse=True
    )
    for row in rows:
        assert 1.0 <= row["tokens_per_call"] <= row["best_tree"] + 1e-9
        assert row["start_law"] in ("call starts", "uniform positions")
    assert "20 of 43 configurations; --all shows all of them" in shown
    assert document["families"] == ["code", "qa"]


def test_a_part_of_them_as_table_parquet_and_figure(traced, tmp_path, capsys):
    out, plot = tmp_path / "scores.parquet", tmp_path / "frontier.svg"
    chosen = ("--drafter", "layer_skip", "--growth", "chain", "--budget", "2,4", "--families", "qa")
    assert main(["score", traced, *chosen, "--out", str(out), "--plot", str(plot), "--all"]) == 0
    shown = capsys.readouterr().out
    assert "layer_skip" in shown
    assert "of them" not in shown
    table = pq.read_table(out)
    assert sorted(table.column("node_budget").to_pylist()) == [1, 2, 4]
    assert table.num_rows == 3
    assert plot.read_text(encoding="utf-8").startswith("<?xml")


def test_the_figure_may_be_over_seconds(traced, timed, tmp_path):
    nodes, seconds = tmp_path / "nodes.svg", tmp_path / "seconds.svg"
    assert main(["score", traced, "--plot", str(nodes)]) == 0
    assert main(["score", traced, "--plot", str(seconds), "--latency", timed]) == 0
    assert nodes.read_bytes() != seconds.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--drafter", "eagle3"), "no drafter 'eagle3', expected one of ngram, layer_skip"),
        (("--growth", "batch"), "no growth 'batch', expected one of best_first, chain, eagle2=3,2,2"),
        (("--budget", "16"), "node budget 16, expected one from 1 to 8"),
        (("--families", "law"), "no family 'law', expected one of code, qa"),
        (("--top", "0"), "top must be >= 1"),
        (("--plot", "x.pdf"), "expected a name that ends in .png or .svg"),
    ],
)
def test_what_is_refused(traced, arguments, message, capsys):
    assert main(["score", traced, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_trace_is_refused(tmp_path, capsys):
    assert main(["score", str(tmp_path)]) == 2
    assert "holds no plan.json" in capsys.readouterr().err
