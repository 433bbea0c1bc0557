// The page: which runs, which view, which keys. The address holds the place, so that it can be kept and sent.

import { ask, listen, paced } from "/ask.js";
import { curvesView } from "/curves.js";
import { el, lasting, number, put } from "/dom.js";
import { samplesView } from "/samples.js";

const SHOWN_AT_FIRST = 6;
const STATES = new Map([
  ["waiting", "has not begun"],
  ["running", "running"],
  ["finished", "finished"],
  ["quiet", "quiet"],
]);
const $ = (id) => document.getElementById(id);

let runs = [];
const on = new Set();
let known = false;
let tab = "curves";
let place = { run: null, step: null, pool: null };

const samples = samplesView($("samples"), (at) => {
  place = at;
  write();
});
const curves = curvesView($("curves"), (run, step) => go("samples", { run, step, pool: null }));
const lit = () => runs.filter((run) => on.has(run.number));
const redraw = paced(() => tab === "curves" && curves.show(lit()), 1500);
const renew = paced(refresh, 300);

function write() {
  const parts = [tab, ...(tab === "samples" && place.run !== null ? [place.run, place.step, place.pool] : [])];
  const address = `#/${parts.filter((part) => part !== null).join("/")}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

function read() {
  const [, view, run, step, pool] = location.hash.split("/");
  const whole = (text) => (/^\d{1,15}$/.test(text ?? "") ? Number(text) : null);
  tab = view === "samples" ? "samples" : "curves";
  place = { run: whole(run), step: whole(step), pool: /^[0-9a-f]{16}$/.test(pool ?? "") ? pool : null };
}

function go(view, at = place) {
  [tab, place] = [view, at];
  write();
  show();
}

function show() {
  for (const name of ["curves", "samples"]) {
    $(name).hidden = tab !== name;
    $(`tab-${name}`).setAttribute("aria-selected", String(tab === name));
  }
  if (!known) return;
  if (tab === "curves") curves.show(lit());
  else samples.show(runs, place);
}

async function refresh() {
  let told;
  try {
    told = await ask("runs");
  } catch (error) {
    put($("messages"), el("p", { class: "message bad" }, error.message));
    return;
  }
  runs = told.map((run, index) => ({ ...run, number: index }));
  if (!known) runs.slice(0, SHOWN_AT_FIRST).forEach((run) => on.add(run.number));
  document.title = `${runs.length === 1 ? runs[0].name : `${runs.length} runs`} · Tutelage`;
  put($("runs"), runs.map(chip));
  put($("messages"), runs.flatMap((run) => run.messages.map((told) => el("p", { class: "message" }, runs.length > 1 ? el("b", {}, `${run.name}: `) : null, told))));
  if (!known) {
    known = true;
    show();
  }
}

function chip(run) {
  const share = run.share === null || run.share === undefined ? null : ` · ${Math.round(run.share * 100)} %`;
  const since = run.state === "quiet" && run.written ? ` for ${lasting(run.now - run.written)}` : null;
  const toggle = () => {
    on.has(run.number) ? on.delete(run.number) : on.add(run.number);
    put($("runs"), runs.map(chip));
    if (tab === "curves") curves.show(lit());
  };
  return el("button", { class: `chip c${run.number % 6}`, "aria-pressed": on.has(run.number), onclick: toggle, title: about(run) },
    el("i", { class: "swatch" }), el("b", {}, run.name),
    el("span", { class: "note" }, el("i", { class: `state ${run.state}` }), STATES.get(run.state), since, run.step ? ` · step ${number(run.step)}` : null, share));
}

function about(run) {
  const phases = run.phases.map((phase, i) => `phase ${i + 1}: ${phase.objective} · ${phase.sources.join(", ") || "no sources"} · ${phase.judges.join(", ") || "no judges"}`);
  const events = run.events.map((event) => `${new Date(event.time * 1000).toLocaleString()}  ${event.event}  ${event.facts}`);
  return [run.directory, ...phases, ...events].join("\n");
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (event.key === "Escape" && tab === "samples") return samples.clear();
  if (typing) return;
  const reading = {
    __proto__: null,
    j: () => samples.document(1),
    k: () => samples.document(-1),
    ArrowRight: () => (event.shiftKey ? samples.leap(1) : samples.step(1)),
    ArrowLeft: () => (event.shiftKey ? samples.leap(-1) : samples.step(-1)),
    g: () => samples.end(false),
    G: () => samples.end(true),
    d: () => samples.compare(),
    "/": () => samples.search(),
  };
  const always = { __proto__: null, c: () => go("curves"), s: () => go("samples"), "?": () => $("keys").showModal() };
  const act = always[event.key] ?? (tab === "samples" ? reading[event.key] : undefined);
  if (!act) return;
  event.preventDefault();
  act();
}

$("tab-curves").addEventListener("click", () => go("curves"));
$("tab-samples").addEventListener("click", () => go("samples"));
$("help").addEventListener("click", () => $("keys").showModal());
document.addEventListener("keydown", keys);
addEventListener("hashchange", () => {
  read();
  show();
});
listen(
  (run, changed) => {
    renew();
    redraw();
    if (changed && known && tab === "samples") samples.changed(run);
  },
  (state) => {
    $("live").textContent = state === "live" ? "live" : "the server does not answer";
    $("live").className = `live ${state === "live" ? "on" : "lost"}`;
  },
);
setInterval(renew, 30_000); // a run that writes nothing any more sends nothing either
read();
show();
refresh();
