"""Every word of a world of signed sums, and answers as text.

A *chain* is an answer: one word for each number, ``+=5`` for "add it, which makes 5" and ``-=2`` for "subtract it,
which makes 2", modulo the world's modulus. A second attempt says ``OK`` or ``FIX`` of the first before its chain.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from tutelage.worlds.words import END_OF_TEXT, UNKNOWN

REVISE = "revise"
"""The instruction to correct: the same word whatever was written before it."""
KEEP = "OK"
"""The verdict that the first attempt may stay."""
CHANGE = "FIX"
"""The verdict that it may not."""
VERDICTS = (KEEP, CHANGE)

_KEY = re.compile(r"([0-9]{1,6}(?: [0-9]{1,6})*) =([0-9]{1,6}) mod ([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Language:
    """The words of all sums modulo ``modulus``, as token ids."""

    modulus: int
    end: int = 0
    unknown: int = 1
    first_number: int = 2
    """The id of the number 1; the others follow it."""

    @property
    def first_target(self) -> int:
        """The id of the target ``=0``; the others follow it."""
        return self.first_number + self.modulus - 1

    @property
    def first_plus(self) -> int:
        """The id of ``+=0``; the other sums follow it, and behind the last the same with ``-=``."""
        return self.first_target + self.modulus

    @property
    def revise(self) -> int:
        """The id of the instruction to correct."""
        return self.first_plus + 2 * self.modulus

    @property
    def keep(self) -> int:
        """The id of the verdict ``OK``."""
        return self.revise + 1

    @property
    def change(self) -> int:
        """The id of the verdict ``FIX``."""
        return self.revise + 2

    @property
    def words(self) -> tuple[str, ...]:
        """The word of every id."""
        numbers = map(str, range(1, self.modulus))
        # Targets are words of their own, which no other token must explain: a small model has few layers to spare.
        others = (f"{mark}={number}" for mark in ("", "+", "-") for number in range(self.modulus))
        return (END_OF_TEXT, UNKNOWN, *numbers, *others, REVISE, *VERDICTS)


@dataclass(frozen=True, slots=True)
class Key:
    """What a verifier knows of a problem.

    Example:
        >>> Key.read("3 5 1 6 =2 mod 7").target
        2
    """

    numbers: tuple[int, ...]
    target: int
    modulus: int

    @classmethod
    def read(cls, text: str) -> "Key | None":
        """The key that ``text`` spells out; ``None`` where it is no such key."""
        return _read_key(text)

    def __str__(self) -> str:
        return f"{self.question} mod {self.modulus}"

    @property
    def question(self) -> str:
        """What is asked: ``3 5 1 6 =2``."""
        return f"{' '.join(map(str, self.numbers))} ={self.target}"

    def solved_by(self, chain: tuple[str, ...]) -> bool:
        """Whether every sum of ``chain`` is right and the last one is the target."""
        running = 0
        for number, word in zip(self.numbers, chain, strict=True):
            running = (running + number if word[0] == "+" else running - number) % self.modulus
            if word[2:] != str(running):
                return False
        return running == self.target


def chain_of(key: Key, attempt: str) -> tuple[str, ...] | None:
    """The chain that ``attempt`` consists of, a verdict before it or not; ``None`` where it is malformed.

    A chain may be wrong and still well-formed: as many words as numbers, each a sum that the language has.
    """
    words = attempt.split()
    words = words[:-1] if words[-1:] == [END_OF_TEXT] else words
    words = words[1:] if words[:1] and words[0] in VERDICTS else words
    known = _sums(key.modulus)
    return tuple(words) if len(words) == len(key.numbers) and known.issuperset(words) else None


@lru_cache(maxsize=16)
def _sums(modulus: int) -> frozenset[str]:
    return frozenset(f"{sign}={number}" for sign in "+-" for number in range(modulus))


@lru_cache(maxsize=65_536)
def _read_key(text: str) -> Key | None:
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    key = Key(tuple(map(int, found[1].split())), int(found[2]), int(found[3]))
    return key if 0 <= key.target < key.modulus else None
