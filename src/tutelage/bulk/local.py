"""Rewriting on one machine: documents are read ahead, parts are in progress, and their prompts share the servers."""

import fcntl
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from tutelage.bulk.settings import Bulk, BulkFailed, Extent
from tutelage.bulk.status import BulkStatus, Start, roles_of, share_done, status_of
from tutelage.bulk.work import Task, Workbench, finished, is_over, set_up, tasks, write_part
from tutelage.endpoints import LEDGER, forget
from tutelage.record import writing
from tutelage.rewrites import Part, append_part, finished_parts, write_header

Watch = Callable[[BulkStatus], None]


def rewrite_corpus(
    bulk: Bulk,
    table: Path,
    extent: Extent,
    *,
    in_flight: int | None = None,
    watch: Watch = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> BulkStatus:
    """Write what the table lacks of ``extent``.

    Args:
        bulk: what is rewritten, by whom.
        table: folder of the table, begun already or not.
        extent: how much of it.
        in_flight: parts in progress; with servers 3, so that they are not idle while a part waits for its slowest
            rewrite, else 1.
        watch: told how far it is, about once a second.
        stopped: asked now and then; once it says yes, the parts in progress are finished and no other is begun.

    Raises:
        TableError: the table was begun with something else.
        BulkFailed: too many rewrites of a part failed.
        FatalForRun: nothing can be asked: the key, the model, a cap.
    """
    with claimed_rank(table, 1) as rank:
        LEDGER.open(table, rank, 1)
        bench = set_up(bulk, table, extent)
        write_header(table, bench.header)
        done = finished_parts(table)
        pace = _Pace(bench, extent, done)
        most = in_flight or (3 if roles_of(bench) else 1)
        with ThreadPoolExecutor(most, "rewrite") as threads:
            try:
                for part in _written(bench, extent, done, threads, most, stopped, lambda: watch(pace.now())):
                    append_part(table, rank, part)
                    LEDGER.save()
                    pace.add(part)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                forget()  # calls back what is out, or the threads would wait for it
                raise
            finally:
                LEDGER.save()
        watch(pace.now())
        return pace.now()


def _written(
    bench: Workbench,
    extent: Extent,
    done: Mapping[int, Part],
    threads: ThreadPoolExecutor,
    most: int,
    stopped: Callable[[], bool],
    tick: Callable[[], None],
) -> Iterator[Part]:
    """Parts as they are written."""
    waiting: Iterator[Task] = tasks(bench, done, extent)
    pending: set[Future[Part]] = set()
    while True:
        while len(pending) < most and not stopped() and (task := next(waiting, None)) is not None:
            pending.add(threads.submit(write_part, bench, task, extent.max_failed))
        if not pending:
            return
        ready, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in ready:
            yield future.result()
        tick()


class _Pace:
    """Turns finished parts into how far it is."""

    def __init__(self, bench: Workbench, extent: Extent, done: Mapping[int, Part]) -> None:
        self._bench = bench
        self._extent = extent
        self._done = dict(done)
        self._cursor, self._number = bench.stream.start(), 0
        self._start = Start.now(bench, done, self._share() or 0.0)

    def add(self, part: Part) -> None:
        """A part is finished."""
        self._done[part.number] = part

    def now(self) -> BulkStatus:
        """The status."""
        return status_of(self._bench, self._done, self._start, self._share())

    def _share(self) -> float | None:
        """Of the parts without a gap before them."""
        while (part := finished(self._done, self._number, self._cursor)) is not None:
            self._cursor, self._number = part.after, self._number + 1
        if is_over(self._cursor, self._bench.bulk, self._extent):
            return 1.0
        return share_done(self._bench, self._extent, self._cursor)


@contextmanager
def claimed_rank(table: Path, size: int) -> Generator[int]:
    """Take one of ``size`` places at a table for this process: each has a manifest and an account of its own.

    Raises:
        BulkFailed: other processes have them all.
        WriteFailed: nothing can be written there.
    """
    with writing(table):
        table.mkdir(parents=True, exist_ok=True)
    for rank in range(size):
        with (table / f".rank-{rank:04d}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield rank
            return
    raise BulkFailed(f"another process is writing into {table}: wait for it, or name another folder")
