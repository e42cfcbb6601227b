"""Tables of pages that name a record are those of the record, and no record lies there unused."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("recorded_tables", ROOT / "docs" / "recorded_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_its_records(tables):
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.rewritten(text) == text, f"{page.name}: run `make results`"


def test_another_number_in_a_page_is_noticed(tables):
    page = (ROOT / "docs" / "results" / "advice.md").read_text(encoding="utf-8")
    assert tables.rewritten(page.replace("| 2.109 |", "| 2.110 |")) == page
    assert page.count("| 2.109 |") == 1


def test_every_record_has_its_place_in_a_page(tables):
    used = {
        ROOT / found["record"]
        for page in tables.PAGES
        for found in tables.TABLE.finditer(page.read_text(encoding="utf-8"))
    }
    # A folder of records has a plan; what `reproduce` makes of records that may not be passed on has not.
    kept = {
        file.parent for name in ("plan.json", "reproduced.json") for file in (ROOT / "results").rglob(name)
    }
    assert used == kept
