"""What is said in several places is the same there: the version, and the versions that CI tests."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import speclight

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_the_version_is_written_once():
    assert "version" in PROJECT["project"]["dynamic"]
    assert ROOT / PROJECT["tool"]["hatch"]["version"]["path"] == ROOT / "src" / "speclight" / "__init__.py"
    assert metadata.version("speclight") == speclight.__version__
    assert "version:" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8").replace("cff-version:", "")


def test_ci_tests_the_lowest_versions_that_are_allowed():
    lowest = {
        match[1]: match[2]
        for requirement in PROJECT["project"]["dependencies"]
        if (match := re.match(r"(torch|transformers)>=([\d.]+)", requirement))
    }
    for name, version in lowest.items():
        tested = re.findall(rf'{name}: "==([\d.]+)"', WORKFLOW)
        assert [found.removesuffix(".0") for found in tested] == [version], name
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    newest = [text for text in PROJECT["project"]["classifiers"] if "Python :: 3." in text][-1].split()[-1]
    assert {oldest, newest} <= set(re.findall(r'python: "([\d.]+)"', WORKFLOW))
