"""Question files as the paper's data sets: a file is one of them, whatever categories its questions have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speclight.errors import InvalidInput
from speclight.measure.prompts import Prompt, read_prompts

# What EAGLE's question files are called in the papers.
_NAMES = {
    "humaneval": "HumanEval",
    "mt_bench": "MT-bench",
    "gsm8k": "GSM8K",
    "sum": "CNN/DM",
    "qa": "NQ",
    "alpaca": "Alpaca",
}


@dataclass(frozen=True, slots=True)
class DataSet:
    """A question file. name: as in the papers where it is one of theirs, else the file's own."""

    name: str
    prompts: tuple[Prompt, ...]

    @property
    def slug(self) -> str:
        """The name as part of a folder's."""
        return self.name.lower().replace("/", "-")


def read_data_sets(files: Sequence[Path], prompts: int) -> tuple[DataSet, ...]:
    """One data set per file, of its first `prompts` prompts with all of their turns.

    Raises InvalidInput for malformed files, a name met twice, or no file.
    """
    found: list[DataSet] = []
    for path in files:
        name = _NAMES.get(path.stem, path.stem)
        if name in [other.name for other in found]:
            raise InvalidInput(f"two question files are called {path.stem}; rename one")
        read = read_prompts(path)[:prompts]
        found.append(DataSet(name, tuple(replace(prompt, family=name) for prompt in read)))
    if not found:
        raise InvalidInput("the paper's experiments need at least one question file, got none")
    return tuple(found)
