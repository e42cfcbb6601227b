"""Question files as data sets: a file is one family, whatever categories its questions have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speclight.errors import InvalidInput
from speclight.measure.prompts import Prompt, read_prompts


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """The first questions of a file.

    name: the file's own, or the one it was given. prompts: with all of their turns, `name` as their family.
    categories: of each prompt, by its id.
    """

    name: str
    prompts: tuple[Prompt, ...]
    categories: dict[str, str]

    @property
    def slug(self) -> str:
        """The name as part of a folder's."""
        return self.name.lower().replace("/", "-")

    @property
    def first_turns(self) -> tuple[Prompt, ...]:
        """The prompts without what follows their first turn."""
        return tuple(replace(prompt, turns=prompt.turns[:1]) for prompt in self.prompts)


def read_question_files(
    files: Sequence[Path], prompts: int, names: Mapping[str, str] | None = None
) -> tuple[QuestionFile, ...]:
    """The first `prompts` questions of every file.

    names: what a file is called, by its name without ending; its own if it is not among them. Raises
    InvalidInput for malformed files, a name met twice, or no file.
    """
    found: dict[str, QuestionFile] = {}
    for path in files:
        name = (names or {}).get(path.stem, path.stem)
        if name in found:
            raise InvalidInput(f"two question files are called {path.stem}; rename one")
        read = read_prompts(path)[:prompts]
        found[name] = QuestionFile(
            name,
            tuple(replace(prompt, family=name) for prompt in read),
            {prompt.prompt_id: prompt.family for prompt in read},
        )
    if not found:
        raise InvalidInput("expected at least one question file, got none; name one")
    return tuple(found.values())
