// The curves of the runs that are switched on, overlaid.

import { ask, newest } from "/ask.js";
import { chart, forget } from "/chart.js";
import { el, put } from "/dom.js";

const CYCLE = ["c0", "c1", "c2", "c3", "c4", "c5"];
const TITLES = { scores: "What the judges say", evaluation: "Evaluations", more: "All else that is measured" };
const NAMED = new Map([["suffix", "of-suffix"], ["rewrite", "of-rewrite"], ["rollout", "of-rollout"]]);

/** `read(run, step)` is called when a place of a curve is clicked. */
export function curvesView(root, read) {
  const latest = newest();
  let axis = "step";
  let found = null;
  let shown = [];
  const open = new Set();

  function draw() {
    if (!found) return;
    forget();
    if (!found.panels.length) {
      put(root, el("p", { class: "empty" }, shown.length ? "There are no numbers yet: the curves begin with the first step." : "No run is switched on: click one above."));
      return;
    }
    const sections = new Map();
    for (const panel of found.panels) {
      if (!sections.has(panel.section)) sections.set(panel.section, []);
      sections.get(panel.section).push(figure(panel));
    }
    put(root, toolbar(), [...sections].map(([name, figures]) => section(name, figures)));
  }

  function section(name, figures) {
    const grid = el("div", { class: "figures" }, figures);
    if (name === "main") return grid;
    if (name !== "more") return [el("h2", {}, TITLES[name]), grid];
    const rest = el("details", { class: "more", open: open.has(name) }, el("summary", {}, TITLES[name]), grid);
    rest.addEventListener("toggle", () => (rest.open ? open.add(name) : open.delete(name)));
    return rest;
  }

  function figure(panel) {
    const runs = [...new Set(panel.series.map((line) => line.run))];
    const single = runs.length === 1 && shown.length === 1;
    const metrics = [...new Set(panel.series.map((line) => line.metric))];
    const lines = panel.series.map((line) => ({
      ...line,
      runName: shown.find((run) => run.number === line.run).name,
      colour: single ? (NAMED.get(line.name) ?? CYCLE[metrics.indexOf(line.metric) % 6]) : CYCLE[line.run % 6],
      dash: single ? 0 : metrics.indexOf(line.metric),
    }));
    const x = Object.fromEntries(runs.map((run) => [run, found.x[run][axis]]));
    return chart({
      ...panel,
      kind: single ? panel.kind : "lines",
      lines,
      x,
      axis: axis === "step" ? "step" : "tokens",
      read: (run, index) => read(run, found.x[run].step[index]),
    });
  }

  function toolbar() {
    const choice = (name, text) =>
      el("button", { "aria-pressed": axis === name, onclick: () => ((axis = name), draw()) }, text);
    const hint = "Click a curve to read the samples of that step.";
    return el("div", { class: "toolbar" }, el("span", { class: "switch" }, choice("step", "by step"), choice("tokens", "by trained tokens")), el("span", { class: "note" }, hint));
  }

  return {
    async show(runs) {
      const numbers = runs.map((run) => run.number);
      let answer;
      try {
        answer = await ask("figures", { run: numbers }, latest());
      } catch (error) {
        if (error.name !== "AbortError" && !found) put(root, el("p", { class: "empty" }, error.message));
        return;
      }
      [shown, found] = [runs, answer];
      draw();
    },
  };
}
