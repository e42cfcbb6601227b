"""Bad input is told before anything heavy is imported, let alone loaded."""

import json
import subprocess
import sys

import pytest

# What is typed, and what the message names.
BAD = [
    (["generate", "--prompt", "x", "--rule", "coin"], "'coin'"),
    (["generate", "--prompt", "x", "--drafter", "parrot"], "'parrot'"),
    (["generate", "--prompt", "x", "--drafter", "model"], "needs weights"),
    (["generate", "--prompt", "x", "--drafter", "eagle3=no/such/folder"], "no/such/folder"),
    (["generate", "--prompt", "x", "--drafter", "ngram=FOLDER"], "NAME=WEIGHTS"),
    (["generate", "--prompt", "x", "--dtype", "float8"], "float8"),
    (["generate", "--prompt", "x", "--device", "abacus"], "abacus"),
    (["generate", "--prompt", "x", "--target", "no such folder"], "no such folder"),
    (["generate", "--prompt", "x", "--target", "missing.gguf"], "missing.gguf"),
    (["generate", "--prompt", "x", "--threads", "1000"], "--threads must be at most"),
    (["generate", "--prompt", "x", "--budget", "100000"], "100000"),
    (["generate", "--prompt", "x", "--max-tokens", "2.5"], "'2.5'"),
    (["generate", "--prompt", "x", "--temperature", "-1"], "temperature"),
    (["generate", "--prompt", "x", "--top-k", "0"], "--top-k"),
    (["verify", "--rule", "coin"], "'coin'"),
    (["verify", "--budget", "0"], "--budget"),
    (["profile", "--out", "FILE/below"], "is a file"),
    (["profile", "--temperature", "0"], "temperature above 0"),
    (["oracle", "--out", "FILE"], "is a file"),
    (["oracle", "--budget", "100000"], "100000"),
    (["demo", "--out", "FILE/below"], "is a file"),
    (["demo", "--dtype", "int8"], "int8"),
    (["doctor", "no such head"], "no such head"),
    (["drafter-profile", "--drafter", "medusa"], "give medusa=FOLDER"),
    (["train-head", "--out", "x", "--learning-rate", "nan"], "nan"),
    (["train-head", "--out", "x", "--learning-rate", "0"], "above 0"),
    (["train-head", "--out", "x", "--greedy-share", "2"], "greedy_share"),
    (["train-head", "--out", "FILE/below"], "is a file"),
    (["experiment", "compare-drafters", "--drafter", "parrot"], "'parrot'"),
    (["experiment", "compare-trees", "--out", "FILE/below"], "is a file"),
    (["experiment", "limits-picture", "--out", "limits.pdf"], ".png or .svg"),
    (["experiment", "race-vs-rejection", "--drafter", "model"], "needs weights"),
    (["bound", "--mu", "1", "--mu2", "2", "--budget", "8", "--plot", "x.pdf"], ".png or .svg"),
    (["generate", "--prompt", "x", "--kind", "coin"], "'coin'"),
    (["generate", "--prompt", "x", "--tree", "oak"], "'oak'"),
    (["generate", "--prompt", "x", "--tree", "rank=2"], "sum"),
    (["generate", "--prompt", "x", "--layers", "3"], "no use for layers"),
    (["generate", "--prompt", ""], "is empty"),
    (["generate", "--prompt", "x", "--target", "FOLDER"], "config.json"),
    (["generate", "--prompt", "x", "--target", "FILE"], "a .gguf file"),
    (["generate", "--prompt", "x", "--drafter", "medusa=FOLDER"], "config.json"),
    (["verify", "--prompts", "missing.jsonl"], "missing.jsonl"),
    (["verify", "--families", "none"], "'none'"),
    (["verify", "--prompt", ""], "is empty"),
    (["verify", "--engine", "x", "--texts", "FILE"], "not both"),
    (["verify", "--engine", "x"], "http://"),
    (["profile", "--engine", "x"], "http://"),
    (["profile", "--prompts", "missing.jsonl"], "missing.jsonl"),
    (["demo", "--seed", "-1"], "--seed"),
    (["demo", "--families", "none"], "'none'"),
    (["oracle", "--contexts", "0"], "--contexts"),
    (["oracle", "--seed", "-1"], "--seed"),
    (["profile", "--seed", "-1"], "--seed"),
    (["import", "missing.prom"], "missing.prom"),
    (["experiment", "limits-test", "--questions", "missing.jsonl"], "missing.jsonl"),
    (["doctor", "FOLDER"], "config.json"),
    (["doctor", "--prompts", "3"], "--prompts"),
    (["train-head", "--out", "x", "--checkpoint-minutes", "-1"], "--checkpoint-minutes"),
    (["train-head", "--out", "x", "--first-step-tokens", "-1"], "--first-step-tokens"),
    (["report", "--run", "missing"], "report.json"),
    (["experiment", "compare-drafters", "--temperature", "nan"], "nan"),
    (["experiment", "compare-trees", "--prompts", "missing.jsonl"], "missing.jsonl"),
    (["experiment", "race-vs-rejection", "--budget", "0"], "--budget"),
    (["experiment", "race-vs-rejection", "--candidates", "0"], "--candidates"),
    (["experiment", "replay-drafters", "--drafter", "parrot"], "'parrot'"),
    (["experiment", "doctor-faults", "--prompts", "3"], "--prompts"),
]
# Records are looked for with the library that reads them, which is not slow.
MISSING_RECORDS = [
    ["bound", "--profile", "missing", "--budget", "8"],
    ["oracle", "--profile", "missing"],
    ["drafter-profile", "--profile", "missing"],
    ["experiment", "many-to-one", "--profile", "missing"],
    ["experiment", "limits-picture", "--profile", "missing"],
]
SLOW = ("torch", "transformers", "pyarrow", "matplotlib", "plotly", "numba")
# One process for all of them: it stays as quick as it is because nothing slow is ever imported.
RUN = """
import contextlib, io, json, sys
from speclight.cli.main import main

def told(arguments):
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()

said = [told(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps({"said": said, "modules": sorted(sys.modules)}))
"""


def told_alone(cases, folder):
    """What the commands return and write, and the modules imported, in a process of their own."""
    command = [sys.executable, "-c", RUN, json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    found = json.loads(done.stdout)
    return found["said"], set(found["modules"])


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "FILE").write_text("in the way")
    (folder / "FOLDER").mkdir()
    return told_alone([arguments for arguments, _ in BAD], folder)


def case_name(value):
    return " ".join(value[:4]) if isinstance(value, list) else None


@pytest.mark.parametrize(
    ("number", "arguments", "named"), [(number, *case) for number, case in enumerate(BAD)], ids=case_name
)
def test_bad_input_exits_2_and_is_named(bad, number, arguments, named):
    code, out, err = bad[0][number]
    assert code == 2
    assert out == ""
    assert err.startswith("speclight: error: ")
    assert err.count("\n") == 1
    assert named in err


def test_bad_input_is_told_without_a_slow_import(bad):
    assert not bad[1] & set(SLOW)


def test_missing_records_are_told_without_a_model_library(tmp_path):
    said, modules = told_alone(MISSING_RECORDS, tmp_path)
    assert not modules & {*SLOW, "scipy"} - {"pyarrow"}
    for code, _, err in said:
        assert code == 2
        assert "missing holds no plan.json" in err
