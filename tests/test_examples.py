"""The scripts of examples/ run, are short, and say what they found."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SHOWS = {
    "distance_to_the_limit.py": "limit:",
    "own_drafter.py": "with it",
    "speculate.py": "tokens per target call",
    "transformers_generate.py": "target calls",
}


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.parametrize(
    "target", ["toy_loaded", pytest.param("loaded_once", marks=[pytest.mark.model, pytest.mark.slow])]
)
@pytest.mark.parametrize("name", SHOWS)
def test_an_example_runs(
    name: str,
    target: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    request.getfixturevalue(target)
    run(name, monkeypatch=monkeypatch)
    assert SHOWS[name] in capsys.readouterr().out


def test_bound_from_log_probs_lies_between_one_and_p(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rng = np.random.default_rng(0)
    answers = tmp_path / "answers.jsonl"
    lines = [json.dumps((-rng.exponential(1.2, size=60)).tolist()) for _ in range(20)]
    answers.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("bound_from_log_probs.py", str(answers), "4", monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert printed.startswith("P = 4: some decode reaches ")
    certified, bound, upper = (float(number) for number in re.findall(r"\d+\.\d+", printed))
    assert 1.0 < certified < bound < upper < 4.0


def test_examples_are_all_run_and_at_most_40_lines():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert {script.name for script in scripts} == {*SHOWS, "bound_from_log_probs.py", "ray_profile.py"}
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 40, script.name


@pytest.mark.model
@pytest.mark.slow
def test_two_ray_workers_give_one_limit() -> None:
    """In a process of its own: Ray starts several."""
    script = [sys.executable, str(EXAMPLES / "ray_profile.py"), "2", "4", "16"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600, check=True)
    found = re.search(r"^4 texts by 2 workers: (\S+) to (\S+) tokens per call", done.stdout, re.MULTILINE)
    assert found is not None
    assert 1.0 <= float(found[1]) < float(found[2]) <= 8.0
