"""`speclight gap` on a toy target: the document, the figure, and what is refused."""

from dataclasses import replace
from itertools import count
from math import prod
from pathlib import Path

import pytest

import speclight.cli.advice.gap
import speclight.cli.limits.profile
import speclight.measure.latency.run as run_module
from speclight.advice.speed_limit import speed_limit
from speclight.advice.waterfall import FACTOR_NAMES
from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.measure.decoded_run.tables import read_decoded_run
from speclight.measure.latency.record import read_latency
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.theory.ergodic.decode import decode_bound
from toys import tiny_target

RTOL = 1e-9


@pytest.fixture(autouse=True)
def toy_target(runs_on):
    runs_on(
        tiny_target(vocabulary_size=6, seed=1, window=256, layers=1),
        speclight.cli.advice.gap,
        speclight.cli.limits.profile,
    )


def arguments(prompts, tmp_path, *more):
    return [
        *("gap", "--prompts", prompts, "--out", str(tmp_path / "gap"), "--max-tokens", "10"),
        *("--prompts-per-family", "2", "--rounds", "1", "--budget", "4", *more),
    ]


def test_document_table_and_figure_of_one_run(prompts, tmp_path, capsys, run_json):
    figure = tmp_path / "gap.svg"
    document, _ = run_json(*arguments(prompts, tmp_path, "--plot", str(figure)))
    assert [factor["name"] for factor in document["factors"]] == list(FACTOR_NAMES)
    assert document["prompts"] == 4
    product = prod(factor["value"] for factor in document["factors"])
    assert product == pytest.approx(document["speed_up"]["value"], rel=RTOL)
    speed = product * document["plain_tokens_per_second"]
    assert speed == pytest.approx(document["tokens_per_second"], rel=RTOL)
    assert figure.read_text(encoding="utf-8").startswith("<?xml")
    assert main(arguments(prompts, tmp_path)) == 0  # from the record
    shown = capsys.readouterr().out
    assert f"{document['tokens_per_second']:.1f}" in shown
    assert all(factor["sentence"] in shown for factor in document["factors"])


def test_the_limit_of_any_trees_with_call_times(prompts, tmp_path, monkeypatch, run_json, capsys):
    """Where calls of up to 8 nodes all take a second it is the decode bound at P = 8, tokens per call."""
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
    times, seconds = tmp_path / "latency", count()
    toy = tiny_target(vocabulary_size=6, seed=1, window=256, layers=1)
    settings = LatencySettings((1, 8), (8, 16), rounds=2, warm_up=1, loop_calls=0)
    run_latency(toy, settings, times, clock=lambda: float(next(seconds)))
    document, _ = run_json(*arguments(prompts, tmp_path, "--latency", str(times)))
    texts = [text.sampled for text in read_decoded_run(tmp_path / "gap").texts]
    limit = document["any_tree_limit"]
    bound = decode_bound(texts, 8).going_on
    assert limit["tokens_per_second"]["value"] == pytest.approx(bound.value, rel=1e-6)
    assert (limit["largest_tree"], limit["plain_seconds"]) == (8, 1.0)
    assert main(arguments(prompts, tmp_path, "--latency", str(times))) == 0
    assert "Limit of any trees up to 8 nodes" in capsys.readouterr().out
    with pytest.raises(InvalidInput, match="expected those of single texts"):
        speed_limit([], replace(read_latency(times).curve, batch_size=2))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget", "auto"], "whole number"),
        (["--budget", "0"], "node_budget must be >= 1"),
        (["--rounds", "0"], "rounds"),
        (["--plot", "gap.pdf"], ".png or .svg"),
        (["--rule", "k_seq", "--tree", "best_first"], "kind"),
    ],
)
def test_bad_input_is_told_before_anything_is_decoded(prompts, tmp_path, capsys, more, said):
    assert main([*arguments(prompts, tmp_path)[:-2], *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "gap").exists()


DATA = Path(__file__).parent.parent.parent / "engines" / "data"


def test_an_engines_metrics_beside_the_limits_of_a_profile(prompts, tmp_path, run_json, capsys):
    profile = str(tmp_path / "profile")
    run_json("profile", "--prompts", prompts, "--out", profile, "--max-tokens", "20")
    metrics = [str(DATA / "vllm/metrics_after.prom"), "--before", str(DATA / "vllm/metrics_before.prom")]
    document, _ = run_json("gap", "--imported", *metrics, "--profile", profile)
    (found,) = document["reports"]
    assert (found["drafted"], found["over_all_steps"]) == (4, True)
    assert found["tokens_per_step"] == pytest.approx(146 / 136)
    assert 1.0 <= found["chain_certified"]["value"] <= found["chain_limit"]["value"]
    assert found["tree_certified"]["value"] <= found["tree_limit"]["value"] <= 5.0

    imported = tmp_path / "imported.json"
    assert main(["import", *metrics, "--json"]) == 0
    imported.write_text(capsys.readouterr().out, encoding="utf-8")
    again, _ = run_json("gap", "--imported", str(imported), "--profile", profile)
    assert again["reports"] == document["reports"]
    assert main(["gap", "--imported", str(imported), "--profile", profile]) == 0
    assert found["sentence"] in capsys.readouterr().out


def test_a_cut_record_of_an_import_is_refused(tmp_path, capsys):
    cut = tmp_path / "imported.json"
    cut.write_text('{"schema": 2, "reports": [{"engine": "vllm"}]}', encoding="utf-8")
    assert main(["gap", "--imported", str(cut), "--profile", str(tmp_path)]) == 2
    assert "import again" in capsys.readouterr().err
