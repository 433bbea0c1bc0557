"""Thoughts inside a text: the tags that they stand between, and how they are put in and taken out again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.protocols import Codec
from tutelage.types import Tokens

SHOWN = 20
"""Characters of a text around a place that a message cites."""


class ThoughtError(ValueError):
    """A text whose thoughts cannot be told from what its author wrote."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What stands before and behind a thought, as text; whether that is one token or several is the tokenizer's affair.

    Example:
        >>> Tags().without("2 + 3 + 4<think>5 and 4</think> = 9")
        '2 + 3 + 4 = 9'
    """

    opening: str = "<think>"
    """Of a tokenizer in whole words, with the space that the word carries."""
    closing: str = "</think>"

    def __post_init__(self) -> None:
        if not self.opening or not self.closing or self.opening in self.closing or self.closing in self.opening:
            raise ThoughtError(
                f"the tags are {self.opening!r} and {self.closing!r}: neither may be empty or stand inside the other"
            )

    def wrap(self, thought: str) -> str:
        """A thought between its tags."""
        return f"{self.opening}{thought}{self.closing}"

    def spelled_in(self, text: str) -> bool:
        """Whether a tag stands in ``text``."""
        return self.opening in text or self.closing in text

    def parts(self, text: str) -> tuple[str, ...]:
        """What the author wrote and what was thought, in turn: an odd number of texts, the author's first.

        Raises:
            ThoughtError: a tag without its other half, or a thought inside a thought; says where.
        """
        found = re.split(f"{re.escape(self.opening)}(.*?){re.escape(self.closing)}", text, flags=re.DOTALL)
        at = 0
        for i, part in enumerate(found):
            if self.spelled_in(part):
                raise ThoughtError(f"a tag without its other half, or a thought inside a thought, at character {at}")
            at += len(self.wrap(part) if i % 2 else part)
        return tuple(found)

    def without(self, text: str) -> str:
        """What the author wrote.

        Raises:
            ThoughtError: as ``parts``.
        """
        return "".join(self.parts(text)[::2])

    def insert(self, text: str, thoughts: Mapping[int, str]) -> str:
        """``text`` with a thought before each of these characters.

        Raises:
            ThoughtError: taking the thoughts out again would not give ``text``: one of them, or the text itself,
                spells a tag.
        """
        found, last = "", 0
        for place in sorted(thoughts):
            found += text[last:place] + self.wrap(thoughts[place])
            last = place
        found += text[last:]
        require_same(text, self.without(found))
        return found


def first_difference(text: str, other: str) -> int:
    """The first character in which two texts differ; the length of the shorter where it begins the longer."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((i for i, (one, two) in pairs if one != two), min(len(text), len(other)))


def require_same(text: str, found: str) -> None:
    """Refuse thoughts that change the text.

    Raises:
        ThoughtError: says where ``found`` first differs from ``text``, and how.
    """
    if found == text:
        return
    at = first_difference(text, found)
    was, became = text[at : at + SHOWN], found[at : at + SHOWN]
    raise ThoughtError(f"the thoughts change the text: from character {at} on, {was!r} became {became!r}")


def end_of_thought(codec: Codec, tags: Tags, tokens: Tokens) -> int | None:
    """Tokens up to the end of the first closing tag; ``None`` where there is none."""
    if tags.closing not in codec.decode(tokens):
        return None
    low, high = 1, len(tokens)
    while low < high:
        middle = (low + high) // 2
        if tags.closing in codec.decode(tokens[:middle]):
            high = middle
        else:
            low = middle + 1
    return low
