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
    runs_on(tiny_target(window=64, layers=1), speclight.cli.limits.latency)
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
    assert "no target to draft for" in capsys.readouterr().err


def test_drafters_have_a_table_of_their_own(tmp_path, capsys):
    assert main(["latency", "--out", str(tmp_path / "latency"), "--drafter", "ngram", *SHORT]) == 0
    assert "Drafters' calls, after 9 tokens" in capsys.readouterr().out


def test_a_shape_is_timed_without_weights(tmp_path, run_json, capsys):
    sizes = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64}
    shape = tmp_path / "tiny" / "config.json"
    shape.parent.mkdir()
    shape.write_text(json.dumps({"model_type": "llama", **sizes, **heads}))
    arguments = ["latency", "--shape", str(shape), "--out", str(tmp_path / "out"), *SHORT]
    document, _ = run_json(*arguments, "--shape-layers", "2")
    assert document["target"] == "tiny (random weights)"
    assert (document["layers"], document["layers_measured"]) == (4, [1, 2])
    assert main([*arguments, "--shape-layers", "2"]) == 0
    assert "timed with 1 and 2 of 4 layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shape", "config.json", "--engine-file", "x.jsonl"], "expected one of them"),
        (["--shape", "config.json", "--drafter", "ngram"], "no target to draft for"),
        (["--shape", "config.json", "--offload", "disk"], "--offload beside --shape"),
        (["--shape-layers", "4"], "--shape beside it"),
        (["--shape", "config.json", "--shape-layers", "1"], "at least 2"),
        (["--shape", "no/config.json"], "expected a config.json"),
    ],
)
def test_sources_of_times_exclude_each_other(tmp_path, capsys, arguments, told):
    assert main(["latency", "--out", str(tmp_path / "latency"), *arguments]) == 2
    assert told in capsys.readouterr().err
