"""Rewriting on many machines by Ray Data: one actor a worker, one part a call, all servers shared by all workers.

The table's folder must be one that all workers see, and the package must be installed where they run. A worker writes
its parts itself, so that nothing that it finished depends on anybody who may die; Ray gives what it had not finished to
another. This process reads the corpus once before, to find where every part begins.
"""

import importlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.bulk.local import Watch, claimed_rank
from tutelage.bulk.settings import Bulk, BulkFailed, Extent
from tutelage.bulk.status import BulkStatus, Start, status_of
from tutelage.bulk.surveying import survey
from tutelage.bulk.work import Workbench, finished, read_task, set_up, write_part
from tutelage.config import dump_yaml, from_plain, parse_yaml, to_plain
from tutelage.config.mapping import exchanged
from tutelage.endpoints import LEDGER, Endpoint
from tutelage.protocols import Cursor
from tutelage.record import from_json, to_json
from tutelage.rewrites import Part, append_part, finished_parts, part_file, write_header

EVERY_S = 5.0
"""How often it is told how far it is."""
BLOCKS = 1000
"""Most pieces that the list of parts is cut into; what a dead worker held of one is looked through again."""


def require_ray() -> Any:
    """The library.

    Raises:
        BulkFailed: it is not installed.
    """
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError as error:
        raise BulkFailed(f"--ray needs the library of that name ({error}): pip install 'tutelage[ray]'") from error


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs to know; plain values, for they go to other machines."""

    settings: str
    """The ``Bulk``, as YAML."""
    table: str
    documents: int | None
    retry_failed: bool
    max_failed: float
    workers: int
    imports: tuple[str, ...] = ()

    @property
    def bulk(self) -> Bulk:
        """What is rewritten."""
        return from_plain(Bulk, parse_yaml(self.settings), imports=self.imports)

    @property
    def extent(self) -> Extent:
        """How much of it."""
        return Extent(self.documents, self.retry_failed, self.max_failed)


def assign(bulk: Bulk, table: Path, extent: Extent, workers: int, imports: tuple[str, ...] = ()) -> Assignment:
    """What every worker is told; each asks a server for its share of what the server bears."""

    def shared(part: Any) -> Any:
        if not isinstance(part, Endpoint):
            return part
        most = max(1, math.ceil(part.requests.concurrency / workers))
        return replace(part, requests=replace(part.requests, concurrency=most))

    settings = dump_yaml(to_plain(replace(bulk, rewriter=exchanged(bulk.rewriter, shared))))
    given = (extent.documents, extent.retry_failed, extent.max_failed)
    return Assignment(settings, str(table.absolute()), *given, workers, imports)


class PartWorker:
    """An actor: writes the parts that it is given, one after the other."""

    def __init__(self, assignment: Assignment) -> None:
        self._table, self._extent = Path(assignment.table), assignment.extent
        self._claim = claimed_rank(self._table, assignment.workers)
        self._rank = self._claim.__enter__()
        LEDGER.open(self._table, self._rank, assignment.workers)
        self._bench: Workbench = set_up(assignment.bulk, self._table, self._extent)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Write the parts of a batch of ``number``, ``before`` and ``documents``, and say which they were."""
        given = zip(batch["number"], batch["before"], batch["documents"], strict=True)
        written = [self.write(int(n), from_json(json.loads(str(before))), int(most)) for n, before, most in given]
        return {"number": np.array([part.number for part in written])}

    def write(self, number: int, before: Cursor, documents: int) -> Part:
        """Write one part, unless somebody has; what died before its line was written is written again."""
        there = part_file(self._table, number).exists()  # or nobody need look through the manifests
        known = finished(finished_parts(self._table), number, before) if there else None
        if known is not None and not (self._extent.retry_failed and known.failed):
            return known
        task = read_task(self._bench, number, before, self._extent, documents, known)
        part = write_part(self._bench, task, self._extent.max_failed)
        append_part(self._table, self._rank, part)
        LEDGER.save()
        return part

    def close(self) -> None:
        """Give up the place at the table."""
        self._claim.__exit__(None, None, None)


def rewrite_on_ray(
    bulk: Bulk,
    table: Path,
    extent: Extent,
    *,
    address: str,
    workers: int,
    imports: tuple[str, ...] = (),
    watch: Watch = lambda _: None,
) -> BulkStatus:
    """Write what the table lacks of ``extent`` by ``workers`` actors of the Ray at ``address``; ``local`` starts one.

    Raises:
        TableError: the table was begun with something else.
        BulkFailed: Ray is missing or not at that address, or a worker failed; says how.
    """
    ray = require_ray()
    _connect(ray, address)
    LEDGER.open(table, 0, workers)
    bench = set_up(bulk, table, extent)
    write_header(table, bench.header)
    before = finished_parts(table)
    spans = list(survey(bench, extent, before))
    there = [finished(before, number, span[0]) for number, span in enumerate(spans)]
    left = [n for n, part in enumerate(there) if part is None or (extent.retry_failed and part.failed)]

    start = Start.now(bench, before, 1.0 - len(left) / max(len(spans), 1))

    def status(done: int) -> BulkStatus:
        LEDGER.open(table, 0, workers)  # the workers' accounts are in files
        share = 1.0 if not spans else (len(spans) - len(left) + done) / len(spans)
        return status_of(bench, finished_parts(table), start, share)

    if left:
        items = [_item(number, *spans[number]) for number in left]
        assignment = assign(bulk, table, extent, workers, imports)
        told = time.monotonic()
        for number, _ in enumerate(_results(ray, items, assignment), start=1):
            if time.monotonic() > told + EVERY_S:  # every status reads the manifests
                told = time.monotonic()
                watch(status(number))
    return status(len(left))


def _connect(ray: Any, address: str) -> None:
    """Reach Ray before anything is read.

    Raises:
        BulkFailed: nobody answers there.
    """
    try:
        ray.init(address=None if address == "local" else address, ignore_reinit_error=True, log_to_driver=False)
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BulkFailed(
            f"there is no Ray at {address!r} ({told}): start one by ray start --head and name the address that it "
            "tells by --ray, or start one for this command alone by --ray local"
        ) from error


def _item(number: int, before: Cursor, after: Cursor) -> dict[str, Any]:
    """A part as a worker is given it."""
    return {"number": number, "before": json.dumps(to_json(before)), "documents": after.taken - before.taken}


def _results(ray: Any, items: list[dict[str, Any]], assignment: Assignment) -> Iterator[Any]:
    """Rows of Ray Data as parts are finished.

    Raises:
        BulkFailed: a worker failed; what it said stands in the message.
    """
    listed = ray.data.from_items(items, override_num_blocks=min(len(items), BLOCKS))
    written = listed.map_batches(
        PartWorker,
        fn_constructor_kwargs={"assignment": assignment},
        batch_size=1,
        concurrency=assignment.workers,
        num_cpus=1,
    )
    try:
        yield from written.iter_rows()
    except Exception as error:
        cause: BaseException = error
        while (inner := getattr(cause, "cause", None) or cause.__cause__) is not None:
            cause = inner
        raise BulkFailed(f"a worker failed: {cause}. What was finished is kept; the same command goes on") from error
