"""What tests ask of any page in a browser: whole words, numbers that lead somewhere, tables that sort."""

from __future__ import annotations

from playwright.sync_api import Page

# Whether a word is narrower than the cell that it stands in.
WORD_FITS = """(cell, word) => {
  const shadow = document.createElement("span");
  shadow.style.cssText = "position:absolute;visibility:hidden;white-space:nowrap";
  shadow.textContent = word;
  cell.append(shadow);
  const width = shadow.getBoundingClientRect().width;
  shadow.remove();
  const style = getComputedStyle(cell);
  return width <= cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) + 0.5;
}"""


def assert_fits(page: Page, width: int) -> None:
    """Nothing sticks out of the page, and no label of a bar breaks inside a word."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    labels = page.locator(".bars th[scope=row]")
    assert labels.count() > 3
    for place in range(labels.count()):
        longest = max(labels.nth(place).inner_text().split(), key=len)
        assert labels.nth(place).evaluate(WORD_FITS, longest), longest


def numbers_lead_to(page: Page) -> set[str]:
    """The definitions that numbers lead to, each of which the page has."""
    targets = set(page.locator("a.number").evaluate_all("all => all.map(a => a.getAttribute('href'))"))
    defined = page.locator("#definitions dl > div").evaluate_all("all => all.map(each => '#' + each.id)")
    assert len(defined) == len(set(defined))
    assert targets <= set(defined)
    return {target.removeprefix("#about-") for target in targets}


def sorted_by(page: Page, table: str, head: str) -> None:
    """A click on a column's head sorts by value, another one the other way round."""
    column = page.locator(f"#{table}-table th[data-column]", has_text=head).first
    known_columns = page.locator(f"#{table}-table th[data-column]").evaluate_all(
        "heads => heads.map(head => Number(head.dataset.column))"
    )
    place = sorted(known_columns).index(int(column.get_attribute("data-column") or ""))
    keys = f"rows => rows.map(row => row.cells[{place}].dataset.sort)"
    for order, direction in (("ascending", 1), ("descending", -1)):
        column.locator("button").click()
        assert column.get_attribute("aria-sort") == order
        shown = page.locator(f"#{table}-table tbody tr").evaluate_all(keys)
        known = [float(key) for key in shown if key]
        assert known == sorted(known, key=lambda value: direction * value)
        assert shown[: len(known)] == [key for key in shown if key]  # what was not measured stays last
        assert len(set(known)) > 1
