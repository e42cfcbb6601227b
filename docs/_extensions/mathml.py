"""Formulas as MathML, which every current browser draws itself: no script, no font, no network.

docutils converts LaTeX to MathML; Sphinx only has to be told to use it.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

# What docutils does not know, in words that it knows: sizes of brackets are left to the browser.
KNOWN = {r"\Big": "", r"\big": "", r"\dots": r"\ldots"}
UNKNOWN = re.compile(r"\\(?:Big|big|dots)(?![A-Za-z])")
LOGGER = logging.getLogger(__name__)


def converted(node: nodes.math | nodes.math_block, as_block: bool) -> str:
    try:
        return tex2mathml(UNKNOWN.sub(lambda found: KNOWN[found[0]], node.astext()), as_block=as_block)
    except MathError as error:
        LOGGER.warning("docutils has no MathML for this formula: %s", error, location=node)
        return ""


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(converted(node, as_block=False))
    raise nodes.SkipNode


def display(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{converted(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
