"use strict";
// The figures drawn by Plotly, in the colours of the reader's scheme, and the buttons of their legend.
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

  plots.forEach(draw);
  darkScheme.addEventListener("change", () => plots.forEach(draw));
  for (const button of document.querySelectorAll("button[data-curve]")) {
    button.addEventListener("click", () => toggle(button));
  }
})();
