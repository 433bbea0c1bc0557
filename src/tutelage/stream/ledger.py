"""What went wrong with rows, and how much of it is borne."""

import logging
from collections import Counter
from collections.abc import Mapping

from tutelage.stream.rows import Broken
from tutelage.stream.settings import StreamError

_log = logging.getLogger(__name__)


class Ledger:
    """Counts events of one process. A broken row counts once, however often it is read.

    The first broken row of each file is logged as a warning, unless ``warns`` is off.
    """

    def __init__(self, max_broken: int, strict: bool, *, warns: bool = True) -> None:
        self._max_broken, self._strict, self._warns = max_broken, strict, warns
        self._broken: dict[str, str] = {}
        self._warned: set[str] = set()
        self._events: Counter[str] = Counter()

    def broken(self, row: Broken) -> None:
        """Take down a broken row.

        Raises:
            StreamError: at the first if strict, else past ``max_broken``; it names the row's file and line.
        """
        if row.place in self._broken:
            return
        self._broken[row.place] = row.reason
        if self._strict:
            raise StreamError(f"{row.place}: {row.reason} (strict is on; without it up to max_broken are borne)")
        if len(self._broken) > self._max_broken:
            raise StreamError(
                f"{len(self._broken)} broken rows, which is more than max_broken allows; "
                f"the last is {row.place}: {row.reason}"
            )
        file = row.place.rpartition(":")[0]
        if self._warns and file not in self._warned:
            self._warned.add(file)
            _log.warning("%s: %s (a broken row is passed over and counted)", row.place, row.reason)

    def event(self, name: str, count: int = 1) -> None:
        """Take down an event of another kind."""
        self._events[name] += count

    @property
    def places(self) -> tuple[str, ...]:
        """Every broken row as ``file:line: reason``."""
        return tuple(f"{place}: {reason}" for place, reason in self._broken.items())

    def counts(self) -> Mapping[str, int]:
        """All events so far."""
        return {"broken_rows": len(self._broken), **self._events}
