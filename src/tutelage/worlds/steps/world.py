"""The world of steps: one frozen dataclass from which everything else follows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Literal

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.problems.contract import ProblemSet
from tutelage.protocols import Codec
from tutelage.worlds.dice import Dice
from tutelage.worlds.steps.language import Chain, Language
from tutelage.worlds.words import save_tokenizer, speaks

Split = Literal["train", "validation", "test"]
"""``train``: what text and training are about. ``validation``: what settings are chosen by. ``test``: for reports."""
HELD_OUT_FROM = 3
"""Steps from which on chains are kept apart; of shorter ones there are too few, so that they stand in every split."""


@dataclass(frozen=True, slots=True)
class StepsWorld:
    """Chains of additions and multiplications modulo a small number, of which only the last value is told.

    A transformer of few layers cannot take many steps in one pass, so that it cannot tell the last value at once; with
    the values between before its eyes it needs one step at a time.

    Example:
        >>> StepsWorld().chain("test", 0).question.split()[1].isdigit()
        True
    """

    seed: int = 0
    """Other seeds give other chains."""
    modulus: int = 5
    """Values are between 0 and ``modulus - 1``; a prime number makes every step one to one."""
    fewest: int = 4
    """Steps of a chain, at least."""
    most: int = 6
    """And at most."""
    names: int = 12
    """So many different names there are."""
    validation: float = 0.05
    """Share of the chains on which settings are chosen."""
    test: float = 0.10
    """Share of the chains that are reported on; neither these nor those of ``validation`` stand in any text."""

    def __post_init__(self) -> None:
        require(self, "validation", "test", at_least=0, at_most=0.4)
        require(self, "modulus", at_least=3, at_most=99)
        require(self, "names", at_least=2, at_most=26)
        require(self, "fewest", at_least=1)
        require(self, "most", at_least=self.fewest, at_most=self.names - 1)

    @property
    def language(self) -> Language:
        """Its words; those of a world with other lengths are the same."""
        return Language(self.modulus, self.names)

    @property
    def question_length(self) -> int:
        """Most tokens of a question."""
        return 2 * (self.most + 1)

    @property
    def result_length(self) -> int:
        """Tokens of a result."""
        return 4

    @property
    def thought_length(self) -> int:
        """Tokens of a thought that names every value, its tags included."""
        return 2 * self.most + 2

    @property
    def text_length(self) -> int:
        """Most tokens of a text with such a thought, end-of-text included."""
        return self.question_length + self.thought_length + self.result_length + 1

    def chain(self, split: Split, *key: int | str) -> Chain:
        """The chain of this split and key, the same at every call."""
        dice = Dice("steps", self.seed, self.modulus, self.fewest, self.most, self.names, split, *key)
        while True:
            chain = self._draw(dice)
            if self.split_of(chain) in (None, split):
                return chain

    def split_of(self, chain: Chain) -> Split | None:
        """Where a chain may stand, by its definitions; ``None`` for one that is too short to be kept apart."""
        if len(chain.operations) < HELD_OUT_FROM:
            return None
        drawn = rng.uniform("steps", "split", self.seed, chain.question)
        if drawn < self.test:
            return "test"
        return "validation" if drawn < self.test + self.validation else "train"

    def problems(self, split: Split, count: int) -> tuple[Problem, ...]:
        """Questions for a value; no two are the same.

        Raises:
            ValueError: the split has hardly so many.
        """
        shares = {"validation": self.validation, "test": self.test, "train": 1 - self.validation - self.test}
        lengths = range(self.fewest, self.most + 1)
        each = {steps: self.modulus * len(self.language.operations) ** steps for steps in lengths}
        known = sum(size * (shares[split] if steps >= HELD_OUT_FROM else 1.0) for steps, size in each.items())
        if 2 * count > known:
            raise ValueError(
                f"the split {split!r} has some {known:,.0f} chains, too few to ask {count:,} different ones: ask fewer "
                "or raise world.most or world.modulus"
            )
        return tuple(islice(self._problems(split), count))

    def write_tokenizer(self, folder: Path) -> Path:
        """Write the world's tokenizer as a Hugging Face folder and return ``folder``."""
        return save_tokenizer(self.language.words, folder)

    def require(self, codec: Codec) -> None:
        """Check that a run speaks this world's language.

        Raises:
            ValueError: the tokenizer is another world's.
        """
        if not speaks(codec, self.language.words):
            raise ValueError(
                "the policy's tokenizer does not speak this world's language: write it by write_tokenizer(folder) of a "
                f"StepsWorld with modulus {self.modulus} and {self.names} names"
            )

    @property
    def fingerprint(self) -> str:
        """Hex digest of every setting."""
        return blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def _draw(self, dice: Dice) -> Chain:
        count = self.fewest + dice.below(self.most - self.fewest + 1)
        names = tuple(self.language.words[2 : 3 + count])
        start = dice.below(self.modulus)
        return Chain(names, start, tuple(dice.pick(self.language.operations) for _ in range(count)), self.modulus)

    def _problems(self, split: Split) -> Iterator[Problem]:
        seen: set[str] = set()
        row = 0
        while True:
            chain = self.chain(split, "problem", row)
            row += 1
            if chain.question not in seen:
                seen.add(chain.question)
                yield problem_of(chain)


def problem_of(chain: Chain) -> Problem:
    """A chain's question, with what it states as the key."""
    steps = str(len(chain.operations))
    return Problem(chain.question.strip(), chain.question, f"{chain.names[-1]} {chain.values[-1]}", (("steps", steps),))


@dataclass(frozen=True, slots=True)
class StepsProblems:
    """Some of the world's questions. They are asked as they stand (``{question}``)."""

    world: StepsWorld = field(default_factory=StepsWorld)
    split: Split = "train"
    """``train``, ``validation`` or ``test``."""
    count: int = 4000
    """How many."""

    def __post_init__(self) -> None:
        require(self, "count", at_least=1)

    def read(self) -> ProblemSet:
        """All of them."""
        problems = self.world.problems(self.split, self.count)
        return ProblemSet(problems, tuple(f" so {problem.key} ." for problem in problems))
