"""Labels for texts that nobody labelled: what a judge says of them every time that it is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tutelage.protocols import Judge
from tutelage.types import Abstained, Chunk, Pool, Scored, Suffix, Verdict

SEEDS = 8
"""How often the paper asks [P B.1]."""


@dataclass(frozen=True, slots=True)
class Divided:
    """Verdicts on one text that do not all say the same."""

    good: int
    verdicts: int

    @property
    def reason(self) -> str:
        """In words."""
        return f"{self.good} of {self.verdicts} verdicts are good: not unanimous"


Label = bool | Divided | Abstained
"""Good or bad, or why there is no label."""


def unanimous(verdicts: Sequence[Verdict]) -> Label:
    """What all of a judge's verdicts on one text say: good where each is above ½, bad where each is below.

    Raises:
        ValueError: there are no verdicts.
    """
    if not verdicts:
        raise ValueError("a label needs at least one verdict")
    silent = next((one for one in verdicts if isinstance(one, Abstained)), None)
    if silent is not None:
        return silent
    values = [one.value for one in verdicts if isinstance(one, Scored)]
    if all(value > 0.5 for value in values):
        return True
    if all(value < 0.5 for value in values):
        return False
    return Divided(sum(value > 0.5 for value in values), len(values))


def label_suffixes(chunks: Sequence[Chunk], judges: Sequence[Judge], axis: str) -> list[Label]:
    """The unanimous verdict on every suffix; ``judges`` are the same judge with a seed each.

    Raises:
        ValueError: a judge says nothing on ``axis``, or only compares.
    """
    pools = [Pool(chunk, (Suffix(chunk.suffix),)) for chunk in chunks]
    said: list[list[Verdict]] = [[] for _ in chunks]
    for judge in judges:
        for mine, judgements in zip(said, judge.judge(pools), strict=True):
            found = next((one for one in judgements if one.axis == axis), None)
            if found is None:
                known = ", ".join(one.axis for one in judgements) or "nothing"
                raise ValueError(f"the judge says nothing on {axis!r}; it judges {known}")
            if isinstance(found.verdicts[0], Abstained) and not found.verdicts[0].asked:
                raise ValueError(
                    f"the judge of {axis!r} only compares, and a label is about one text: name one that scores each "
                    "text by itself"
                )
            mine.append(found.verdicts[0])
    return [unanimous(verdicts) for verdicts in said]


@dataclass(frozen=True, slots=True)
class WordList:
    """Words and phrases by which a document is suspected, matched whole and whatever their case."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("the list of words is empty: every document would pass")

    @classmethod
    def read(cls, path: Path) -> "WordList":
        """One word or phrase a line; empty lines count for nothing.

        Raises:
            ValueError: there is no such file, or nothing in it.
        """
        if not path.is_file():
            raise ValueError(f"there is no file {path} with a word a line")
        return cls(tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()))

    def found(self, text: str) -> list[str]:
        """Those of the words that ``text`` has, as often as it has them."""
        return [match.lower() for match in _pattern(self.words).findall(text)]


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Longest first, so that a phrase is found before the word that it begins with."""
    spelt = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{spelt})(?!\w)", re.IGNORECASE)
