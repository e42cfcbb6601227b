"use strict";
// What every page does: tables that sort and say where they go on, and details that are open in print.
(() => {
  // Rows in the order of one column. Numbers by value, words by letter; what was not measured stays last.
  function sortRows(table, place, head) {
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const key = (row) => row.cells[place].dataset.sort;
    const rows = [...table.tBodies[0].rows];
    const known = rows.filter((row) => key(row) !== "");
    const numeric = known.every((row) => Number.isFinite(Number(key(row))));
    const ascending = (a, b) => (numeric ? key(a) - key(b) : key(a).localeCompare(key(b)));
    known.sort(order === "ascending" ? ascending : (a, b) => ascending(b, a));
    table.tBodies[0].append(...known, ...rows.filter((row) => key(row) === ""));
  }

  function makeSortable(element) {
    const heads = [...element.querySelectorAll("th[data-column]")];
    const columns = heads.map((head) => head.dataset.column).sort((a, b) => a - b);
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortRows(element, columns.indexOf(head.dataset.column), head));
    }
  }

  // Says that a table goes on to the right, for as long as it does.
  function watchWidth(tabled) {
    const scroll = tabled.querySelector(".scroll");
    const more = tabled.querySelector(".more");
    const update = () => {
      const goesOn = scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 2;
      more.hidden = !goesOn;
      tabled.classList.toggle("goes-on", goesOn);
    };
    scroll.addEventListener("scroll", update, { passive: true });
    new ResizeObserver(update).observe(scroll);
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) makeSortable(table);
  for (const tabled of document.querySelectorAll(".tabled")) watchWidth(tabled);
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
