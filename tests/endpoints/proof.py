"""The proof that transient faults change nothing: every answer is compared with what is right."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import TRANSIENT, FaultServer, answer_to

from tutelage.endpoints import EndpointModel
from tutelage.protocols import Prompt

BOLD = replace(QUICK, retries=12, timeout_s=0.5, trip_after=20, hedge=0.02)
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def prompts(count: int) -> list[Prompt]:
    return [Prompt("Compare.", f"Question {i}", document=f"d{i // 8}") for i in range(count)]


def memory_mb() -> float:
    """What this process holds now, the servers in its threads included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def prove(endpoint: Callable[..., EndpointModel], count: int, rate: float) -> dict[str, float]:
    """Send ``count`` prompts through two servers with transient faults, and compare with what is right."""
    with FaultServer(TRANSIENT, rate) as one, FaultServer(TRANSIENT, rate) as other:
        model = endpoint(one, other, requests=BOLD)
        asked = prompts(count)
        came: list[tuple[int, object]] = []
        before_mb, peak_mb = memory_mb(), 0.0
        for pair in model.stream(asked, range(count)):
            came.append(pair)
            if len(came) % 50 == 0:
                peak_mb = max(peak_mb, memory_mb() - before_mb)
        faults = sum((one.counts + other.counts)[fault] for fault in TRANSIENT)
        requests = one.counts["requests"] + other.counts["requests"]
    answers = dict(came)
    right = {i: answer_to(asked[i].user, i) for i in range(count)}
    return {
        "calls": count,
        "wrong": sum(isinstance(answers[i], str) and answers[i] != right[i] for i in answers),
        "lost": sum(not isinstance(answers.get(i), str) for i in range(count)),
        "double": len(came) - len(answers),
        "fault_rate": faults / requests,
        "peak_mb": peak_mb,
    }
