"""Every word of a world of steps, and the chains that its text is about.

A text defines one name after the other and then states the last one's value: ``a 3 b +4 c *2 so c 0 .`` says that a
is 3, b is a + 4, c is b * 2, all modulo 7, so that c is 0. What b is stands nowhere.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

from tutelage.thoughts import Tags
from tutelage.worlds.words import END_OF_TEXT, UNKNOWN

TAGS = Tags(" <think>", " </think>")
"""Words of this world, each with the space that it carries."""
SO = "so"
STOP = "."

_RESULT = re.compile(r"so ([a-z]) (\d{1,2}) \.")


@dataclass(frozen=True)
class Language:
    """The words of chains of ``names`` names modulo ``modulus``."""

    modulus: int
    names: int

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The word of every id."""
        numbers = map(str, range(self.modulus))
        tags = TAGS.opening.strip(), TAGS.closing.strip()
        return (END_OF_TEXT, UNKNOWN, *ascii_lowercase[: self.names], *numbers, *self.operations, SO, STOP, *tags)

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """Every way to make a value of another: no step leaves all values as they are, or makes them equal."""
        added = (f"+{number}" for number in range(1, self.modulus))
        return (*added, *(f"*{number}" for number in range(2, self.modulus)))


@dataclass(frozen=True, slots=True)
class Chain:
    """What one text is about.

    Example:
        >>> Chain(("a", "b", "c"), 3, ("+4", "*2"), 7).text
        ' a 3 b +4 c *2 so c 0 .'
    """

    names: tuple[str, ...]
    start: int
    operations: tuple[str, ...]
    modulus: int

    @property
    def values(self) -> tuple[int, ...]:
        """What every name stands for, in order."""
        found = [self.start]
        for operation in self.operations:
            number = int(operation[1:])
            found.append((found[-1] + number if operation[0] == "+" else found[-1] * number) % self.modulus)
        return tuple(found)

    @property
    def question(self) -> str:
        """The definitions."""
        words = (str(self.start), *self.operations)
        return "".join(f" {name} {word}" for name, word in zip(self.names, words, strict=True))

    @property
    def result(self) -> str:
        """What the text says after them."""
        return f" {SO} {self.names[-1]} {self.values[-1]} {STOP}"

    @property
    def text(self) -> str:
        """All of it."""
        return self.question + self.result


def result_of(text: str) -> tuple[str, int] | None:
    """The name and the value that ``text`` states, thoughts left out; ``None`` where it states none.

    A thought that does not end hides all behind it.
    """
    spoken = text.rpartition(TAGS.closing)[2] if TAGS.closing in text else text
    found = None if TAGS.opening in spoken else _RESULT.search(spoken)
    return None if found is None else (found[1], int(found[2]))
