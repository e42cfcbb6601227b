"""Docstrings as autodoc needs them: ours are plain sentences with `code` in backticks, not reStructuredText.

Backticks are doubled, and characters that reStructuredText would read as markup are escaped outside of them.
"""

import re

from sphinx.application import Sphinx

CODE = re.compile(r"(`[^`]+`)")
MARKUP = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def as_restructured_text(line: str) -> str:
    parts = CODE.split(line)
    return "".join(f"`{part}`" if CODE.fullmatch(part) else MARKUP.sub(r"\\\1", part) for part in parts)


def rewrite(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    lines[:] = [as_restructured_text(line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
