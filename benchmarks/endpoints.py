"""What the client for servers takes: calls a second, the gain of many at a time, and how full it keeps a server.

``python -m benchmarks.endpoints [--calls N] [--json FILE]``. The server (``benchmarks.null_server``) runs in a process
and, where there are two cores, on a core of its own; it does nothing, so that what is measured is the client. How full
a server is kept is told against ``wrk``, a load generator (``apt-get install wrk``), with the same requests over as
many connections; without it that row is left out.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.endpoints import Endpoint, Requests, forget
from tutelage.endpoints.wire import payload
from tutelage.protocols import Prompt

ROOT = Path(__file__).resolve().parent.parent
RUBRIC = "You compare two ways of carrying on a piece of writing. " * 12
TEXT = "The old house stood by the river and the boat lay in the grass. " * 60
"""With the rubric about a thousand tokens: a judge's prompt at the paper's lengths."""
DELAY_S = 0.02
CONCURRENCY = 32
BUSY = (0.05, 16)
"""Seconds of an answer and answers at a time of the server that is to be kept full: 320 calls/s at most."""
WRK_S = 5
"""Seconds that wrk runs."""


@contextmanager
def null_server(delay_s: float, core: int, slots: int | None = None) -> Generator[str]:
    """The address of a server that answers after ``delay_s``, ``slots`` at a time, pinned to ``core``."""
    limits = [] if slots is None else [str(slots)]
    command = [sys.executable, "-m", "benchmarks.null_server", str(delay_s), *limits]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def endpoint(url: str, concurrency: int) -> Endpoint:
    """The server as a judge, asked as by default."""
    return Endpoint("null", (url,), role="judge.quality", requests=Requests(concurrency=concurrency), cache=None)


def prompt(number: int) -> Prompt:
    """One of many comparisons, sixteen a document."""
    return Prompt(RUBRIC, f"{number} {TEXT}", document=str(number // 16))


def calls_per_second(url: str, calls: int, concurrency: int) -> float:
    """How many prompts a second get their answer."""
    model = endpoint(url, concurrency).build()
    prompts = [prompt(number) for number in range(calls)]
    model.answer(prompts[: 2 * concurrency], range(2 * concurrency))
    started = time.perf_counter()
    answers = model.answer(prompts, range(calls))
    seconds = time.perf_counter() - started
    assert answers == ["VERDICT: 1"] * calls
    return calls / seconds


def wrk_per_second(url: str, concurrency: int, wrk: str) -> float:
    """How many of the same requests a second ``wrk`` gets answered over as many connections."""
    body = payload(endpoint(url, concurrency).style, prompt(0), 0).decode()
    script = f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[{body}]==]\n'
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [wrk, "-t1", f"-c{concurrency}", f"-d{WRK_S}s", "-s", file.name, f"{url}/chat/completions"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=6 * WRK_S).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None and "Non-2xx" not in told, told
    return float(found[1])


def saturation(core: int, repeats: int) -> dict[str, Any]:
    """Calls a second at a server with a full batch, of ours and of wrk's, and their ratio; empty without ``wrk``."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return {}
    delay_s, slots = BUSY
    ours: list[float] = []
    theirs: list[float] = []
    with null_server(delay_s, core, slots) as url:
        for _ in range(repeats):  # in turn, so that the machine's moods meet both
            ours.append(calls_per_second(url, int(WRK_S * slots / delay_s), CONCURRENCY))
            theirs.append(wrk_per_second(url, CONCURRENCY, wrk))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return {"saturation": ratio, "saturation_runs": {"ours": ours, "wrk": theirs}, "load_generator": "wrk"}


def measure(calls: int, repeats: int = 3) -> dict[str, Any]:
    """The medians of ``repeats`` measurements, and all of them."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    try:
        with null_server(0.0, cores[-1]) as url:
            most = [calls_per_second(url, calls, CONCURRENCY) for _ in range(repeats)]
        with null_server(DELAY_S, cores[-1]) as url:
            one = [calls_per_second(url, max(calls // 40, 20), 1) for _ in range(repeats)]
            many = [calls_per_second(url, max(calls // 2, 64), CONCURRENCY) for _ in range(repeats)]
        full = saturation(cores[-1], repeats)
    finally:
        os.sched_setaffinity(0, cores)
        forget()
    return {
        "calls_per_second": statistics.median(most),
        "speedup_32": statistics.median(many) / statistics.median(one),
        **full,
        "delay_s": DELAY_S,
        "runs": {"no_delay_32": most, "sequential": one, "concurrent_32": many},
        "cores": len(cores),
    }


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    found = measure(words.calls)
    print(f"{found['calls_per_second']:.0f} calls/s on one core")
    print(f"{found['speedup_32']:.1f} x faster with 32 at a time, an answer taking {DELAY_S * 1e3:.0f} ms")
    if "saturation" in found:
        print(f"{found['saturation']:.0%} of wrk's calls at a server that takes {BUSY[1]} at a time")
    if words.json:
        words.json.parent.mkdir(parents=True, exist_ok=True)
        words.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
