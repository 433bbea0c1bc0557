"""What the phases of a run read, documents or problems: each opened once, and where reading stands."""

from collections.abc import Iterable

from tutelage.correction import Correction, ProblemReader
from tutelage.protocols import Codec, Cursor, Stream, StreamSpec
from tutelage.run import Run


class Corpora:
    """The streams that a run's phases read, and the problems."""

    def __init__(self, run: Run, codec: Codec) -> None:
        self._run = run
        self._codec = codec
        self._streams: dict[int | None, Stream] = {}
        self._problems: dict[int, ProblemReader] = {}
        self._told: dict[str, int] = {}
        self.cursor: Cursor | None = None
        """Behind what the last step learnt from."""
        self.run_cursor: Cursor | None = None
        """The same of the run's own stream, while a phase reads another."""
        self.problem_cursors: dict[int, Cursor] = {}
        """The same of problems, by the number of the first phase that reads them."""

    def spec(self, phase: int) -> StreamSpec:
        """Which documents the phase of this number reads."""
        return self._run.phases[phase].stream or self._run.stream

    def open(self, phase: int) -> Stream | ProblemReader:
        """What a phase reads; opened if it is the first to read it."""
        task = self._run.phases[phase].task
        return self.problems(phase) if isinstance(task, Correction) else self.documents(phase)

    def documents(self, phase: int) -> Stream:
        """The stream of a phase whose task takes documents."""
        key = self._key(phase)
        if key not in self._streams:
            self._streams[key] = self.spec(phase).build(self._run.seed, self._codec, self._run.split)
        return self._streams[key]

    def problems(self, phase: int) -> ProblemReader:
        """The problems of a phase whose task is to correct; phases that ask the same ones alike share them.

        Raises:
            ValueError: none of them can be used.
        """
        task, key = self._run.phases[phase].task, self._key(phase)
        assert isinstance(task, Correction) and key is not None
        if key not in self._problems:
            self._problems[key] = task.open(self._run.seed, self._codec)
        return self._problems[key]

    def begin(self, phase: int, *, anew: bool) -> Cursor:
        """Where a phase reads on, which is ``anew`` where it has made no step yet.

        A phase with documents of its own starts at their beginning; the others read on where the last of them ended.
        """
        reader, key = self.open(phase), self._key(phase)
        if self.cursor is None or anew:
            known = self.run_cursor if key is None else self.problem_cursors.get(key)
            self.cursor = known or reader.start()
        return self.cursor

    def advance(self, phase: int, cursor: Cursor) -> None:
        """A step of a phase took what stands before ``cursor``."""
        self.cursor = cursor
        key = self._key(phase)
        if key is None:
            self.run_cursor = cursor
        elif isinstance(self._run.phases[phase].task, Correction):
            self.problem_cursors[key] = cursor

    def fingerprints(self) -> dict[str, str]:
        """Of the tokenizer and of all documents and problems that were opened so far."""
        names = {key: "corpus" if key is None else f"corpus of phase {key}" for key in self._streams}
        corpora = {names[key]: stream.fingerprint for key, stream in self._streams.items()}
        problems = {f"problems of phase {key}": reader.fingerprint for key, reader in self._problems.items()}
        opened = [(i, p.task) for i, p in enumerate(self._run.phases) if self._key(i) in self._problems]
        attempts = {
            f"first attempts of phase {i}": task.first_attempts.fingerprint
            for i, task in opened
            if isinstance(task, Correction) and task.first_attempts is not None
        }
        return {"tokenizer": self._codec.fingerprint, **corpora, **problems, **attempts}

    def counts(self) -> dict[str, int]:
        """What was passed over in this process so far: broken rows and the like, each over zero."""
        readers = (*self._streams.values(), *self._problems.values())
        return _sum(count for reader in readers for count in reader.counts().items())

    def news(self) -> dict[str, int] | None:
        """``counts`` where they changed since this was last asked, else nothing."""
        counts = self.counts()
        if counts == self._told:
            return None
        self._told = counts
        return counts

    def _key(self, phase: int) -> int | None:
        """``None`` for the run's own documents, else the number of the first phase that reads the same."""
        phases = self._run.phases
        task = phases[phase].task
        if not isinstance(task, Correction):
            return None if phases[phase].stream is None else phase
        return next(i for i, p in enumerate(phases) if isinstance(p.task, Correction) and p.task.asks_like(task))


def _sum(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, count in counts:
        totals[name] = totals.get(name, 0) + count
    return {name: count for name, count in totals.items() if count}
