"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll("script[data-plot]")].map((script) => ({
    element: document.getElementById(script.dataset.plot),
    specification: JSON.parse(script.textContent),
  }));
  const hidden = new Set();
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const finePointer = matchMedia("(pointer: fine)");

  // Strings such as "--curve-oracle" name CSS custom properties: the scheme decides what they are.
  function coloured(value, style) {
    if (typeof value === "string" && value.startsWith("--")) return style.getPropertyValue(value).trim();
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
  }

  function draw({ element, specification }) {
    const { data, layout } = coloured(specification, getComputedStyle(root));
    layout.font.family = layout.hoverlabel.font.family = getComputedStyle(document.body).fontFamily;
    layout.dragmode = finePointer.matches ? "zoom" : false; // a finger scrolls the page, it does not zoom
    for (const trace of data) trace.visible = !hidden.has(trace.meta);
    Plotly.react(element, data, layout, { displayModeBar: false, responsive: true, typesetMath: false });
  }

  function toggle(button) {
    const show = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(show));
    if (show) hidden.delete(button.dataset.curve);
    else hidden.add(button.dataset.curve);
    plots.forEach(draw);
  }

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

  root.classList.add("scripted");
  for (const table of document.querySelectorAll("table[data-sortable]")) makeSortable(table);
  for (const tabled of document.querySelectorAll(".tabled")) watchWidth(tabled);
  plots.forEach(draw);
  darkScheme.addEventListener("change", () => plots.forEach(draw));
  for (const button of document.querySelectorAll("button[data-curve]")) {
    button.addEventListener("click", () => toggle(button));
  }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
