// One pool: the prefix, what was said of each candidate, and the candidates themselves.

import { ask } from "/ask.js";
import { el, label, number, put, score, shade, svg } from "/dom.js";

const ORDER = new Map([["chosen", 0], ["trained", 1], ["rejected", 2]]);
const PILL = new Map([["chosen", "passed"], ["rejected", "missed"], ["trained", "narrow"]]);
const W = 860, ROW = 24, NAME = 120;

/** A pool's elements. `place` are the words by which the server knows it, `against` whether rewrites show what changed. */
export function poolView(pool, place, against) {
  const cards = new Map();
  const ranked = [...pool.candidates].sort((a, b) =>
    (ORDER.get(a.role) ?? 3) - (ORDER.get(b.role) ?? 3) || (b.total ?? -Infinity) - (a.total ?? -Infinity) || a.candidate - b.candidate);
  const suffix = pool.candidates.find((one) => one.source === "suffix");
  for (const one of ranked) cards.set(one.candidate, candidate(one, pool, place, suffix, against));
  return [prefix(pool, place), strips(pool, (which) => focus(cards.get(which))), el("div", { class: "candidates" }, [...cards.values()])];
}

function focus(card) {
  card.scrollIntoView({ block: "center", behavior: "smooth" });
  card.classList.add("pointed");
  setTimeout(() => card.classList.remove("pointed"), 1600);
}

function prefix(pool, place) {
  if (!pool.prefix) {
    return el("div", { class: "card prefix" }, el("span", { class: "kind" }, "prefix"), el("p", { class: "note" },
      "The text of this step was not kept: see samples.text_every and samples.text_bytes. Scores and choices were. Shift with → or ← leads to a step whose text was."));
  }
  const text = el("div", { class: "text scrolled", dir: "auto", tabindex: "0", "aria-label": "prefix" }, pool.prefix.text);
  requestAnimationFrame(() => (text.scrollTop = text.scrollHeight)); // its end is what the candidates continue
  return el("div", { class: "card prefix" }, el("span", { class: "kind" }, "prefix"),
    clipped(pool.prefix, "the end of", place, text, (whole) => whole.prefix), text);
}

const whole = (told) => Boolean(told) && told.text.length >= told.length;

/** A line that says that a text is cut, with a button that fetches the whole; nothing where it is whole. */
function clipped(told, which, place, text, pick) {
  if (whole(told)) return null;
  const button = el("button", { onclick: async () => {
    button.disabled = true;
    try {
      put(text, pick(await ask("pool", { ...place, whole: true })).text);
      line.remove();
    } catch (error) {
      put(line, error.message);
    }
  } }, "show all of it");
  const line = el("p", { class: "note" }, `${which} ${number(told.length)} characters; `, button);
  return line;
}

/** Every axis as a line from its lowest to its highest score, a dot for each candidate. */
function strips(pool, pick) {
  const axes = [...new Set(pool.candidates.flatMap((one) => one.verdicts.map((verdict) => verdict.axis)))];
  const rows = [...(axes.length > 1 ? [["in all", (one) => one.total]] : []), ...axes.map((axis) =>
    [axis, (one) => one.verdicts.find((verdict) => verdict.axis === axis)?.value ?? null])];
  const lines = rows.map(([name, read], i) => strip(name, pool.candidates, read, i * ROW + ROW / 2, pick));
  if (!lines.length) return el("p", { class: "note" }, "No judge was asked about this pool.");
  return el("div", { class: "card strips" }, svg("svg", { viewBox: `0 0 ${W} ${rows.length * ROW}`, role: "img", "aria-label": "Scores by axis" }, lines), key(pool));
}

function strip(name, candidates, read, y, pick) {
  const known = candidates.map((one) => [one, read(one)]).filter(([, value]) => value !== null);
  const values = known.map(([, value]) => value);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
  const [from, to] = [NAME + 44, W - 50];
  const at = (value) => (high > low ? from + ((value - low) / (high - low)) * (to - from) : (from + to) / 2);
  const silent = candidates.length - known.length;
  const dots = known
    .sort(([a], [b]) => (ORDER.has(a.role) ? 1 : 0) - (ORDER.has(b.role) ? 1 : 0))
    .map(([one, value]) => {
      const said = `${label(one.source)} ${one.candidate}: ${score(value)}${one.role ? `, ${one.role}` : ""}`;
      return svg("circle", { cx: at(value).toFixed(1), cy: y, r: one.role ? 6 : 4.5, class: `mark ${shade(one.source)} ${PILL.get(one.role) ?? ""}`, onclick: () => pick(one.candidate) }, svg("title", {}, said));
    });
  const short = name.length > 16 ? `${name.slice(0, 15)}…` : name;
  const end = (x, anchor, value) => svg("text", { x, y: y + 4, "text-anchor": anchor, class: "tick" }, value);
  return svg("g", {}, svg("text", { x: 0, y: y + 4, class: "axis" }, label(short)), svg("line", { x1: from, x2: to, y1: y, y2: y, class: "grid" }),
    values.length ? [high > low ? end(from - 10, "end", score(low)) : null, end(to + 10, "start", score(high))] : end(from, "start", "abstained on all"),
    dots, values.length && silent ? svg("title", {}, `${silent} without a score`) : null);
}

