"""Compares answers by math-verify, one after the other, in a process that may be killed: ``python -P maths_worker.py``.

It has no clock of its own but one: should its keeper be gone, an alarm that nothing handles ends it.
"""

import json
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

HOW = LatexExtractionConfig(boxed_match_priority=0)
"""Of LaTeX without its braces (``\\frac12``, ``\\sqrt2``) as MATH itself writes it, the braces are put back."""


def read(text: str) -> list[Any]:
    """The expressions in ``text``; nothing where it cannot be read. Its letters are never compared as such."""
    return parse(text, [HOW], fallback_mode="no_fallback", parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def compare(key: str, answer: str) -> dict[str, Any]:
    """Whether ``answer`` says what ``key`` says."""
    gold = read(key)
    if not gold:
        return {"unreadable": True}
    said = read(answer)
    return {"right": bool(said) and verify(gold, said, timeout_seconds=None)}


def form(answer: str) -> dict[str, Any]:
    """``answer`` in a form that is the same for answers that are the same, as far as that is cheap."""
    said = read(answer)
    if not said:
        return {"form": None}
    value = said[0]
    value = value.doit() if hasattr(value, "doit") else value
    if getattr(value, "is_number", False):
        return {"form": str(value.evalf(12))}
    return {"form": str(value)}


def main() -> None:
    """Work until the channel is closed."""
    memory, alarm_s = (int(word) for word in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    logging.disable(logging.CRITICAL)
    channel = socket.socket(fileno=os.dup(0))
    channel.sendall(b'{"ready": true}\n')
    for line in channel.makefile("rb"):
        signal.alarm(alarm_s)
        job = json.loads(line)
        try:
            found = compare(job["key"], job["answer"]) if "key" in job else form(job["answer"])
        except MemoryError:
            found = {"failed": "ran out of memory"}
        except Exception as error:  # sympy raises what it likes
            found = {"failed": type(error).__name__}
        channel.sendall(json.dumps(found).encode() + b"\n")
        signal.alarm(0)


if __name__ == "__main__":
    main()
