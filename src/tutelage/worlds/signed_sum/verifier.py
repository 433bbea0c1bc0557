"""The verifier: right is a chain whose every sum is right and whose last one is the target."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tutelage.episodes import Problem
from tutelage.types import Abstained, Scored, Verdict
from tutelage.worlds.signed_sum.language import Key, chain_of


@dataclass(frozen=True, slots=True)
class SignedSums:
    """Checks first and second attempts at signed sums by their keys; what it needs to know stands in the key.

    Whether the verdict before a second chain was true is not looked at: nothing but the chain is rewarded.
    """

    def build(self) -> AbstractContextManager["SumChecker"]:
        """The working verifier; it has nothing to close."""
        return nullcontext(SumChecker())


@dataclass(frozen=True, slots=True)
class SumChecker:
    """``SignedSums`` at work: some hundred thousand attempts a second."""

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 for a right chain, 0 for a wrong or malformed one; a key that is none of these worlds' is an abstention.

        Raises:
            ValueError: there are not as many attempts as problems.
        """
        return [_verdict(problem, attempt) for problem, attempt in zip(problems, attempts, strict=True)]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The chain of every attempt without its verdict, words separated by one space; ``None`` where malformed.

        Raises:
            ValueError: there are not as many attempts as problems.
        """
        return [_answer(problem, attempt) for problem, attempt in zip(problems, attempts, strict=True)]


def _verdict(problem: Problem, attempt: str) -> Verdict:
    key = Key.read(problem.key)
    if key is None:
        return Abstained(f"the key {problem.key!r} of problem {problem.id} is no signed sum such as '3 5 =2 mod 7'")
    chain = chain_of(key, attempt)
    return Scored(float(chain is not None and key.solved_by(chain)))


def _answer(problem: Problem, attempt: str) -> str | None:
    key = Key.read(problem.key)
    chain = None if key is None else chain_of(key, attempt)
    return None if chain is None else " ".join(chain)
