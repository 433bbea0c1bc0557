"""What is rewritten, by whom, and how much of it."""

from dataclasses import dataclass
from typing import Any

from tutelage.codec import Tokenizer
from tutelage.config.mapping import parts_of
from tutelage.maths.ranges import require
from tutelage.protocols import RewriterSpec, StreamSpec
from tutelage.rewrites import StoredRewrites
from tutelage.run import Run
from tutelage.sources import RewriteSource


class BulkFailed(ValueError):
    """A corpus cannot be rewritten as it was asked for, or its rewriter fails too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What decides a table of rewrites."""

    stream: StreamSpec
    """Which documents, and how they are cut: as in the runs that will read the table."""
    rewriter: RewriterSpec
    """Who writes."""
    tokenizer: Tokenizer
    """Of the policy that will read the table."""
    seed: int = 0
    """Of the runs that will read the table: random cuts are drawn by it."""
    split: str = "policy"
    """Which keyed split of the documents."""
    epochs: int = 1
    """How often the corpus is read; random cuts are others in each epoch."""
    documents_per_part: int = 256
    """What is lost at most, for each part in progress, when a machine dies; a file of the table holds so many."""

    def __post_init__(self) -> None:
        require(self, "epochs", "documents_per_part", at_least=1)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of it is done now; it may grow from call to call."""

    documents: int | None = None
    """Only the first so many that a run reads; ``None`` goes on to the end of the last epoch."""
    retry_failed: bool = False
    """Ask again about what has no rewrite in parts that are finished."""
    max_failed: float = 0.5
    """Stop at a part in which more than this share has no rewrite, and do not keep it."""

    def __post_init__(self) -> None:
        require(self, "documents", at_least=1)
        require(self, "max_failed", at_least=0, at_most=1)


def bulk_of_run(run: Run, phase: int | None = None, **settings: Any) -> Bulk:
    """What a run's rewriter would be asked, phase ``phase`` or all of it.

    Raises:
        BulkFailed: no phase has a rewriter, or they differ in rewriter or documents; names the phases.
    """
    found: list[tuple[RewriterSpec, StreamSpec]] = []
    numbers: list[int] = []
    for number, one in enumerate(run.phases):
        for _, source in parts_of(one.sources, RewriteSource):
            pair = _live(source.rewriter), one.stream or run.stream
            if phase in (None, number) and pair not in found and pair[0] is not None:
                found.append((pair[0], pair[1]))
                numbers.append(number)
    if not found:
        where = "the run" if phase is None else f"phase {phase} of {len(run.phases)} (counted from 0)"
        raise BulkFailed(f"{where} has no source of rewrites with a rewriter that writes (RewriteSource)")
    if len(found) > 1:
        raise BulkFailed(
            f"the run has {len(found)} different rewriters or corpora to rewrite, in the phases "
            f"{', '.join(map(str, numbers))}: choose one by --phase"
        )
    ((rewriter, stream),) = found
    return Bulk(stream=stream, rewriter=rewriter, tokenizer=run.tokenizer, seed=run.seed, split=run.split, **settings)


def _live(rewriter: RewriterSpec) -> RewriterSpec | None:
    """The rewriter that writes: behind a table the one that is asked where a row is missing."""
    return rewriter.live if isinstance(rewriter, StoredRewrites) else rewriter
