"""A real browser without a window, for tests of what pages do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

# Names of Chromium on systems that ship it; Playwright's own is taken where none is found.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
REMEDY = "install Chromium, or run `playwright install chromium`; SPECLIGHT_BROWSER names one elsewhere"


def _named() -> str | None:
    return os.environ.get("SPECLIGHT_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@cache
def has_browser() -> bool:
    """Whether there is one to test pages with."""
    if _named() is not None:
        return True
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


@contextmanager
def started() -> Iterator[Browser]:
    """A browser without pages: the fixture `chromium`, one for each process, since a start takes seconds."""
    with sync_playwright() as playwright:
        # A page of our own from disk needs no sandbox, and containers often allow none.
        browser = playwright.chromium.launch(executable_path=_named(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280) -> Iterator[Page]:
    """The page in a file, opened from disk. Anything that it asks the network for, or any error, fails."""
    faults: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 900}, offline=True) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.on("request", lambda asked: faults.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(path.as_uri())
        yield page
    assert not faults


def seen(page: Page, width: int, *, dark: bool = False) -> None:
    """From now on the page is seen so wide, and in such light: loading it anew takes seconds."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if dark else "light")
