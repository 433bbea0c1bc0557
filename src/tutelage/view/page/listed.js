// The entries of the list beside a pool: the documents of a step, or the hits of a search.

import { el, label, score, shade } from "/dom.js";

/** List items; `pick(index)` is called when one is clicked. */
export function listed(entries, hits, pick) {
  return entries.map((entry, index) =>
    el("li", {}, el("button", { class: "entry", "aria-current": "false", onclick: () => pick(index) }, hits ? hit(entry) : pool(entry))));
}

function pool(entry) {
  return [
    el("span", { class: "name" }, entry.document || "(no name)"),
    el("span", { class: "said" }, won(entry), entry.told ? null : el("em", {}, " · no text"), entry.unscored ? ` · ${entry.unscored} of ${entry.candidates} without a score` : null),
  ];
}

function won(entry) {
  if (entry.chosen) {
    return [dot(entry.chosen), label(entry.chosen), entry.rejected ? [" over ", dot(entry.rejected), label(entry.rejected)] : null, entry.spread === null ? null : ` · Δ ${score(entry.spread)}`];
  }
  if (entry.trained) return [`${entry.trained} trained`, entry.spread === null ? null : ` · Δ ${score(entry.spread)}`];
  return "no pair";
}

function hit(entry) {
  const where = { words: "judge: ", prefix: "prefix: " }[entry.where] ?? "";
  return [
    el("span", { class: "name" }, dot(entry.source), label(entry.source), entry.role ? ` · ${entry.role}` : null, el("span", { class: "at" }, `step ${entry.step}`, entry.score === null ? null : ` · ${score(entry.score)}`)),
    el("span", { class: "said" }, where, entry.before, entry.found ? el("mark", {}, entry.found) : null, entry.after),
  ];
}

function dot(source) {
  return el("i", { class: `swatch ${shade(source)}` });
}
