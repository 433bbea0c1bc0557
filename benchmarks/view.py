"""How long a run takes to open in the browser, and what it takes to search all of it.

    python -m benchmarks.view --candidates 100000

A run is written as training writes it, ``tutelage view`` is started anew, and a headless Chromium opens its page. The
figures go to ``benchmarks/results/view/CANDIDATES.json``, medians over repetitions that each start the server again.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.__main__ import machine
from tutelage.samples import ROWS_PER_GROUP, SCHEMA

RESULTS = Path(__file__).resolve().parent / "results" / "view"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "view.md"
PLACE = re.compile(r"(<!-- view -->\n).*?(<!-- /view -->)", re.DOTALL)
TOLD = {
    "command_to_answer_s": "from the command to the first answer",
    "open_samples_s": "from there to the first sample in the browser",
    "open_curves_s": "to the curves",
    "other_step_s": "to the samples of another step",
    "search_source_first_page_s": "first 50 candidates of a source",
    "search_text_s": "all texts searched for what is nowhere",
    "search_axis_s": "all scores of an axis searched",
    "peak_memory_mib": "most memory of the server",
}
"""Lines of the table."""
CANDIDATES_PER_POOL = 18
"""A suffix, a rewrite and sixteen rollouts, as in the paper."""
POOLS_PER_STEP = 16
STEPS_PER_FILE = 100
WORDS = 100
"""Words of a candidate, some 128 tokens."""
PREFIX_WORDS = 700
NOWHERE = "no such words anywhere"
SETTINGS = """name: bench
phases:
  - objective:
      class: tutelage.objectives.OnlineDPO
    sources:
      - class: tutelage.sources.SuffixSource
