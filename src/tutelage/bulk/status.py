"""How far the rewriting of a corpus is: documents, failures, time to go, and what it costs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tutelage.bulk.settings import Extent
from tutelage.bulk.work import Workbench
from tutelage.config.mapping import parts_of
from tutelage.endpoints import LEDGER, Endpoint
from tutelage.protocols import Cursor
from tutelage.rewrites import Part
from tutelage.stream import TextReader
from tutelage.thinking import WholeReader


@dataclass(frozen=True, slots=True)
class BulkStatus:
    """Where it stands."""

    documents: int
    rows: int
    failed: int
    share: float | None
    """How much is done, in [0, 1]; ``None`` where nothing tells."""
    begun_at: float
    """Share that was done when this process began."""
    elapsed: float
    """Seconds since then."""
    new_documents: int
    """Documents of this process."""
    tokens: float
    """Read and written by servers, over all processes that worked at the table."""
    cost: float
    """Of those."""
    cost_begun: float
    """The same when this process began."""
    passed_over: Mapping[str, int] = field(default_factory=dict[str, int])
    """What this process met and did not read: broken rows, documents too short to cut, duplicates."""

    @property
    def eta(self) -> float | None:
        """Seconds to go, by the pace of this process."""
        gained = (self.share or 0.0) - self.begun_at
        return (1.0 - self.share) * self.elapsed / gained if self.share is not None and gained > 0 else None

    @property
    def final_cost(self) -> float | None:
        """What it will have cost in the end, by what this process spent."""
        gained = (self.share or 0.0) - self.begun_at
        if self.share is None or gained <= 0:
            return None
        return self.cost + (self.cost - self.cost_begun) / gained * (1.0 - self.share)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a process began."""

    when: float
    """Seconds of the monotonic clock."""
    documents: int
    cost: float
    share: float

    @classmethod
    def now(cls, bench: Workbench, done: Mapping[int, Part], share: float) -> "Start":
        """Here, with ``done`` finished by others before."""
        return cls(time.monotonic(), counted(done)[0], spent(roles_of(bench))[1], share)


def status_of(bench: Workbench, done: Mapping[int, Part], before: Start, share: float | None) -> BulkStatus:
    """Where it stands now, with ``done`` finished in all."""
    documents, rows, failed = counted(done)
    tokens, cost = spent(roles_of(bench))
    return BulkStatus(
        *(documents, rows, failed),
        share=share,
        begun_at=before.share,
        elapsed=time.monotonic() - before.when,
        new_documents=documents - before.documents,
        tokens=tokens,
        cost=cost,
        cost_begun=before.cost,
        passed_over={name: count for name, count in bench.stream.counts().items() if count},
    )


def share_done(bench: Workbench, extent: Extent, cursor: Cursor) -> float | None:
    """About how much of what was asked for lies before ``cursor``."""
    stream = bench.stream.stream if isinstance(bench.stream, WholeReader) else bench.stream
    whole = stream.share(cursor, bench.bulk.epochs) if isinstance(stream, TextReader) else None
    counted = None if extent.documents is None else cursor.taken / extent.documents
    known = [min(1.0, share) for share in (whole, counted) if share is not None]
    return max(known, default=None)


def roles_of(bench: Workbench) -> tuple[str, ...]:
    """The roles under which the rewriter's servers are counted."""
    return tuple(dict.fromkeys(endpoint.role for _, endpoint in parts_of(bench.bulk.rewriter, Endpoint)))


def spent(roles: tuple[str, ...]) -> tuple[float, float]:
    """Tokens and cost so far, those of earlier processes too."""
    return sum(map(LEDGER.tokens, roles)), sum(map(LEDGER.cost, roles))


def counted(done: Mapping[int, Part]) -> tuple[int, int, int]:
    """Documents, rows and failures of finished parts."""
    parts = done.values()
    return sum(p.documents for p in parts), sum(p.rows for p in parts), sum(p.failed for p in parts)
