"""What the client for servers takes: calls a second on one core, and the gain of many at a time over one by one.

``python -m benchmarks.endpoints [--calls N] [--json FILE]``. The server (``benchmarks.null_server``) runs in a process
and, where there are two cores, on a core of its own; it does nothing, so that what is measured is the client.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.endpoints import Endpoint, Requests, forget
from tutelage.protocols import Prompt

ROOT = Path(__file__).resolve().parent.parent
RUBRIC = "You compare two ways of carrying on a piece of writing. " * 12
TEXT = "The old house stood by the river and the boat lay in the grass. " * 60
"""With the rubric about a thousand tokens: a judge's prompt at the paper's lengths."""
DELAY_S = 0.02


@contextmanager
def null_server(delay_s: float, core: int) -> Generator[str]:
    """The address of a server that answers after ``delay_s``, pinned to ``core``."""
    command = [sys.executable, "-m", "benchmarks.null_server", str(delay_s)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def calls_per_second(url: str, calls: int, concurrency: int) -> float:
    """How many prompts a second get their answer."""
    requests = Requests(concurrency=concurrency)
    model = Endpoint("null", (url,), role="judge.quality", requests=requests, cache=None).build()
    prompts = [Prompt(RUBRIC, f"{i} {TEXT}", document=str(i // 16)) for i in range(calls)]
    model.answer(prompts[: 2 * concurrency], range(2 * concurrency))
    started = time.perf_counter()
    answers = model.answer(prompts, range(calls))
    seconds = time.perf_counter() - started
    assert answers == ["VERDICT: 1"] * calls
    return calls / seconds


def measure(calls: int, repeats: int = 3) -> dict[str, Any]:
    """The medians of ``repeats`` measurements, and all of them."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    try:
        with null_server(0.0, cores[-1]) as url:
            most = [calls_per_second(url, calls, 32) for _ in range(repeats)]
        with null_server(DELAY_S, cores[-1]) as url:
            one = [calls_per_second(url, max(calls // 40, 20), 1) for _ in range(repeats)]
            many = [calls_per_second(url, max(calls // 2, 64), 32) for _ in range(repeats)]
    finally:
        os.sched_setaffinity(0, cores)
        forget()
    return {
        "calls_per_second": statistics.median(most),
        "speedup_32": statistics.median(many) / statistics.median(one),
        "delay_s": DELAY_S,
        "runs": {"no_delay_32": most, "sequential": one, "concurrent_32": many},
        "cores": len(cores),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    found = measure(words.calls)
    print(f"{found['calls_per_second']:.0f} calls/s on one core")
    print(f"{found['speedup_32']:.1f} x faster with 32 at a time, an answer taking {DELAY_S * 1e3:.0f} ms")
    if words.json:
        words.json.parent.mkdir(parents=True, exist_ok=True)
        words.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
