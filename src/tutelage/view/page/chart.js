// One figure: lines, or areas on top of each other. Drawn as SVG; the pointer reads all figures at the same place.

import { el, number, put, svg } from "/dom.js";

const W = 430, H = 200, LEFT = 46, RIGHT = 10, TOP = 10, BOTTOM = 24;
const drawn = new Set();

/** Forget all figures, before others are drawn. */
export function forget() {
  drawn.clear();
}

/**
 * A figure. `x` gives each run's places, `lines` are {run, text, y, colour}, colour being a class.
 * `read(run, x)` is called when a place is clicked.
 */
export function chart({ title, note, kind, lines, x, axis, smooth, read }) {
  const stacked = kind !== "lines";
  const even = lines.map((line) => ({ ...line, y: smooth ? smoothed(line.y) : line.y }));
  const layers = stacked ? stack(even) : even.map((line) => ({ ...line, top: line.y, bottom: null }));
  const xs = scale(extent(layers.map((layer) => x[layer.run])), LEFT, W - RIGHT, false);
  const ys = scale(kind === "shares" ? [0, 1] : extent(stacked ? layers.flatMap((layer) => [layer.top, layer.bottom]) : lines.map((line) => line.y)), H - BOTTOM, TOP, true);
  const plot = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title, class: "plot" });
  for (const tick of ys.ticks) {
    plot.append(svg("line", { x1: LEFT, x2: W - RIGHT, y1: ys(tick), y2: ys(tick), class: "grid" }));
    plot.append(svg("text", { x: LEFT - 6, y: ys(tick) + 3.5, "text-anchor": "end", class: "tick" }, kind === "shares" ? `${Math.round(tick * 100)}%` : number(tick)));
  }
  for (const tick of xs.ticks) {
    plot.append(svg("text", { x: xs(tick), y: H - 7, "text-anchor": "middle", class: "tick" }, number(tick)));
  }
  if (!stacked && smooth) {
    for (const line of lines.filter((line, i) => layers[i].top !== line.y)) plot.append(svg("polyline", { points: points(line.y, x[line.run], xs, ys).join(" "), class: `line faint ${line.colour}` }));
  }
  for (const layer of layers) plot.append(...path(layer, x[layer.run], xs, ys));
  const cross = svg("line", { y1: TOP, y2: H - BOTTOM, class: "cross", visibility: "hidden" });
  plot.append(cross);
  const values = lines.map(() => el("b"));
  const legend = el("div", { class: "legend" }, lines.map((line, i) =>
    el("span", {}, swatch(line, stacked), line.text, values[i])));
  const here = el("span", { class: "here" });
  const figure = { place: (at) => place(at, { lines, x, xs, cross, values, here, axis, told: kind === "shares" ? percent : number }) };
  drawn.add(figure);
  figure.place(null);
  const at = (event) => {
    const box = plot.getBoundingClientRect();
    return xs.invert(((event.clientX - box.left) / box.width) * W);
  };
  plot.addEventListener("pointermove", (event) => drawn.forEach((one) => one.place(at(event))));
  plot.addEventListener("pointerleave", () => drawn.forEach((one) => one.place(null)));
  plot.addEventListener("click", (event) => read(lines[0].run, nearest(x[lines[0].run], at(event))));
  return el("figure", { class: "card figure" }, el("figcaption", {}, el("b", {}, title), note ? el("span", { class: "about", title: note }, note) : null, here), plot, legend);
}

function place(at, { lines, x, xs, cross, values, here, axis, told }) {
  put(here, at === null ? "" : `${axis} ${number(x[lines[0].run][nearest(x[lines[0].run], at)])}`);
  cross.setAttribute("visibility", at === null ? "hidden" : "visible");
  lines.forEach((line, i) => {
    const index = at === null ? lastKnown(line.y) : nearest(x[line.run], at);
    put(values[i], told(line.y[index]));
    if (at !== null && i === 0) {
      cross.setAttribute("x1", xs(x[line.run][index]));
      cross.setAttribute("x2", xs(x[line.run][index]));
    }
  });
}

function lastKnown(values) {
  let index = values.length - 1;
  while (index > 0 && values[index] === null) index -= 1;
  return index;
}

function swatch(line, stacked) {
  const mark = stacked
    ? svg("rect", { width: 12, height: 10, y: 1, rx: 3, class: `area ${line.colour}` })
    : svg("line", { x1: 0, x2: 18, y1: 6, y2: 6, class: `line ${line.colour}`  });
  return svg("svg", { width: stacked ? 14 : 20, height: 12, class: stacked ? "box" : null, "aria-hidden": "true" }, mark);
}

/** Means over a window of some twentieth of a curve; short curves stay as they are. */
function smoothed(values) {
  const reach = Math.floor(values.length / 48);
  if (values.length < 40 || !reach) return values;
  return values.map((value, i) => {
    if (value === null) return null;
    const near = values.slice(Math.max(0, i - reach), i + reach + 1).filter((one) => one !== null);
    return near.reduce((sum, one) => sum + one, 0) / near.length;
  });
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`;
}

function points(values, places, xs, ys) {
  return values.flatMap((value, i) => (value === null ? [] : [`${xs(places[i]).toFixed(1)},${ys(value).toFixed(1)}`]));
}

function path(layer, places, xs, ys) {
  const known = places.map((at, i) => [at, layer.top[i], layer.bottom?.[i]]).filter(([, top]) => top !== null);
  if (!known.length) return [];
  const forth = known.map(([at, top]) => `${xs(at).toFixed(1)},${ys(top).toFixed(1)}`);
  if (layer.bottom) {
    const back = known.map(([at, , bottom]) => `${xs(at).toFixed(1)},${ys(bottom).toFixed(1)}`).reverse();
    return [svg("polygon", { points: [...forth, ...back].join(" "), class: `area ${layer.colour}` })];
  }
  const shape = [svg("polyline", { points: forth.join(" "), class: `line ${layer.colour}` })];
  if (known.length < 30) {
    shape.push(...known.map(([at, top]) => svg("circle", { cx: xs(at).toFixed(1), cy: ys(top).toFixed(1), r: 2, class: `dot ${layer.colour}` })));
  }
  return shape;
}

function stack(lines) {
  let floor = lines[0].y.map(() => 0);
  return lines.map((line) => {
    const bottom = floor;
    floor = line.y.map((value, i) => bottom[i] + (value ?? 0));
    return { ...line, top: floor, bottom };
  });
}

function extent(lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const value of list) {
      if (value !== null && value < low) low = value;
      if (value !== null && value > high) high = value;
    }
  }
  return low > high ? [0, 1] : [low, high];
}

/** Numbers to places, with some round numbers between them. */
export function scale([low, high], from, to, widen) {
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  else if (widen && low > 0 && low < 0.4 * high) low = 0;
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= raw) ?? raw;
  if (widen) [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  const place = (value) => from + ((value - low) / (high - low)) * (to - from);
  place.invert = (at) => low + ((at - from) / (to - from)) * (high - low);
  place.ticks = [];
  const first = Math.ceil(low / step - 1e-6);
  for (let i = 0; i < 12 && (first + i) * step <= high + step * 1e-6; i += 1) place.ticks.push(+((first + i) * step).toPrecision(12));
  return place;
}

/** The index of the entry of an ascending list that is nearest to a value. */
export function nearest(list, value) {
  let [low, high] = [0, list.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle;
    else high = middle;
  }
  return Math.abs(list[low] - value) <= Math.abs(list[high] - value) ? low : high;
}