"""


def write_run(directory: Path, candidates: int) -> int:
    """A run's directory with so many candidates, whose texts differ; gives their number of steps."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5_000)]
    (directory / "samples").mkdir(parents=True)
    (directory / "run.yaml").write_text(SETTINGS, "utf-8")
    per_step = CANDIDATES_PER_POOL * POOLS_PER_STEP
    steps = -(-candidates // per_step)
    for first in range(1, steps + 1, STEPS_PER_FILE):
        last = min(first + STEPS_PER_FILE - 1, steps)
        rows = [row for step in range(first, last + 1) for row in _pools(step, words, draw)]
        rows = rows[: candidates - (first - 1) * per_step]
        path = directory / "samples" / f"step-{first:08d}-{last:08d}.rank-0000.parquet"
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    lines = (json.dumps(_metrics(step, draw)) + "\n" for step in range(1, steps + 1))
    (directory / "metrics.jsonl").write_text("".join(lines), "utf-8")
    return steps


def _pools(step: int, words: Sequence[str], draw: random.Random) -> Iterator[dict[str, Any]]:
    for pool in range(POOLS_PER_STEP):
        for k in range(CANDIDATES_PER_POOL):
            source = ("suffix", "rewrite")[k] if k < 2 else "rollout"
            scores = {axis: round(draw.random(), 4) for axis in ("quality", "safety", "factuality")}
            yield {
                "step": step,
                "corpus": "books",
                "document": f"{step}-{pool}",
                "epoch": 0,
                "cut": 700,
                "candidate": k,
                "source": source,
                "author": "",
                "length": 128,
                "policy_version": step - 1 if k > 1 else None,
                "role": {1: "chosen", 5: "rejected"}.get(k, ""),
                "total": sum(scores.values()),
                "verdicts": json.dumps(scores),
                "words": " ".join(draw.choices(words, k=20)),
                "prefix": " ".join(draw.choices(words, k=PREFIX_WORDS)) if k == 0 else None,
                "text": " ".join(draw.choices(words, k=WORDS)),
            }


def _metrics(step: int, draw: random.Random) -> dict[str, float]:
    names = [
        f"{kind}/{part}" for kind in ("loss", "chosen", "rejected", "seconds", "length", "abstained") for part in "abcd"
    ]
    names += [f"score/{axis}/{part}" for axis in "xyz" for part in ("suffix", "rewrite", "rollout")]
    return {"step": step, "tokens/trained": 1000.0, **{name: draw.random() for name in names}}


@contextmanager
def serving(directory: Path) -> Generator[tuple[str, float, int]]:
    """``tutelage view`` in a process of its own: its address, the seconds until it first answered, its id."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tutelage", "view", str(directory), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        httpx.get(f"{address}data/runs", timeout=60).raise_for_status()
        yield address, time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        process.wait(10)


def once(directory: Path, browser: Any, steps: int) -> dict[str, float]:
    """One repetition: a new server and a new tab."""
    found: dict[str, float] = {}
    with serving(directory) as (address, started, process):
        found["command_to_answer_s"] = started
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        found["open_samples_s"] = _timed(
            lambda: (page.goto(f"{address}#/samples"), page.wait_for_selector("article.candidate"))
        )
        title = f"{max(1, steps // 2)}-0"
        page.fill("input[type=number]", str(max(1, steps // 2)))
        shown = page.locator(".heading h2", has_text=title)
        found["other_step_s"] = _timed(lambda: (page.keyboard.press("Enter"), shown.wait_for()))
        page.close()
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        found["open_curves_s"] = _timed(lambda: (page.goto(address), page.wait_for_selector("figure.figure")))
        page.close()
        found["search_text_s"] = _timed(lambda: _search(address, {"text": NOWHERE}))
        found["search_axis_s"] = _timed(lambda: _search(address, {"axis": "quality", "low": "2"}))
        found["search_source_first_page_s"] = _timed(lambda: _search(address, {"source": "rewrite"}, pages=1))
        found["peak_memory_mib"] = _peak(process)
    found["command_to_sample_s"] = found["command_to_answer_s"] + found["open_samples_s"]
    return found


def _search(address: str, words: dict[str, str], pages: int = 10_000) -> None:
    place = ""
    for _ in range(pages):
        answer = httpx.get(f"{address}data/search", params={"run": 0, "place": place, **words}, timeout=60)
        place = answer.raise_for_status().json()["next"]
        if not place:
            return


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peak(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def table(found: Sequence[dict[str, Any]]) -> str:
    """What is measured, a line each, and a column for each size of a run."""
    header = ["medians, a new server each time", *(f"{one['candidates']:,} candidates" for one in found)]
    lines = [header, ["---"] * len(header), ["samples on disk", *(f"{one['samples_mib']:,.0f} MiB" for one in found)]]
    for name, told in TOLD.items():
        unit = "MiB" if name.endswith("mib") else "s"
        lines.append([told, *(f"{one['median'][name]:,.{0 if unit == 'MiB' else 2}f} {unit}" for one in found)])
    commands = ", ".join(dict.fromkeys(f"`{one['command']}`" for one in found))
    told = f"{found[0]['machine']}; {found[0]['date']}; {commands}."
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{told}\n"


def filled(page: str, found: Sequence[dict[str, Any]]) -> str:
    """The page with its table rewritten.

    Raises:
        ValueError: it has no place for it, or more than one.
    """
    text, count = PLACE.subn(lambda match: match[1] + table(found) + match[2], page)
    if count != 1:
        raise ValueError(f"the page has {count} places for the table instead of one")
    return text


def committed() -> list[dict[str, Any]]:
    """The results that are kept, by size."""
    return sorted(
        (json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")), key=lambda one: one["candidates"]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.view", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None, help="where the figures go")
    chosen = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright  # a dependency of the tests only

    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        steps = write_run(Path(folder) / "run", chosen.candidates)
        size = sum(path.stat().st_size for path in (Path(folder) / "run" / "samples").iterdir())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        times = [once(Path(folder) / "run", browser, steps) for _ in range(chosen.repetitions)]
        browser.close()
    found = {
        "command": f"python -m benchmarks.view --candidates {chosen.candidates} --repetitions {chosen.repetitions}",
        "candidates": chosen.candidates,
        "steps": steps,
        "samples_mib": round(size / 2**20, 1),
        "median": {name: round(statistics.median(one[name] for one in times), 3) for name in times[0]},
        "worst": {name: round(max(one[name] for one in times), 3) for name in times[0]},
        "repetitions": chosen.repetitions,
        "machine": machine(),
        "date": date.today().isoformat(),
    }
    out: Path = chosen.out or RESULTS / f"{chosen.candidates}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    if chosen.out is None:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), committed()), "utf-8")


if __name__ == "__main__":
    main()
