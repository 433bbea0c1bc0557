"""The text of the world: whole episodes by authors who solve half of the problems and seldom correct themselves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.ranges import require
from tutelage.worlds.dice import Dice
from tutelage.worlds.signed_sum.language import Language
from tutelage.worlds.signed_sum.sums import Sums


@dataclass(frozen=True, slots=True)
class Habits:
    """How the authors of the text answer, first and again; every sum that they write is right, the last may miss.

    What they do not copy or revise of their second answers they attempt afresh, whatever the first answer was.
    """

    right: float = 0.50
    """Share of first answers that reach the target."""
    copied: float = 0.65
    """Share of second answers that repeat the first, right or wrong, behind the verdict ``OK``."""
    revised: float = 0.10
    """Share of second answers by an author who looked: ``OK`` and a copy of a right one, ``FIX`` and a right one in
    place of a wrong one."""
    noticed: float = 0.30
    """Share of copies of a wrong answer that stand behind ``FIX``: the author saw that it is wrong, and wrote it again.
    Without them what a verdict says of an answer is so faint that a small model does not learn to check at all."""
    right_afresh: float = 0.25
    """Share of fresh attempts that reach the target; they stand behind ``FIX``."""

    def __post_init__(self) -> None:
        require(self, "right", "copied", "revised", "noticed", "right_afresh", at_least=0, at_most=1)
        if self.copied + self.revised > 1:
            raise ValueError(
                f"habits.copied and habits.revised are {self.copied} and {self.revised}; they are shares of the same "
                "answers and must not sum to more than 1"
            )


@dataclass(frozen=True, slots=True)
class Author:
    """Writes episodes about given problems."""

    language: Language
    sums: Sums
    habits: Habits

    def write(self, row: int, target: int, dice: Dice) -> NDArray[np.int32]:
        """The episode of a problem, as token ids without the last end-of-text."""
        language = self.language
        right = dice.chance(self.habits.right)
        first = self._signs(row, target, dice, right=right)
        verdict, second = self._revision(row, target, first, dice, right=right)
        return np.array(
            [
                *(language.first_number - 1 + self.sums.numbers[row]),
                language.first_target + target,
                *self.chain(row, first),
                language.end,
                language.revise,
                verdict,
                *self.chain(row, second),
            ],
            np.int32,
        )

    def chain(self, row: int, signs: int) -> list[int]:
        """The token ids of the running sums of these signs."""
        modulus = self.language.modulus
        return (self.language.first_plus + modulus * self.sums.minus[signs] + self.sums.running[row, signs]).tolist()

    def _revision(self, row: int, target: int, first: int, dice: Dice, *, right: bool) -> tuple[int, int]:
        """The verdict on the first answer, and the signs of the second."""
        habits = self.habits
        if dice.chance(habits.copied):
            noticed = not right and dice.chance(habits.noticed)
            return self.language.change if noticed else self.language.keep, first
        looked = dice.chance(habits.revised / (1 - habits.copied))
        if looked and right:
            return self.language.keep, first
        again = looked or dice.chance(habits.right_afresh)
        return self.language.change, self._signs(row, target, dice, right=again)

    def _signs(self, row: int, target: int, dice: Dice, *, right: bool) -> int:
        """Any choice of signs that reaches the target, or any that does not."""
        choices = self.sums.solving(row, target) if right else self.sums.failing(row, target)
        return int(choices[dice.below(len(choices))])
