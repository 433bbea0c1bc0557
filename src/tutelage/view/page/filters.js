// The form of a search.

import { el, label, number, put } from "/dom.js";

/** `search()` is called when it is asked for, `ended()` when the form is cleared. */
export function filters(search, ended) {
  const text = el("input", { type: "search", name: "text", maxlength: 1000, placeholder: "Search text, words, prefixes", "aria-label": "text to search for" });
  const source = el("select", { name: "source", "aria-label": "source" });
  const role = el("select", { name: "role", "aria-label": "role" }, ["", "chosen", "rejected", "trained"].map((one) => el("option", { value: one }, one || "any role")));
  const axis = el("select", { name: "axis", "aria-label": "axis" });
  const low = el("input", { name: "low", inputmode: "decimal", placeholder: "from", "aria-label": "lowest score" });
  const high = el("input", { name: "high", inputmode: "decimal", placeholder: "to", "aria-label": "highest score" });
  const silent = el("input", { type: "checkbox", name: "abstained" });
  const first = el("input", { name: "first", inputmode: "numeric", placeholder: "first step", "aria-label": "from this step on" });
  const clear = el("button", { type: "button", onclick: () => api.clear() }, "Clear");
  const rest = el("details", { class: "filter" }, el("summary", {}, "Filter"),
    el("div", { class: "row" }, source, role), el("div", { class: "row" }, axis, low, high),
    el("div", { class: "row" }, el("label", { class: "note" }, silent, " abstained"), first));
  const element = el("form", { class: "search", role: "search" }, el("div", { class: "row" }, text, el("button", {}, "Search"), clear), rest);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    api.begin();
  });
  for (const field of [source, role, axis, low, high, silent, first]) field.addEventListener("change", () => api.begin());
  clear.hidden = true;

  const api = {
    element,
    words: () => ({
      text: text.value, source: source.value, role: role.value, axis: axis.value,
      low: low.value.trim().replace(",", "."), high: high.value.trim().replace(",", "."), abstained: silent.checked, first: first.value.trim(),
    }),
    /** Search, or end the search where nothing is asked for. */
    begin() {
      const { axis: _, ...asked } = api.words();
      if (!Object.values(asked).some(Boolean)) return api.clear();
      clear.hidden = false;
      search();
    },
    clear() {
      element.reset();
      clear.hidden = true;
      text.blur();
      ended();
    },
    focus() {
      text.focus();
      text.select();
    },
    /** What there is to choose from; a choice that was made stays. */
    offer(sources, axes) {
      offer(source, "any source", sources);
      offer(axis, "total score", axes);
    },
    /** What is said below the hits. */
    state(found, goOn) {
      if (found.wrong) return el("p", { class: "message bad" }, found.wrong);
      const many = `${number(found.hits.length)} hit${found.hits.length === 1 ? "" : "s"}`;
      const torn = found.torn.map((told) => el("p", { class: "message bad" }, told));
      if (found.busy) return [el("p", { class: "note" }, `${many}; searching${found.until === null ? "" : `, at step ${found.until}`} …`), torn];
      if (!found.next) return [el("p", { class: "note" }, found.hits.length ? `${many}, no more` : "Nothing was found."), torn];
      return [el("p", { class: "note" }, `${many} up to step ${found.until} `, el("button", { type: "button", onclick: goOn }, "Search on")), torn];
    },
  };
  return api;
}

function offer(select, any, names) {
  const before = select.value;
  put(select, el("option", { value: "" }, any), names.map((name) => el("option", { value: name }, label(name))));
  if (names.includes(before)) select.value = before;
}
