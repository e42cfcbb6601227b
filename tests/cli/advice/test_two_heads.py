"""Two drafters of one name, from the trace to the plan."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

import speclight.measure.latency.run as run_module
from cli.advice.conftest import PROMPTS, SETTINGS
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.trace.run import run_trace
from toys import tiny_llama, word_tokenizer

LABELS = ["model=first", "model=second"]


@pytest.fixture
def heads(tmp_path):
    """Folders of two drafting models of unlike weights."""
    found = []
    for seed, name in enumerate(("first", "second")):
        folder = tmp_path / name
        tiny_llama(vocabulary_size=6, layers=1, seed=seed).save_pretrained(folder)
        word_tokenizer(6).save_pretrained(folder)
        found.append(ComparedDrafter("model", str(folder)))
    return found


def test_two_heads_stay_apart(toy, heads, tmp_path, monkeypatch, run_json):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
    folder, times, seconds = tmp_path / "trace", tmp_path / "latency", count()
    run_profile(toy, PROMPTS[:2], ProfileSettings(max_tokens=8), folder / "texts")
    trace = run_trace(toy, heads, replace(SETTINGS, node_budgets=(2, 4)), folder)
    assert list(trace.drafters) == LABELS
    scores, _ = run_json("score", str(folder))
    of_first, of_second = (
        [row["tokens_per_call"] for row in scores["scores"] if row["drafter"] == label] for label in LABELS
    )
    assert of_first != of_second

    settings = LatencySettings((1, 2, 4), (8,), rounds=1, warm_up=1, loop_calls=2)
    run_latency(toy, settings, times, heads, clock=lambda: float(next(seconds)))
    chains = ("--latency", str(times), "--growth", "chain")
    plan, _ = run_json("plan", str(folder), *chains)
    assert {row["drafter"] for row in plan["plans"][0]["predictions"]} == {"none", *LABELS}
    weights = str(Path(heads[1].weights))
    alone, _ = run_json("plan", str(folder), *chains, "--drafter", f"model={weights}")
    assert {row["drafter"] for row in alone["plans"][0]["predictions"]} == {"none", LABELS[1]}
