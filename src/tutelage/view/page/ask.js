// The one place that speaks with the server.

/** The answer to a question as data. Throws what the server says is wrong. */
export async function ask(name, words = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(words)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined && one !== false) query.append(key, one === true ? "yes" : one);
    }
  }
  let answer;
  try {
    answer = await fetch(`/data/${name}?${query}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: start tutelage view again; this page goes on by itself.");
  }
  const found = await answer.json().catch((error) => {
    if (answer.ok) throw error; // given up half-way, or cut short: an empty answer would be taken for one
    return {};
  });
  if (!answer.ok) throw new Error(found.error ?? `The server failed (${answer.status}); its terminal says why.`);
  return found;
}

/** Calls `changed(run, samples)` when a run writes, and `state("live" | "lost")` as the connection comes and goes. */
export function listen(changed, state) {
  const source = new EventSource("/data/changes");
  source.onopen = () => state("live");
  source.onerror = () => state("lost");
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    changed(told.run, told.samples);
  };
}

/** Runs `work` at most once in `ms`, the last call always. */
export function paced(work, ms) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, ms);
  };
}

/** Lets only the newest of several questions answer: an earlier one is given up. */
export function newest() {
  let controller = null;
  return () => {
    controller?.abort();
    controller = new AbortController();
    return controller.signal;
  };
}
