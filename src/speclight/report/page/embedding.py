"""Data carried inside the page."""

from __future__ import annotations

from base64 import b64encode

from markupsafe import Markup

# Inside <script>, "</script" and "<!--" end or bend the element whatever the grammar of JSON says.
_SCRIPT_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def script_json(text: str) -> Markup:
    """JSON text for the inside of a script element: the same JSON value, free of markup."""
    return Markup(text.translate(_SCRIPT_ESCAPES))


def svg_data_uri(content: bytes) -> Markup:
    """An SVG file as the address of an image."""
    return Markup("data:image/svg+xml;base64," + b64encode(content).decode("ascii"))


def csv_data_uri(text: str) -> Markup:
    """A CSV file as the address of a download. A lone surrogate becomes U+FFFD."""
    content = text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace").encode("utf-8")
    return Markup("data:text/csv;charset=utf-8;base64," + b64encode(content).decode("ascii"))
