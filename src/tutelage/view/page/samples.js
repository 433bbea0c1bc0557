// The samples of a run: steps, their pools, a search over all candidates.

import { ask, newest } from "/ask.js";
import { el, label, put } from "/dom.js";
import { filters } from "/filters.js";
import { listed } from "/listed.js";
import { poolView } from "/pool.js";
import { nearest } from "/chart.js";

/** `moved(place)` is called when another place is shown, with its run, step and pool. */
export function samplesView(root, moved) {
  const asking = { samples: newest(), pools: newest(), pool: newest(), search: newest() };
  const at = { run: null, step: null, pool: null };
  let runs = [];
  let known = null; // what samples there are
  let pools = [];
  let count = 0;
  let found = null; // hits of a search, or null
  let against = true;
  let failed = false; // the last question about samples

  const run = el("select", { "aria-label": "run", onchange: () => go({ run: +run.value, step: null, pool: null }) });
  const step = el("input", { type: "number", min: 0, "aria-label": "step", onchange: () => go({ step: closest(+step.value), pool: null }) });
  const slider = el("input", { type: "range", min: 0, "aria-label": "step", oninput: () => go({ step: steps()[+slider.value], pool: null }) });
  const span = el("span", { class: "note" });
  const move = (by, text, name) => el("button", { "aria-label": name, title: name, onclick: () => api.step(by) }, text);
  const form = filters(search, () => ((found = null), drawList()));
  const list = el("ol", { class: "list", "aria-label": "documents" });
  const more = el("div", { class: "going-on" });
  const pane = el("section", { class: "pool", "aria-label": "documents and their candidates" });
  const torn = el("div");
  const aside = el("aside", { class: "side" },
    run, el("div", { class: "row where" }, move(-1, "‹", "previous step"), step, move(1, "›", "next step"), span),
    slider, form.element, list, more);

  const steps = () => known?.all ?? [];
  const closest = (wanted) => steps()[nearest(steps(), wanted)] ?? null;
  const words = (pool) => ({ run: at.run, step: at.step, pool });

  function empty(told) {
    put(root, el("p", { class: "empty" }, told));
  }

  async function go(place) {
    const again = place.run !== undefined && place.run !== at.run;
    Object.assign(at, place);
    if (again) known = null;
    if (again || !known) await look();
    if (!known?.all.length) return;
    if (at.step === null || !known.counted.has(at.step)) Object.assign(at, { step: at.step === null ? (known.last_told ?? steps().at(-1)) : closest(at.step) });
    await open();
  }

  /** Ask what samples there are. */
  async function look() {
    try {
      const answer = await ask("samples", { run: at.run }, asking.samples());
      const all = answer.steps.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
      known = { ...answer, all, counted: new Set(all) };
      failed = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      failed = true;
      return empty(error.message);
    }
    if (!known.all.length) return empty([known.why, ...known.torn].join(" "));
    form.offer(known.sources, known.axes);
    put(torn, known.torn.map((told) => el("p", { class: "message bad" }, told)));
    if (!root.contains(aside)) put(root, torn, el("div", { class: "columns" }, aside, pane));
  }

  /** Ask for the pools of the step, and show one. */
  async function open() {
    drawPlace();
    try {
      const answer = await ask("pools", { run: at.run, step: at.step }, asking.pools());
      [pools, count] = [answer.pools, answer.count];
    } catch (error) {
      if (error.name === "AbortError") return;
      [pools, count] = [[], 0];
      put(pane, el("p", { class: "message bad" }, error.message));
      return drawList();
    }
    const gone = count === pools.length && !pools.some((pool) => pool.key === at.pool);
    if (at.pool === null || gone) at.pool = pools[0]?.key ?? null;
    drawList();
    await showPool();
  }

  async function showPool() {
    moved({ ...at });
    drawMarks();
    const place = words(at.pool);
    try {
      const pool = await ask("pool", place, asking.pool());
      const index = pools.findIndex((one) => one.key === at.pool);
      put(pane, heading(pool, index), poolView(pool, place, against));
      scrollTo(0, 0);
    } catch (error) {
      if (error.name !== "AbortError") put(pane, el("p", { class: "message bad" }, error.message));
    }
  }

  function heading(pool, index) {
    const name = pool.document || "(no name)";
    return el("div", { class: "heading" },
      el("div", {}, el("h2", {}, name), el("p", { class: "note" }, `step ${pool.step} · ${pool.corpus || "–"} · epoch ${pool.epoch} · cut ${pool.cut} · ${pool.candidates.length} candidates`)),
      el("div", { class: "row" }, el("span", { class: "note" }, index < 0 ? "" : `${index + 1} of ${count}`),
        el("button", { "aria-label": "previous document", onclick: () => api.document(-1) }, "↑ k"),
        el("button", { "aria-label": "next document", onclick: () => api.document(1) }, "↓ j")));
  }

  function drawPlace() {
    const all = steps();
    put(run, runs.map((one) => el("option", { value: one.number, selected: one.number === at.run }, one.name)));
    run.hidden = runs.length < 2;
    step.value = at.step;
    Object.assign(slider, { max: Math.max(0, all.length - 1), value: nearest(all, at.step) });
    slider.hidden = all.length < 2;
    put(span, all.length > 1 ? `of ${all[0]}–${all.at(-1)}` : "");
  }

  function drawList() {
    const page = found ? form.state(found, () => search(true)) : count > pools.length ? `${count - pools.length} more documents are not listed.` : null;
    put(list, listed(found ? found.hits : pools, Boolean(found), pick));
    put(more, page);
    drawMarks();
  }

  function drawMarks() {
    const mine = chosen();
    [...list.children].forEach((item, i) => {
      item.firstChild.setAttribute("aria-current", String(i === mine));
      if (i === mine) item.scrollIntoView({ block: "nearest" });
    });
  }

  const entries = () => (found ? found.hits : pools);
  const chosen = () => (found ? found.at : pools.findIndex((pool) => pool.key === at.pool));

  async function pick(index) {
    const entry = entries()[index];
    if (!entry) return;
    if (!found) return void ((at.pool = entry.key), await showPool());
    found.at = index;
    await go({ step: entry.step, pool: entry.key });
    pane.querySelector(`[data-candidate="${Number(entry.candidate)}"]`)?.scrollIntoView({ block: "nearest" });
  }

  /** Ask for hits; `on` goes on where the last page ended. An unfinished page without a hit is followed by the next. */
  async function search(on = false) {
    if (!on) found = { hits: [], next: "", until: null, torn: [], at: -1, busy: true };
    const mine = found;
    const signal = asking.search();
    mine.busy = true;
    drawList();
    try {
      const before = mine.hits.length;
      do {
        const page = await ask("search", { run: at.run, ...form.words(), place: mine.next }, signal);
        mine.hits.push(...page.hits);
        Object.assign(mine, { next: page.next, until: page.until, torn: [...new Set([...mine.torn, ...page.torn])] });
        if (found === mine) drawList();
      } while (mine.next && mine.hits.length < before + 20 && found === mine);
      mine.busy = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      Object.assign(mine, { busy: false, wrong: error.message, next: "" });
    }
    if (found === mine) drawList();
  }

  const api = {
    /** Show the place that an address names; what it does not name is chosen. */
    async show(all, place) {
      runs = all;
      if (!runs.length) return empty("No run is switched on: click one above.");
      const number = runs.some((one) => one.number === place.run) ? place.run : (runs.find((one) => one.number === at.run) ?? runs[0]).number;
      const same = number === at.run && known && place.step === null;
      await go(same ? { run: number } : { ...place, run: number });
    },
    /** Files came or were replaced. */
    async changed(number) {
      if (number !== at.run) return;
      if (!known) return failed ? go({}) : undefined; // it is being asked for
      await look();
      if (!known?.all.length) return;
      if (!known.counted.has(at.step)) return go({ step: null, pool: null });
      drawPlace();
    },
    step(by) {
      const index = nearest(steps(), at.step) + by;
      if (index >= 0 && index < steps().length) go({ step: steps()[index], pool: null });
    },
    leap(by) {
      const every = known.text_every > 1 ? known.text_every : 10;
      const wanted = by > 0 ? Math.floor(at.step / every + 1) * every : Math.ceil(at.step / every - 1) * every;
      go({ step: closest(wanted), pool: null });
    },
    end: (last) => go({ step: last ? steps().at(-1) : steps()[0], pool: null }),
    document(by) {
      const next = chosen() + by;
      if (!found && next >= pools.length) return api.step(1);
      pick(Math.max(0, next));
    },
    search: () => form.focus(),
    clear: () => form.clear(),
    compare() {
      against = !against;
      for (const button of pane.querySelectorAll(".compare[data-source=rewrite]")) {
        if ((button.getAttribute("aria-pressed") === "true") !== against) button.click();
      }
    },
  };
  return api;
}
