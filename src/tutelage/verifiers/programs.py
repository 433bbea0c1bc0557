"""The program in an attempt."""

import re

from tutelage.episodes import Problem
from tutelage.verifiers.keys import CodeKey

FENCE = re.compile(
    r"^[ \t]*```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<text>.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL
)
PYTHON = ("", "python", "py", "python3")
BEGIN, DONE = "[BEGIN]", "[DONE]"


def program_in(attempt: str, names: tuple[str, ...] = ()) -> str:
    """The program that an attempt re-states as a whole.

    In this order: the last fenced block of Python that has all ``names``, the last one at all; what stands between
    ``[BEGIN]`` and ``[DONE]``, the form of MBPP's few-shot prompt; else all of it. A fence that is not closed goes to
    the end.
    """
    blocks = [match["text"] for match in FENCE.finditer(attempt) if match["language"].lower() in PYTHON]
    if blocks:
        whole = [text for text in blocks if all(re.search(rf"\b{re.escape(name)}\b", text) for name in names)]
        return (whole or blocks)[-1]
    before, done, _ = attempt.partition(DONE)
    text = before if done else attempt
    return text.rpartition(BEGIN)[2]


def program_form(attempt: str, names: tuple[str, ...] = ()) -> str | None:
    """The program without empty lines and trailing spaces: programs of equal form are equal. ``None`` for none."""
    lines = [line.rstrip() for line in program_in(attempt, names).splitlines()]
    return "\n".join(line for line in lines if line) or None


def names_of(problem: Problem) -> tuple[str, ...]:
    """What the tests of a problem take from a program; nothing where its key cannot be read."""
    try:
        return CodeKey.read(problem.key).names
    except ValueError:
        return ()
