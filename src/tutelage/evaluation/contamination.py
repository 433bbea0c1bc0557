"""How much of what a policy reads stands in what it is evaluated on: shared word n-grams, set by set."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tutelage.evaluation.items import MissingSet
from tutelage.evaluation.local_tasks import LOCAL, questions_of
from tutelage.evaluation.sets import BEGINNINGS, CHOICES, PRIMER, load_beginnings, load_choices

LENGTH = 13
"""Words of an n-gram, as is usual since GPT-3 (2005.14165 App. C)."""
EVERY = 10**9
"""Items: all that a set has."""

Grams = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class SharedGrams:
    """What texts share with one evaluation set."""

    texts: int
    """Texts that were looked at."""
    sharing: int
    """Those that share at least one n-gram."""
    items: int
    """Items of the set with at least one n-gram."""
    met: int
    """Those of which some text has one."""


class Overlap:
    """Counts, for every evaluation set, texts that share an n-gram with it and items that were met."""

    def __init__(self, sets: Mapping[str, Sequence[str]], length: int = LENGTH) -> None:
        self._length = length
        self._owners: dict[bytes, list[tuple[str, int]]] = {}
        self._items = dict.fromkeys(sets, 0)
        for name, texts in sets.items():
            for number, text in enumerate(texts):
                grams = ngrams(text, length)
                self._items[name] += bool(grams)
                for gram in grams:
                    self._owners.setdefault(gram, []).append((name, number))
        self._begin()

    def _begin(self) -> None:
        self._met: dict[str, set[int]] = {name: set() for name in self._items}
        self._sharing = dict.fromkeys(self._items, 0)
        self._texts = 0

    def afresh(self) -> "Overlap":
        """The same sets, with nothing counted yet."""
        other = copy(self)
        other._begin()
        return other

    def add(self, text: str) -> frozenset[str]:
        """Count one more text; the sets that it shares something with."""
        owners = [owner for gram in ngrams(text, self._length) for owner in self._owners.get(gram, ())]
        for name, number in owners:
            self._met[name].add(number)
        names = frozenset(name for name, _ in owners)
        for name in names:
            self._sharing[name] += 1
        self._texts += 1
        return names

    def found(self) -> dict[str, SharedGrams]:
        """What was counted so far, by set."""
        return {
            name: SharedGrams(self._texts, self._sharing[name], self._items[name], len(self._met[name]))
            for name in self._items
        }


def ngrams(text: str, length: int) -> Grams:
    """Digests of the runs of ``length`` words; case and punctuation do not count. None in a shorter text."""
    words = re.findall(r"\w+", text.lower())
    runs = (" ".join(words[i : i + length]) for i in range(len(words) - length + 1))
    return frozenset(blake2b(run.encode(), digest_size=8).digest() for run in runs)


def evaluation_texts(data: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """(the texts of every evaluation set under ``data``, why the others are not there)."""
    found: dict[str, list[str]] = {}
    missing: dict[str, str] = {}
    for name in (*BEGINNINGS, *CHOICES, *LOCAL):
        try:
            found[name] = list(_texts(name, data))
        except MissingSet as error:
            missing[name] = str(error)
    return found, missing


def _texts(name: str, data: Path) -> Iterator[str]:
    """The items of a set with their right answers, without the examples that stand before every one of them."""
    if name in LOCAL:
        for one in questions_of(name, data):
            yield f"{one.query.rpartition(chr(10) * 2)[2]} {one.choices[one.gold]}"
    elif name in BEGINNINGS:
        for item in load_beginnings(name, data, EVERY, 0):
            yield f"{item.text} {item.reference}"
    else:
        for item in load_choices(name, data, EVERY, 0):
            yield f"{item.text.removeprefix(PRIMER)} {item.answers[item.right.index(True)]}"