function key(pool) {
  const sources = [...new Set(pool.candidates.map((one) => one.source))];
  return el("div", { class: "legend" }, sources.map((source) => el("span", {}, el("i", { class: `swatch ${shade(source)}` }), label(source))),
    el("span", {}, el("i", { class: "ring passed" }), "chosen"), el("span", {}, el("i", { class: "ring missed" }), "rejected"));
}

function candidate(one, pool, place, suffix, against) {
  const text = el("div", { class: "text", dir: "auto" }, one.text ? one.text.text || " " : el("span", { class: "note" }, "text not kept"));
  const more = one.text && clipped(one.text, "the beginning of", place, text, (whole) => whole.candidates.find((c) => c.candidate === one.candidate).text);
  const compared = whole(suffix?.text) && whole(one.text) && one !== suffix ? comparison(one, place, text) : null;
  if (compared && against && one.source === "rewrite") compared.click();
  const facts = [`no. ${one.candidate}`, one.author && `by ${one.author}`, `${one.length ?? "–"} tokens`, one.policy_version !== null && `policy ${one.policy_version}`].filter(Boolean).join(" · ");
  return el("article", { class: `card candidate ${shade(one.source)}`, "data-candidate": one.candidate, "data-source": one.source },
    el("header", {}, el("b", { class: "source" }, label(one.source)), one.role ? el("span", { class: PILL.get(one.role) ?? "narrow" }, one.role) : null,
      el("span", { class: "facts", title: facts }, facts), compared, el("span", { class: "total", title: "in all" }, score(one.total))),
    el("div", { class: "scores" }, one.verdicts.map((said) => verdict(said, pool))),
    text, more, words(one, place));
}

function verdict(said, pool) {
  if (said.value === null) return el("span", { class: "verdict abstained", title: said.why }, `${label(said.axis)}: abstained`, said.why ? ` (${said.why})` : "");
  const values = pool.candidates.flatMap((one) => one.verdicts.filter((v) => v.axis === said.axis && v.value !== null).map((v) => v.value));
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const bar = el("i", { class: "bar" });
  bar.style.setProperty("--share", high > low ? (said.value - low) / (high - low) : 0);
  return el("span", { class: "verdict" }, label(said.axis), bar, el("b", {}, score(said.value)));
}

function words(one, place) {
  if (!one.words) return null;
  const text = el("div", { class: "text", dir: "auto" }, one.words.text);
  const more = clipped(one.words, "the beginning of", place, text, (whole) => whole.candidates.find((c) => c.candidate === one.candidate).words);
  if (one.words.length < 400) return el("div", { class: "words" }, text);
  return el("details", { class: "words" }, el("summary", {}, "the judge’s words"), text, more);
}

/** A button that turns a text into the same text with what it changes of the original suffix, and back. */
function comparison(one, place, text) {
  let plain = [];
  const button = el("button", { class: "compare", "aria-pressed": false, title: "what it changes of the original suffix", "data-source": one.source, onclick: async () => {
    const on = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(on));
    if (!on) return void put(text, plain);
    plain = [...text.childNodes];
    try {
      const { parts, why } = await ask("difference", { ...place, candidate: one.candidate });
      if (why) throw new Error(why);
      if (button.getAttribute("aria-pressed") === "true") put(text, parts.map(([kind, said]) => part(kind, said)));
    } catch (error) {
      button.setAttribute("aria-pressed", "false");
      put(text, el("p", { class: "note" }, error.message), plain);
    }
  } }, "± suffix");
  return button;
}

function part(kind, said) {
  if (kind === "same") return said;
  return el(kind === "gone" ? "del" : "ins", {}, said);
}
