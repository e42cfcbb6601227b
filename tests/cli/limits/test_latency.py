"""`speclight latency` from the command line, on a toy target. Nothing is said about how long a call takes."""

import json

import pytest

import speclight.cli.limits.latency
import speclight.measure.latency.run
from speclight.cli.main import main
from speclight.measure.latency.record import read_latency
from toys import tiny_target

SHORT = ["--budget", "1,4", "--context-tokens", "3,9", "--rounds", "2", "--warm-up", "1"]


@pytest.fixture(autouse=True)
def toy_target(runs_on, monkeypatch):
    runs_on(tiny_target(window=64), speclight.cli.limits.latency)
    monkeypatch.setattr(speclight.measure.latency.run, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(speclight.measure.latency.run, "flops_per_second", lambda *_, **__: 1e10)


def test_the_document_says_what_the_record_holds(tmp_path, run_json):
    out, figure = tmp_path / "latency", tmp_path / "latency.svg"
    document, _ = run_json("latency", "--out", str(out), "--plot", str(figure), *SHORT)
    assert figure.read_bytes().startswith(b"<?xml")
    (curve,) = document["curves"]
    read = read_latency(out).curve
    assert curve["nodes"] == [1, 4]
    assert [context["context_tokens"] for context in curve["contexts"]] == [3, 9]
    for place, context in enumerate(curve["contexts"]):
        assert context["seconds"] == read.medians[place].tolist()
        assert len(context["roofline_seconds"]) == 2
    assert document["memory_bytes_per_second"] == 1e9


def test_people_get_a_table_and_the_record_is_gone_on_with(tmp_path, capsys):
    out = str(tmp_path / "latency")
    for _ in range(2):
        assert main(["latency", "--out", out, *SHORT]) == 0
        shown = capsys.readouterr().out
        assert "after 9 tokens" in shown
        assert "within 10% of one node" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--budget", "4"], "expected 1 among them"),
        (["--context-tokens", "64"], "--context-tokens"),
        (["--rounds", "0"], "rounds must be >= 1"),
        (["--plot", "latency.pdf"], ".png or .svg"),
    ],
)
def test_bad_input_is_told(tmp_path, capsys, arguments, told):
    assert main(["latency", "--out", str(tmp_path / "latency"), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_other_records_is_left_alone(tmp_path, capsys):
    (tmp_path / "plan.json").write_text(json.dumps({"kind": "profile"}))
    assert main(["latency", "--out", str(tmp_path), *SHORT]) == 2
    assert "another plan" in capsys.readouterr().err


def test_an_engines_file_stands_in_for_a_target(tmp_path, run_json, capsys):
    steps = [{"batch_size": 1, "num_draft_tokens": n, "step_time": s} for n, s in ((0, 0.01), (8, 0.02))]
    path = tmp_path / "output.jsonl"
    path.write_text("\n".join(map(json.dumps, steps)))
    out = str(tmp_path / "latency")
    document, _ = run_json("latency", "--engine-file", str(path), "--out", out)
    assert document["curves"][0]["nodes"] == [1, 8]
    assert document["curves"][0]["contexts"][0]["seconds"] == [0.01, 0.02]
    assert "drafting included" in document["cautions"][0]
    assert main(["latency", "--engine-file", str(path), "--out", out]) == 0
    assert "note: seconds are of the fastest fifth" in capsys.readouterr().out
    assert main(["latency", "--engine-file", str(path), "--out", out, "--drafter", "ngram"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_drafters_have_a_table_of_their_own(tmp_path, capsys):
    assert main(["latency", "--out", str(tmp_path / "latency"), "--drafter", "ngram", *SHORT]) == 0
    assert "Drafters' calls, after 9 tokens" in capsys.readouterr().out
