"""How Sphinx builds the documentation: `make docs` runs it with every warning as an error, broken links too.

Commands come from `speclight --help`'s own source, the Python interface from its docstrings, the version from
the package. Nothing is fetched, neither to build the pages nor to read them.
"""

import sys
from pathlib import Path

from speclight import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "speclight"
release = __version__
copyright = "the speclight authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "command_help", "docstrings", "mathml"]
exclude_patterns = ["_build"]
nitpicky = False  # annotations name types of numpy and torch, whose indices would have to be fetched

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # links such as errata.md#2-section-3-4 work here as they do on a forge

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90
autodoc_preserve_defaults = True

highlight_language = "text"
html_theme = "pydata_sphinx_theme"
html_title = "speclight"
html_static_path = ["_static"]
html_css_files = ["speclight.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_persistent": [],
    "navbar_end": ["search-button-field", "theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "collapse_navigation": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
