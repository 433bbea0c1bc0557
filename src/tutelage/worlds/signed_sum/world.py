"""The world of signed sums: one frozen dataclass from which everything else follows."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.protocols import Codec
from tutelage.types import Chunk, Document, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.signed_sum.documents import Author, Habits
from tutelage.worlds.signed_sum.language import Key, Language
from tutelage.worlds.signed_sum.sums import MOST_SUMS, Sums, make_sums, size_of
from tutelage.worlds.words import save_tokenizer, speaks

Split = Literal["train", "validation", "test"]
"""``train``: what text and training are about. ``validation``: what settings are chosen by. ``test``: for reports."""


@dataclass(frozen=True, slots=True)
class SignedSumWorld:
    """Numbers that must be added or subtracted so that they make a target, modulo a small odd number.

    To solve a problem is to search among all choices of signs; to check an answer is to compare its last sum with the
    target. Only problems that have a solution are asked.

    Example:
        >>> SignedSumWorld().problems("test")[0].question.count("=")
        1
    """

    seed: int = 0
    """Decides which problems are held out."""
    numbers: int = 4
    """How many there are in a problem, each between 1 and ``modulus - 1``."""
    modulus: int = 7
    """An odd number; sums and targets are between 0 and ``modulus - 1``."""
    validation: float = 0.05
    """Share of the problems on which settings are chosen."""
    test: float = 0.10
    """Share of the problems that are reported on; neither these nor those of ``validation`` stand in any text."""
    habits: Habits = field(default_factory=Habits)
    """How the authors of the text answer."""

    def __post_init__(self) -> None:
        require(self, "numbers", at_least=2, at_most=10)
        require(self, "modulus", at_least=3, at_most=99)
        require(self, "validation", "test", at_least=0, at_most=0.4)
        if self.modulus % 2 == 0:
            raise ValueError(f"modulus must be odd, not {self.modulus}: with an even one signs may not matter")
        if (size := size_of(self.numbers, self.modulus)) > MOST_SUMS:
            raise ValueError(
                f"{self.numbers} numbers modulo {self.modulus} make {size:,} sums, more than the {MOST_SUMS:,} that "
                "are held in memory; make numbers or modulus smaller"
            )

    @property
    def language(self) -> Language:
        """Its words."""
        return Language(self.modulus)

    @property
    def sums(self) -> Sums:
        """Its tables of sums."""
        return _sums(self.numbers, self.modulus)

    @property
    def fingerprint(self) -> str:
        """Hex digest of every setting."""
        return _fingerprint(self)

    @property
    def prompt_length(self) -> int:
        """Tokens of a problem."""
        return self.numbers + 1

    @property
    def attempt_length(self) -> int:
        """Most tokens of an attempt: a verdict, a chain and end-of-text. A first attempt needs no verdict."""
        return self.numbers + 2

    @property
    def episode_length(self) -> int:
        """Tokens of a problem with two attempts, both ends-of-text included."""
        return self.prompt_length + (self.numbers + 1) + 1 + self.attempt_length

    def problems(self, split: Split) -> tuple[Problem, ...]:
        """The problems of a split in random order.

        Raises:
            ValueError: the split has no problem.
        """
        return _problems(self)[_present(self, split)]

    def text(self, tokens: Tokens) -> str:
        """The words of ``tokens``, separated by spaces, end-of-text included; what the world lacks is unknown."""
        words = self.language.words
        return " ".join(words[token] if 0 <= token < len(words) else words[1] for token in tokens.tolist())

    def tokens(self, text: str) -> Tokens:
        """The tokens of words separated by white space; a word that the world lacks is unknown."""
        ids = _ids(self.modulus)
        return Tokens([ids.get(word, 1) for word in text.split()])

    def document(self, corpus: str, name: str, split: Split = "train") -> Document:
        """The document of this name, the same at every call: an episode about a problem of ``split``."""
        dice = Dice("signed sums", "document", self.fingerprint, split, corpus, name)
        row, target = dice.pick(_places(self)[_present(self, split)])
        author = Author(self.language, self.sums, self.habits)
        return Document(name, corpus, 0, Tokens(author.write(row, target, dice)))

    def cut(self, document: Document) -> Chunk:
        """The problem as the prefix; all that was written about it, up to end-of-text, as the suffix."""
        cut = self.prompt_length
        suffix = Tokens.join([document.tokens[cut:], Tokens([self.language.end])])
        return Chunk(document, document.tokens[:cut], suffix, cut)

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
                "the policy's tokenizer does not speak this world's language: write it by write_tokenizer(folder) of"
                f" a SignedSumWorld with modulus {self.modulus}"
            )


def _present(world: SignedSumWorld, split: Split) -> Split:
    """``split``, if it holds a problem."""
    if not _places(world)[split]:
        raise ValueError(f"the split {split!r} of this world holds no problem: raise its share, world.{split}")
    return split


@lru_cache(maxsize=16)
def _fingerprint(world: SignedSumWorld) -> str:
    return blake2b(repr(world).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=16)
def _sums(numbers: int, modulus: int) -> Sums:
    return make_sums(numbers, modulus)


@lru_cache(maxsize=16)
def _ids(modulus: int) -> dict[str, int]:
    return {word: index for index, word in enumerate(Language(modulus).words)}


@lru_cache(maxsize=16)
def _places(world: SignedSumWorld) -> dict[Split, list[tuple[int, int]]]:
    """The problems of each split, as row of the tables and target, in keyed order."""
    sums = world.sums
    rows, targets = (found.tolist() for found in np.nonzero(sums.solutions))
    draws = [
        (rng.uniform("signed sums", "split", world.seed, *sums.numbers[row].tolist(), target), row, target)
        for row, target in zip(rows, targets, strict=True)
    ]
    ordered = sorted(draws)
    held_out = world.validation + world.test
    return {
        "validation": [(row, target) for draw, row, target in ordered if draw < world.validation],
        "test": [(row, target) for draw, row, target in ordered if world.validation <= draw < held_out],
        "train": [(row, target) for draw, row, target in ordered if draw >= held_out],
    }


@lru_cache(maxsize=16)
def _problems(world: SignedSumWorld) -> dict[Split, tuple[Problem, ...]]:
    return {split: tuple(_problem(world, *place) for place in places) for split, places in _places(world).items()}


def _problem(world: SignedSumWorld, row: int, target: int) -> Problem:
    key = Key(tuple(world.sums.numbers[row].tolist()), target, world.modulus)
    solutions = str(world.sums.solutions[row, target])
    return Problem(str(key), key.question, str(key), (("solutions", solutions),))
