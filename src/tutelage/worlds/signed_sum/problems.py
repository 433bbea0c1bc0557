"""The world's problems as a source that a task reads them from."""

from dataclasses import dataclass, field

import numpy as np

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemSet
from tutelage.worlds.signed_sum.documents import Author
from tutelage.worlds.signed_sum.language import Key
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split


@dataclass(frozen=True, slots=True)
class SignedSumProblems:
    """All problems of one split, each with one of its solutions.

    As plain text they are asked as they stand (``{question}``), and ``REVISE`` is the instruction.
    """

    world: SignedSumWorld = field(default_factory=SignedSumWorld)
    split: Split = "train"
    """``train``, ``validation`` or ``test``."""

    def read(self) -> ProblemSet:
        """All of them.

        Raises:
            ValueError: the split has no problem.
        """
        problems = self.world.problems(self.split)
        return ProblemSet(problems, tuple(solution(self.world, problem) for problem in problems))


def solution(world: SignedSumWorld, problem: Problem) -> str:
    """A right answer to a problem of ``world``, drawn from all of them, the same at every call.

    Raises:
        ValueError: the problem is none of this world's.
    """
    key = Key.read(problem.key)
    if key is None or (len(key.numbers), key.modulus) != (world.numbers, world.modulus):
        raise ValueError(f"the problem {problem.id} is none of this world's: its key is {problem.key!r}")
    row = int(np.ravel_multi_index([number - 1 for number in key.numbers], (world.modulus - 1,) * world.numbers))
    choices = world.sums.solving(row, key.target)
    signs = int(choices[rng.below(len(choices), "signed sums", "solution", problem.key)])
    words = world.language.words
    return " ".join(words[token] for token in Author(world.language, world.sums, world.habits).chain(row, signs))
