"""Settings of the whole test run, made before any test module imports a numerical library."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from browser import REMEDY, has_browser, started

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from speclight.models.causal_lm import CausalLM

# The models of most tests have a few thousand weights: threads cost more than they give, and with as many
# test processes as cores (pytest -n) they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes on a busy machine says nothing of the code.
settings.register_profile(
    "quick", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)


def pytest_configure(config: pytest.Config) -> None:
    """Slow tests or all of them: then hypothesis tries more examples too. What numba compiles is shared."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(_compiled_loops(config.rootpath))  # workers inherit it
    settings.load_profile("quick" if config.getoption("markexpr") == "not slow" else "thorough")


@pytest.fixture(scope="session")
def default_target() -> CausalLM:
    """The embedded default target, loaded once for each process."""
    from speclight.models.load import load

    return load()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for the pages of all tests."""
    with started() as browser:
        yield browser


@pytest.fixture
def loaded_once(default_target: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts, `speclight.load()` gives the default target that is loaded already."""
    import speclight

    monkeypatch.setattr(speclight, "load", lambda: default_target)


@pytest.fixture
def toy_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts, `speclight.load()` gives a toy of the default target's name, with a head of its own."""
    import speclight
    from speclight.drafting.eagle3 import shipped
    from toy_heads import VOCABULARY, write_head
    from toys import as_target, tiny_llama

    toy = as_target(tiny_llama(VOCABULARY, seed=1, layers=4, window=512))
    toy.name = shipped.DEFAULT_NAME
    head = write_head(tmp_path / "shipped-head", "SpecForge")
    monkeypatch.setattr(shipped, "shipped_head_folder", lambda: head)
    monkeypatch.setattr(speclight, "load", lambda: toy)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected here stays to the end, so no search for garbage goes through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of CUDA devices, and of pages in a browser, are left out as slow ones are where there is none."""
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("cuda") and not _has_cuda())
        or (item.get_closest_marker("browser") and not has_browser())
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so where pages were not tested."""
    if not has_browser():
        terminalreporter.write_line(f"left out: tests of pages, for want of a browser; {REMEDY}")


def _compiled_loops(root: Path) -> Path:
    """Where compiled loops are kept; those of other states of the modules that hold some are removed."""
    content = hashlib.sha256()
    for path in sorted((root / "src").rglob("*.py")):
        text = path.read_bytes()
        if b"compiled" in text or b"numba" in text:
            content.update(text)
    folder = root / ".pytest_cache" / "numba" / content.hexdigest()
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
