"""The verifier: right is a text that states the right value of the last name behind its thoughts."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tutelage.episodes import Problem
from tutelage.types import Scored, Verdict
from tutelage.worlds.steps.language import result_of


@dataclass(frozen=True, slots=True)
class Results:
    """Checks what a text states; whether and what was thought before is not looked at."""

    def build(self) -> AbstractContextManager["ResultChecker"]:
        """The working verifier; it has nothing to close."""
        return nullcontext(ResultChecker())


@dataclass(frozen=True, slots=True)
class ResultChecker:
    """``Results`` at work."""

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 where the first result that is stated is the key, else 0."""
        pairs = zip(problems, self.answers(problems, attempts), strict=True)
        return [Scored(float(found == problem.key)) for problem, found in pairs]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """``NAME VALUE`` of every attempt, ``None`` where it states none.

        Raises:
            ValueError: there are not as many attempts as problems.
        """
        found = [result_of(attempt) for _, attempt in zip(problems, attempts, strict=True)]
        return [None if one is None else f"{one[0]} {one[1]}" for one in found]
