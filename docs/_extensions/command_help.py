"""The page of all commands: what `--help` prints, written from the same source when the page is read."""

from cyclopts.docs.markdown import generate_markdown_docs
from sphinx.application import Sphinx

from speclight.cli.main import command_app

PAGE = "reference/commands"


def append_help(app: Sphinx, page: str, source: list[str]) -> None:
    if page == PAGE:
        source[0] += "\n" + generate_markdown_docs(
            command_app(), generate_toc=False, no_root_title=True, heading_level=2
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", append_help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
