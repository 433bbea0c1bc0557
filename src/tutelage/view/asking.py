"""The words of a request: taken as numbers and names of what is there, refused otherwise."""

import math
from collections.abc import Sequence

from starlette.datastructures import QueryParams

from tutelage.view.search import BadQuery, Query
from tutelage.view.watching import WatchedRun

LONGEST = 1_000
"""Characters of a text that may be searched for."""


class Asked:
    """One request's parameters."""

    def __init__(self, words: QueryParams, runs: Sequence[WatchedRun]) -> None:
        self._words = words
        self._runs = runs

    def text(self, name: str) -> str:
        """A text; empty if it was not given.

        Raises:
            BadQuery: it is too long.
        """
        text = self._words.get(name, "")
        if len(text) > LONGEST:
            raise BadQuery(f"{name} has {len(text)} characters, at most {LONGEST} can be looked for")
        return text

    def number(self, name: str) -> int:
        """A whole number.

        Raises:
            BadQuery: it is missing or none.
        """
        text = self._words.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise BadQuery(f"{name} must be a whole number")
        return int(text)

    def bound(self, name: str) -> float | None:
        """A finite number, or ``None`` where none was given.

        Raises:
            BadQuery: it is something else.
        """
        text = self.text(name).strip()
        try:
            value = float(text) if text else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise BadQuery(f"{name} must be a number")
        return value

    def run(self) -> WatchedRun:
        """The run that is meant.

        Raises:
            BadQuery: there is no such run.
        """
        return self._runs[self._known(self.number("run"))]

    def runs(self) -> list[int]:
        """The numbers of the runs that are meant, by ``run`` given several times.

        Raises:
            BadQuery: one is no number of a run.
        """
        given = self._words.getlist("run")
        if not all(word.isascii() and word.isdigit() and len(word) < 6 for word in given):
            raise BadQuery("run must be a whole number")
        return [self._known(int(word)) for word in dict.fromkeys(given)]

    def _known(self, number: int) -> int:
        if number >= len(self._runs):
            raise BadQuery(f"there is no run {number}; there are {len(self._runs)}")
        return number

    def step(self) -> int:
        """The step that is meant."""
        return self.number("step")

    def key(self) -> str:
        """The key of the pool that is meant."""
        return self.text("pool")

    def whole(self) -> bool:
        """Whether texts are wanted at full length."""
        return self.text("whole") == "yes"


def asked_query(asked: Asked) -> Query:
    """What is searched for.

    Raises:
        BadQuery: a bound is no number.
    """
    return Query(
        text=asked.text("text"),
        source=asked.text("source"),
        role=asked.text("role"),
        document=asked.text("document"),
        axis=asked.text("axis"),
        low=asked.bound("low"),
        high=asked.bound("high"),
        abstained=asked.text("abstained") == "yes",
        first=asked.number("first") if asked.text("first") else None,
    )
