"""`import speclight` and its help stay quick by importing nothing heavy: which modules, not how long.

The time itself is measured by benchmarks/bench_startup.py.
"""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import speclight

HEAVY = {
    "gguf",
    "matplotlib",
    "numba",
    "numpy",
    "plotly",
    "pyarrow",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
}
# Standard output is the command's own, so the list of modules goes to the last line of standard error.
LIST_MODULES = "; import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
HELP = "from speclight.cli.main import main; main({arguments})"


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + LIST_MODULES], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_nothing_heavy_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the package, its help and a command, one after the other in one process."""
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path))
    lines = [HELP.format(arguments=arguments) for arguments in (["--help"], ["cache", "--json"])]
    modules = modules_after("; ".join(("import speclight", *lines)))
    assert "speclight" in modules
    assert modules & HEAVY == set()


def test_bounds_of_two_numbers_need_numpy_alone() -> None:
    arguments = ["bound", "--mu", "1.5", "--mu2", "4", "--budget", "8,60", "--cross-entropy", "2"]
    assert modules_after(HELP.format(arguments=arguments)) & HEAVY == {"numpy"}


def test_plans_are_made_without_a_model_library() -> None:
    modules = modules_after("import speclight.advice.trace_plans, speclight.report.plan")
    assert modules & HEAVY == {"numpy", "pyarrow", "scipy"}


def test_records_are_read_without_a_model_library() -> None:
    modules = modules_after(
        "import speclight.measure.known_families, speclight.measure.drafter_profile, "
        "speclight.measure.trace.record, speclight.measure.latency.record, speclight.advice.score"
    )
    assert modules & HEAVY == {"numpy", "pyarrow"}


def test_bad_input_is_told_before_a_model_library_is_imported() -> None:
    lines = (
        "score missing/folder",
        "plan missing/folder --latency missing/folder",
        "gap --prompts missing.jsonl",
        "latency --shape missing.json",
        "trace --sampled coin",
        "experiment score-test missing/folder",
    )
    told = [f"assert main({line.split()}) == 2" for line in lines]
    modules = modules_after("\n".join(("from speclight.cli.main import main", *told, "pass")))
    assert "speclight" in modules
    assert modules & {"torch", "transformers"} == set()


def test_heavy_imports_would_be_seen() -> None:
    assert "numpy" in modules_after("import speclight; speclight.DraftTree")


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    for name, place in speclight._PUBLIC.items():
        value = getattr(speclight, name)
        if name.isupper():  # a table of names
            module, _, attribute = place.partition(":")
            assert value is getattr(import_module(module), attribute)
        else:
            assert f"{value.__module__}:{value.__name__}" == place
    assert set(dir(speclight)) == {*speclight._PUBLIC, "__version__"}


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse(Path(speclight.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == speclight._PUBLIC
    assert set(speclight.__all__) == set(speclight._PUBLIC)


def test_bounds_from_python() -> None:
    found = {bound.name: bound.value for bound in speclight.bounds(mu=0.279, mu2=0.777, node_budget=60)}
    assert found["theorem_1"] == pytest.approx(31.7236, abs=5e-5)  # the paper's row has four decimals
    assert found["trivial"] == 60.0


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"'nonsense'; it has .*bounds"):
        _ = speclight.nonsense
