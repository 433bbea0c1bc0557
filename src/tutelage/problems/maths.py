"""GSM8K and MATH, from a folder that has them as ``gsm8k/`` and ``math/``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.problems.contract import ProblemSet
from tutelage.problems.reading import Found, Row, gathered, rows, text_of
from tutelage.verifiers.spans import boxed

FOLDER = "../shared/data/score"
Split = Literal["train", "validation", "test"]
PROTOCOL = 12_000
"""Training problems of PRM800K's split of MATH [P]."""
SUBJECTS = ("algebra", "counting_and_probability", "number_theory", "prealgebra")
"""Of which there are training problems with solutions."""


def in_split(identity: str, split: Split, validation: float) -> bool:
    """Whether a training problem belongs to ``split``, by a draw that its id alone decides."""
    held_out = rng.uniform("validation", identity) < validation
    return held_out == (split == "validation")


@dataclass(frozen=True, slots=True)
class Gsm8k:
    """GSM8K: grade-school maths in words, 7,473 problems to train on and 1,319 to test."""

    split: Split = "train"
    folder: str = FOLDER
    """Has ``gsm8k/train.jsonl`` and ``gsm8k/test.jsonl`` of the official repository."""
    validation: float = 0.05
    """Share of the training problems that ``train`` lacks and ``validation`` has [I]."""
    max_unusable: float = 0.0
    """Share of rows that may lack something; beyond it nothing is read."""

    def __post_init__(self) -> None:
        require(self, "validation", "max_unusable", at_least=0, at_most=1)

    def read(self) -> ProblemSet:
        """The problems of the split.

        Raises:
            ProblemError: as the settings say.
        """
        return gathered(self._found(), self.max_unusable)

    def _found(self) -> Iterator[Found]:
        file = "test" if self.split == "test" else "train"
        for number, (where, row) in enumerate(rows(Path(self.folder) / "gsm8k" / f"{file}.jsonl"), start=1):
            identity = f"gsm8k-{file}-{number}"
            if self.split != "test" and not in_split(identity, self.split, self.validation):
                continue
            if isinstance(row, str):
                yield Found(where, row)
                continue
            solution = text_of(row, "answer")
            key = solution.rpartition("####")[2].strip() if "####" in solution else ""
            yield Found(where, Problem(identity, text_of(row, "question"), key), solution)


@dataclass(frozen=True, slots=True)
class Math:
    """MATH, competition problems; tested on MATH-500 and trained on all others, the split of PRM800K [P]."""

    split: Split = "train"
    folder: str = FOLDER
    """Has ``math/`` with ``math500_test.jsonl``, ``math_test_5000.jsonl``, ``math_train_answers.json`` and, for four
    subjects, ``math_train_solutions_*.jsonl``."""
    validation: float = 0.04
    """Share of the training problems that ``train`` lacks and ``validation`` has [I]."""
    max_unusable: float = 0.001
    """Share of rows that may lack something; beyond it nothing is read. Of the 12,000, a few come without an answer."""

    def __post_init__(self) -> None:
        require(self, "validation", "max_unusable", at_least=0, at_most=1)

    def read(self) -> ProblemSet:
        """The problems of the split. Solutions of the training problems are there for four of the seven subjects.

        Raises:
            ProblemError: as the settings say.
        """
        if self.split == "test":
            return gathered(self._test(), self.max_unusable)
        whole = gathered(self._train(), self.max_unusable)
        chosen = [i for i, one in enumerate(whole.problems) if in_split(one.id, self.split, self.validation)]
        notes = (
            (f"{len(whole.problems):,} training problems where the protocol has {PROTOCOL:,}",)
            if len(whole.problems) != PROTOCOL
            else ()
        )
        return ProblemSet(
            tuple(whole.problems[i] for i in chosen), tuple(whole.solutions[i] for i in chosen), whole.unusable, notes
        )

    def _rows(self, name: str) -> Iterator[tuple[str, Row]]:
        for where, row in rows(Path(self.folder) / "math" / name):
            yield where, row if isinstance(row, dict) else {}

    def _test(self) -> Iterator[Found]:
        for where, row in self._rows("math500_test.jsonl"):
            tags = (("level", text_of(row, "level")), ("subject", text_of(row, "subject")))
            identity = f"math500-{text_of(row, 'unique_id')}"
            problem = Problem(identity, text_of(row, "problem"), text_of(row, "answer"), tags)
            yield Found(where, problem, text_of(row, "solution"))

    def _train(self) -> Iterator[Found]:
        solved: dict[str, tuple[str, Row, str]] = {}
        for subject in SUBJECTS:
            for where, row in self._rows(f"math_train_solutions_{subject}.jsonl"):
                solved[_normal(text_of(row, "input"))] = where, row, subject
        for number, (where, row) in enumerate(self._rows("math_train_answers.json"), start=1):
            _, found, _ = solved.pop(_normal(text_of(row, "problem")), ("", {}, ""))
            key = text_of(row, "answer") or text_of(found, "answer")
            tags = (("level", text_of(row, "difficulty")), ("subject", text_of(row, "type")))
            problem = Problem(f"math-train-{number}", text_of(row, "problem"), key, tags)
            yield Found(where, problem, text_of(found, "output") or None)
        for where, row, subject in solved.values():  # a few that the list of answers lacks
            tags = (("subject", subject.replace("_", " ").title()),)
            identity = f"math-train-{Path(where).stem.rpartition('solutions_')[2]}-{where.rpartition(':')[2]}"
            yield Found(
                where, Problem(identity, text_of(row, "input"), text_of(row, "answer"), tags), text_of(row, "output")
            )
        yield from self._from_test()

    def _from_test(self) -> Iterator[Found]:
        """The 4,500 problems of the official test that MATH-500 lacks."""
        tested = {_normal(text_of(row, "problem")) for _, row in self._rows("math500_test.jsonl")}
        for where, row in self._rows("math_test_5000.jsonl"):
            if _normal(text_of(row, "problem")) in tested:
                continue
            solution = text_of(row, "solution")
            tags = (("level", text_of(row, "level").removeprefix("Level ")), ("subject", text_of(row, "type")))
            problem = Problem(f"math-test-{text_of(row, 'idx')}", text_of(row, "problem"), boxed(solution) or "", tags)
            yield Found(where, problem, solution)


def _normal(question: str) -> str:
    return " ".join(question.split())
