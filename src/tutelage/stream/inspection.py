"""A look at a corpus before anything is spent on it."""

from dataclasses import dataclass

from tutelage.stream.files import FileShard
from tutelage.stream.ledger import Ledger
from tutelage.stream.order import CorpusReader
from tutelage.stream.rows import Broken, Raw
from tutelage.stream.settings import Corpus, StreamError


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What a look at a corpus's first rows found."""

    name: str
    files: tuple[str, ...]
    """Files that would be read; a data set counts as one."""
    skipped: tuple[str, ...]
    """Files of the folder that would be left out."""
    columns: tuple[str, ...]
    """Columns of any file that was opened."""
    opened: int
    """Files that were opened."""
    rows_seen: int
    """Documents looked at."""
    mean_length: float
    """Characters a document (tokens, where it holds tokens)."""
    broken: tuple[str, ...]
    """Broken rows as ``file:line: reason``."""


def inspect_corpus(corpus: Corpus, rows: int = 1000, files: int = 50) -> CorpusReport:
    """Look at up to ``rows`` documents, spread evenly over up to ``files`` files.

    Raises:
        StreamError: where the path does not exist or is empty, a column is missing, or no row holds a document.
    """
    reader = CorpusReader(corpus, seed=0, block_rows=1024)
    shards = reader.listing.shards
    names = tuple(shard.name if isinstance(shard, FileShard) else corpus.path for shard in shards)
    chosen = range(0, len(shards), -(-len(shards) // files))
    ledger = Ledger(max_broken=10**9, strict=False, warns=False)
    columns: dict[str, None] = {}
    lengths: list[int] = []
    for shard in chosen:
        columns |= dict.fromkeys(reader.columns(shard))
        lengths += look(reader, shard, -(-rows // len(chosen)), ledger)
    if not lengths:
        raise StreamError(f"corpus {corpus.name!r}: no document in the rows looked at. {' · '.join(ledger.places[:3])}")
    return CorpusReport(
        name=corpus.name,
        files=names,
        skipped=reader.listing.skipped,
        columns=tuple(columns),
        opened=len(chosen),
        rows_seen=len(lengths),
        mean_length=sum(lengths) / len(lengths),
        broken=ledger.places,
    )


def look(reader: CorpusReader, shard: int, rows: int, ledger: Ledger) -> list[int]:
    """Lengths of the first documents of one shard."""
    lengths: list[int] = []
    for seen, row in enumerate(reader.shard_rows(shard), start=1):
        if isinstance(row, Broken):
            ledger.broken(row)
        elif isinstance(row, Raw):
            lengths.append(len(row.content))
        if seen >= rows:
            break
    return lengths
