"use strict";
// What if: the arithmetic of speclight.advice.what_if.outcome, on the numbers that the page carries.
(() => {
  const part = document.getElementById("what-if");
  const data = JSON.parse(document.getElementById("what-if-data").textContent);
  const control = (name) => part.querySelector(`[name="${name}"]`);
  const STEPS = ["decode_bound", "call_starts", "knowledge", "shape", "call_time", "drafting", "loop"];
  const DETERMINISTIC = ["target_sample", "greedy"];

  // Of the limit at a node budget, and of what is drafted there where that was recorded.
  function outcome(load, drafted, budget, seconds, scale) {
    const place = load.node_budgets.indexOf(budget);
    const limit = load.limit[place];
    const plain = seconds[0] + data.plain_loop_seconds;
    const found = {
      limitTokens: limit,
      limitSpeed: limit / (seconds[budget - 1] + data.plain_loop_seconds),
      plainSpeed: 1 / plain,
      steps: [{ name: "decode_bound", factor: limit, left: limit / plain }],
      calls: drafted.calls.find((each) => each.node_budget === budget) ?? null,
      tokens: null,
      speed: null,
    };
    if (found.calls === null) return found;
    const { calls } = found;
    const target = calls.sizes.reduce((sum, size, k) => sum + calls.shares[k] * seconds[size - 1], 0);
    const drafting = scale * (calls.draft_seconds ?? 0);
    const whole = target + drafting + calls.loop_seconds;
    const bestTree = calls.best_tree ?? limit;
    const likeliest = calls.likeliest ?? bestTree;
    const factors = {
      call_starts: bestTree / limit,
      knowledge: likeliest / bestTree,
      shape: calls.tokens.value / likeliest,
      call_time: seconds[0] / target,
      drafting: target / (target + drafting),
      loop: (((target + drafting) / whole) * plain) / seconds[0],
    };
    let { left } = found.steps[0];
    for (const [name, factor] of Object.entries(factors)) {
      left *= factor;
      found.steps.push({ name, factor, left });
    }
    return { ...found, tokens: calls.tokens.value, speed: calls.tokens.value / whole };
  }

  // Three significant digits, as everywhere on the page.
  function significant(value) {
    if (value === null || !Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    return Math.abs(value) >= 999.5 ? value.toFixed(0) : value.toPrecision(3);
  }

  const treeOf = (drafted) => `${drafted.growth}|${drafted.rule}`;
  const treeLabel = (drafted) =>
    DETERMINISTIC.includes(drafted.rule) ? drafted.growth : `${drafted.growth}, ${drafted.rule}`;

  // The options of a select, keeping what was chosen where it is still there.
  function fill(select, options) {
    const kept = select.value;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    if (options.some(([value]) => value === kept)) select.value = kept;
  }

  const chosen = { node_budget: data.start.node_budget };

  function readChoice() {
    const temperature = Number(control("temperature").value);
    const loads = data.loads.filter((load) => load.temperature === temperature);
    const load = loads.find((each) => each.name === control("texts").value) ?? loads[0];
    fill(control("drafter"), [...new Set(load.drafted.map((way) => way.drafter))].map((name) => [name, name]));
    const ways = load.drafted.filter((way) => way.drafter === control("drafter").value);
    fill(control("tree"), ways.map((way) => [treeOf(way), treeLabel(way)]));
    const drafted = ways.find((way) => treeOf(way) === control("tree").value);
    const seconds = data.call_times[Number(control("call-time").value)].seconds;
    const scale = Number(control("drafting").value);
    return { load, drafted, seconds, scale };
  }

  function show(name, value, write = significant) {
    const place = part.querySelector(`[data-what="${name}"]`);
    place.textContent = value === null ? "–" : write(value);
    place.dataset.value = value ?? "";
  }

  function bar(name, length, begin = 0) {
    const { style } = part.querySelector(`[data-bar="${name}"]`);
    style.width = `${length}%`;
    style.marginLeft = `${begin}%`;
  }

  function intervalText(calls) {
    if (calls === null) return "not recorded at this P";
    const { value, low, high, clusters } = calls.tokens;
    if (clusters < 4) return "too few to say";
    if (low === null || high === null) return "";
    return high - low > Math.abs(value) ? "too few to say" : `${significant(low)} to ${significant(high)}`;
  }

  function showOutcome(found) {
    const speeds = [found.plainSpeed, found.speed, found.limitSpeed];
    const tokens = [1, found.tokens, found.limitTokens];
    ["plain", "drafter", "limit"].forEach((who, k) => {
      show(`${who}-tokens`, tokens[k], k ? significant : String);
      show(`${who}-speed`, speeds[k]);
      bar(`${who}-tokens`, (100 * tokens[k]) / Math.max(...tokens));
      bar(`${who}-speed`, (100 * speeds[k]) / Math.max(...speeds));
    });
    part.querySelector("[data-interval]").textContent = intervalText(found.calls);
    const isKnown = found.speed !== null;
    show("speed-up", isKnown ? found.speed / found.plainSpeed : null, (value) => `${significant(value)}×`);
    show("share", isKnown ? found.speed / found.limitSpeed : null, (value) => `${significant(100 * value)}%`);
    const longest = Math.max(...found.steps.map((step) => step.left));
    let before = 0;
    for (const name of STEPS) {
      const isLimit = name === "decode_bound";
      const { factor, left } = found.steps.find((step) => step.name === name) ?? { factor: null, left: null };
      show(`factor-${name}`, factor, (value) => (isLimit ? "" : "× ") + significant(value));
      show(`left-${name}`, left);
      const after = left ?? before;
      bar(name, (100 * Math.abs(after - before)) / longest, (100 * Math.min(after, before)) / longest);
      const colour = isLimit ? "oracle" : after < before ? "renewal" : "ergodic-renewal";
      part.querySelector(`[data-bar="${name}"]`).style.background = `var(--curve-${colour})`;
      before = after;
    }
  }

  // Tokens per second over P: the limit, what is drafted, plain decoding, and where the slider stands.
  function drawSpeeds(budgets, found) {
    const [width, height, left, right, top, bottom] = [640, 250, 44, 14, 8, 34];
    const highest = 1.08 * Math.max(...found.flatMap((each) => [each.limitSpeed, each.speed, each.plainSpeed]));
    const span = Math.log2(budgets.at(-1) / budgets[0]) || 1;
    const x = (budget) => left + (Math.log2(budget / budgets[0]) / span) * (width - left - right);
    const y = (speed) => height - bottom - (speed / highest) * (height - bottom - top);
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((each) => highest / each <= 5) ?? highest;
    const parts = [];
    for (let speed = 0; speed <= highest; speed += step) {
      parts.push(`<path class="grid" d="M${left} ${y(speed)}H${width - right}"/>`);
      parts.push(`<text x="${left - 6}" y="${y(speed) + 4}" text-anchor="end">${speed}</text>`);
    }
    for (const budget of budgets.filter((each) => Number.isInteger(Math.log2(each)))) {
      parts.push(`<text x="${x(budget)}" y="${height - bottom + 17}" text-anchor="middle">${budget}</text>`);
    }
    parts.push(`<text x="${(width + left) / 2}" y="${height - 3}" text-anchor="middle">node budget P</text>`);
    const now = x(chosen.node_budget);
    parts.push(`<path class="now" d="M${now} ${top}V${height - bottom}"/>`);
    for (const [colour, name] of [["plain", "plainSpeed"], ["drafter", "speed"], ["oracle", "limitSpeed"]]) {
      const points = found.flatMap((each, k) => (each[name] === null ? [] : [[x(budgets[k]), y(each[name])]]));
      const line = points.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L");
      parts.push(`<path class="line" style="stroke:var(--curve-${colour})" d="M${line}"/>`);
      for (const [at, on] of points.filter(([at]) => at === now || points.length === 1)) {
        parts.push(`<circle cx="${at}" cy="${on}" r="4.5" style="fill:var(--curve-${colour})"/>`);
      }
    }
    part.querySelector("svg.speeds").innerHTML = parts.join("");
  }

  function offerFastest(drafted, found, budgets) {
    const speed = (budget) => found[budgets.indexOf(budget)].speed;
    const own = drafted.calls.map((calls) => calls.node_budget);
    const fastest = own.reduce((best, budget) => (speed(budget) > speed(best) ? budget : best));
    const button = part.querySelector("button[data-fastest]");
    button.dataset.fastest = fastest;
    button.disabled = fastest === chosen.node_budget;
    button.textContent = button.disabled ? "this P is the fastest" : `fastest at P = ${fastest}`;
  }

  function update() {
    const { load, drafted, seconds, scale } = readChoice();
    const budgets = load.node_budgets;
    const slider = control("node-budget");
    const reached = budgets.filter((budget) => budget <= chosen.node_budget).length;
    slider.max = budgets.length - 1;
    slider.value = Math.max(reached - 1, 0);
    chosen.node_budget = budgets[slider.value];
    slider.setAttribute("aria-valuetext", `P = ${chosen.node_budget}`);
    part.querySelector("output").textContent = chosen.node_budget;
    const found = budgets.map((budget) => outcome(load, drafted, budget, seconds, scale));
    const { calls } = found[slider.value];
    showOutcome(found[slider.value]);
    drawSpeeds(budgets, found);
    offerFastest(drafted, found, budgets);
    part.querySelector("[data-untimed]").hidden = calls?.draft_seconds !== null;
    part.querySelector("[data-starts]").textContent = drafted.start_law;
    part.querySelector("[data-prompts]").textContent = load.prompts;
  }

  control("drafter").replaceChildren(new Option(data.start.drafter));
  control("tree").replaceChildren(new Option("", data.start.tree));
  control("temperature").value = String(data.start.temperature);
  for (const select of part.querySelectorAll("select")) select.addEventListener("change", update);
  control("node-budget").addEventListener("input", (event) => {
    chosen.node_budget = readChoice().load.node_budgets[Number(event.target.value)];
    update();
  });
  part.querySelector("button[data-fastest]").addEventListener("click", (event) => {
    chosen.node_budget = Number(event.target.dataset.fastest);
    update();
  });
  update();
})();
