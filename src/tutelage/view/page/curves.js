// The curves of the runs that are switched on, overlaid.

import { ask, newest } from "/ask.js";
import { chart, forget } from "/chart.js";
import { el, label, put } from "/dom.js";

const CYCLE = ["c0", "c1", "c2", "c3", "c4", "c5"];
const TITLES = { scores: "What the judges say", evaluation: "Evaluations", more: "All else that is measured" };
const NAMED = new Map([["suffix", "of-suffix"], ["rewrite", "of-rewrite"], ["rollout", "of-rollout"], ["train", "of-policy"], ["stream", "of-stream"]]);

/** The colour of a source or role, the same in every figure; `undefined` for other names. */
function named(name) {
  return NAMED.get(name) ?? (name.startsWith("judge.") ? "of-judge" : undefined);
}

/** `read(run, step)` is called when a place of a curve is clicked. */
export function curvesView(root, read) {
  const latest = newest();
  let axis = "step";
  let smooth = true;
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
      sections.get(panel.section).push(...figures(panel));
    }
    put(root, toolbar(), [...sections].map(([name, all]) => section(name, all)));
  }

  function section(name, all) {
    const grid = el("div", { class: "figures" }, all);
    if (name === "main") return grid;
    if (name !== "more") return [el("h2", {}, TITLES[name]), grid];
    const rest = el("details", { class: "more", open: open.has(name) }, el("summary", {}, TITLES[name]), grid);
    rest.addEventListener("toggle", () => (rest.open ? open.add(name) : open.delete(name)));
    return rest;
  }

  /** The figures of a panel: one for a single run, one for each metric where several runs are to be told apart. */
  function figures(panel) {
    const metrics = [...new Set(panel.series.map((line) => line.metric))];
    if (shown.length < 2) return [figure(panel, panel.series, metrics)];
    return metrics.map((metric) => {
      const lines = panel.series.filter((line) => line.metric === metric);
      const title = metrics.length > 1 ? `${panel.title} · ${label(lines[0].name)}` : panel.title;
      return figure({ ...panel, title, kind: "lines" }, lines, null);
    });
  }

  function figure(panel, series, metrics) {
    const lines = series.map((line) => ({
      ...line,
      text: metrics ? label(line.name) : shown.find((run) => run.number === line.run).name,
      colour: metrics ? (named(line.name) ?? CYCLE[metrics.indexOf(line.metric) % 6]) : CYCLE[line.run % 6],
    }));
    return chart({
      ...panel,
      lines,
      x: Object.fromEntries(lines.map((line) => [line.run, found.x[line.run][axis]])),
      axis: axis === "step" ? "step" : "tokens",
      smooth,
      read: (run, index) => read(run, found.x[run].step[index]),
    });
  }

  function toolbar() {
    const choice = (name, text) =>
      el("button", { "aria-pressed": axis === name, onclick: () => ((axis = name), draw()) }, text);
    const hint = "Click a curve to read the samples of that step.";
    return el("div", { class: "toolbar" }, el("span", { class: "switch" }, choice("step", "by step"), choice("tokens", "by trained tokens")), el("button", { "aria-pressed": smooth, onclick: () => ((smooth = !smooth), draw()) }, "smoothed"), el("span", { class: "note" }, hint));
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
