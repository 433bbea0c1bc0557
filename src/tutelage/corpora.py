"""The documents of a run: its own stream and those of single phases, each opened once, and where reading stands."""

from collections.abc import Iterable

from tutelage.protocols import Codec, Cursor, Stream, StreamSpec
from tutelage.run import Run


class Corpora:
    """The streams that a run's phases read."""

    def __init__(self, run: Run, codec: Codec) -> None:
        self._run = run
        self._codec = codec
        self._streams: dict[int | None, Stream] = {}
        self._told: dict[str, int] = {}
        self.cursor: Cursor | None = None
        """Behind what the last step learnt from."""
        self.run_cursor: Cursor | None = None
        """The same of the run's own stream, while a phase reads another."""

    def spec(self, phase: int) -> StreamSpec:
        """What the phase of this number reads."""
        return self._run.phases[phase].stream or self._run.stream

    def open(self, phase: int) -> Stream:
        """The stream of a phase; opened if it is the first to read it."""
        key = self._key(phase)
        if key not in self._streams:
            self._streams[key] = self.spec(phase).build(self._run.seed, self._codec, self._run.split)
        return self._streams[key]

    def begin(self, phase: int, *, anew: bool) -> Cursor:
        """Where a phase reads on, which is ``anew`` where it has made no step yet.

        A phase with documents of its own starts at their beginning; the others read on where the last of them ended.
        """
        stream = self.open(phase)
        if self.cursor is None or anew:
            known = self.run_cursor if self._key(phase) is None else None
            self.cursor = known or stream.start()
        return self.cursor

    def advance(self, phase: int, cursor: Cursor) -> None:
        """A step of a phase took the documents up to ``cursor``."""
        self.cursor = cursor
        if self._key(phase) is None:
            self.run_cursor = cursor

    def fingerprints(self) -> dict[str, str]:
        """Of the tokenizer and of every corpus that was opened so far."""
        names = {key: "corpus" if key is None else f"corpus of phase {key}" for key in self._streams}
        corpora = {names[key]: stream.fingerprint for key, stream in self._streams.items()}
        return {"tokenizer": self._codec.fingerprint, **corpora}

    def counts(self) -> dict[str, int]:
        """What the streams passed over in this process so far: broken rows and the like, each over zero."""
        return _sum(count for stream in self._streams.values() for count in stream.counts().items())

    def news(self) -> dict[str, int] | None:
        """``counts`` where they changed since this was last asked, else nothing."""
        counts = self.counts()
        if counts == self._told:
            return None
        self._told = counts
        return counts

    def _key(self, phase: int) -> int | None:
        return None if self._run.phases[phase].stream is None else phase


def _sum(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, count in counts:
        totals[name] = totals.get(name, 0) + count
    return {name: count for name, count in totals.items() if count}
