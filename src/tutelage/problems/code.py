"""MBPP and HumanEval, from a folder that has them as ``mbpp/`` and ``humaneval/``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.problems.contract import ProblemSet
from tutelage.problems.maths import FOLDER
from tutelage.problems.reading import Found, Row, gathered, rows, text_of
from tutelage.verifiers.keys import CodeKey, names_taken

MbppSplit = Literal["prompt", "test", "validation", "train"]
SPLITS: dict[MbppSplit, range] = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
"""Task ids, as the authors split them."""


@dataclass(frozen=True, slots=True)
class Mbpp:
    """MBPP: small Python tasks with three asserts each; 374 to train on, 90 to validate, 500 to test, 10 to prompt."""

    split: MbppSplit = "train"
    folder: str = FOLDER
    """Has ``mbpp/mbpp.jsonl`` of the authors."""
    shown_tests: int = 3
    """Asserts that stand in the question; the authors show all three. The others are checked without being known, so
    that a program that knows its tests by heart gains nothing; one at least tells the name that is asked for."""
    max_unusable: float = 0.0
    """Share of rows that may lack something; beyond it nothing is read."""

    def __post_init__(self) -> None:
        require(self, "shown_tests", at_least=1)
        require(self, "max_unusable", at_least=0, at_most=1)

    def read(self) -> ProblemSet:
        """The tasks of the split.

        Raises:
            ProblemError: as the settings say.
        """
        return gathered(self._found(), self.max_unusable)

    def _found(self) -> Iterator[Found]:
        for where, row in rows(Path(self.folder) / "mbpp" / "mbpp.jsonl"):
            if isinstance(row, str):
                yield Found(where, row)
            elif row.get("task_id") in SPLITS[self.split]:
                yield _task(where, row, self.shown_tests)


def _task(where: str, row: Row, shown_tests: int) -> Found:
    listed: Any = row.get("test_list")
    tests = [str(test).replace("\r\n", "\n").strip() for test in listed] if isinstance(listed, list) else []
    setup = text_of(row, "test_setup_code").replace("\r\n", "\n")
    solution = text_of(row, "code").replace("\r\n", "\n").replace("\r", "\n")
    if not tests:
        return Found(where, "no tests")
    try:
        text = "\n".join([setup, *tests]) if setup else "\n".join(tests)
        key = CodeKey(text, names_taken(text, program=solution))
    except ValueError as error:
        return Found(where, str(error))
    asked = f"{text_of(row, 'text')} Your code should pass these tests:\n\n" + "\n".join(tests[:shown_tests])
    return Found(where, Problem(f"mbpp-{text_of(row, 'task_id')}", asked, key.text), solution)


@dataclass(frozen=True, slots=True)
class HumanEval:
    """HumanEval: 164 functions to complete from signature and docstring; their tests are not shown."""

    folder: str = FOLDER
    """Has ``humaneval/HumanEval.jsonl`` of the authors, unpacked."""
    max_unusable: float = 0.0
    """Share of rows that may lack something; beyond it nothing is read."""

    def __post_init__(self) -> None:
        require(self, "max_unusable", at_least=0, at_most=1)

    def read(self) -> ProblemSet:
        """All functions.

        Raises:
            ProblemError: as the settings say.
        """
        return gathered(self._found(), self.max_unusable)

    def _found(self) -> Iterator[Found]:
        for where, row in rows(Path(self.folder) / "humaneval" / "HumanEval.jsonl"):
            yield Found(where, row) if isinstance(row, str) else _function(where, row)


def _function(where: str, row: Row) -> Found:
    prompt, name = str(row.get("prompt", "")), text_of(row, "entry_point")
    asked = re.search(rf"^def {re.escape(name)}\b", prompt, re.MULTILINE) if name else None
    tests = str(row.get("test", "")).strip()
    if asked is None:
        return Found(where, f"the prompt does not define the entry point {name!r}")
    if not tests:
        return Found(where, "no tests")
    # What the prompt shows before the function is everybody's: a program may rely on it, and so may the tests, which
    # get a copy that the program cannot touch.
    before = prompt[: asked.start()]
    key = CodeKey(f"{tests}\n\ncheck({name})\n", (name,), preamble=before, helpers=before)
    return Found(
        where, Problem(text_of(row, "task_id"), prompt, key.text), f"{prompt}{row.get('canonical_solution', '')}"
    )
