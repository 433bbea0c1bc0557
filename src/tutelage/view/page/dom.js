// Elements made by hand. Text from runs is untrusted: it becomes text nodes, never markup.

// What a browser obeys rather than shows: controls, marks of direction, separators. Line breaks, tabs and the joiners
// that some scripts need are shown as they are.
const HIDDEN = /(?![\n\t\u200c\u200d\u00ad])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

const SVG = "http://www.w3.org/2000/svg";
const LABELS = new Map([
  ["suffix", "original suffix"],
  ["train", "update"],
  ["wait_for_judges", "waiting for judges"],
]);

/** Text as nodes; each hidden character is named in a mark of its own. */
export function shown(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) nodes.push(document.createTextNode(text.slice(from, match.index)));
    const mark = document.createElement("span");
    mark.className = "hidden-character";
    mark.textContent = "U+" + match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    nodes.push(mark);
    from = match.index + match[0].length;
  }
  if (from < text.length || !nodes.length) nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}

function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) element.append(child);
    else element.append(...shown(String(child)));
  }
  return element;
}

/** An element. `on…` are listeners; all else are attributes, whose names are ours. */
export function el(tag, attributes = {}, ...children) {
  return fill(set(document.createElement(tag), attributes), children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(set(document.createElementNS(SVG, tag), attributes), children);
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const ours = name.startsWith("aria-"); // where false is said, not left out
    if (value === null || value === undefined || (value === false && !ours)) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true && !ours ? "" : String(value));
  }
  return element;
}

/** Put `children` in the place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  return fill(element, children);
}

export function label(name) {
  return LABELS.get(name) ?? name.replaceAll("_", " ");
}

/** The class that gives a source its colour everywhere on the page. */
export function shade(source) {
  return ["suffix", "rewrite", "rollout"].includes(source) ? `of-${source}` : "of-other";
}

/** `1234567` → `1.23M`; three digits count. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  for (const [from, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= from) return +(value / (unit === "k" ? 1e3 : from)).toPrecision(3) + unit;
  }
  if (size !== 0 && size < 1e-3) return value.toExponential(1).replace("e-", "e−").replace(/^-/, "−");
  return String(+value.toPrecision(3)).replace(/^-/, "−");
}

export function score(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2).replace(/^-/, "−");
}

/** Seconds as words: `3 min`. */
export function lasting(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
