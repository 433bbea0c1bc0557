"""The first documents of a stream, each once: a corpus that is shorter than what was asked for is not read again."""

from collections.abc import Iterator

from tutelage.protocols import Stream
from tutelage.types import Chunk

AT_ONCE = 64
"""Documents read together."""


def read_once(stream: Stream, documents: int, at_once: int = AT_ONCE) -> Iterator[tuple[Chunk, ...]]:
    """The chunks of the first ``documents`` documents; fewer where the corpus has no more."""
    cursor = stream.start()
    while cursor.taken < documents:
        chunks, cursor = stream.read(cursor, min(at_once, documents - cursor.taken))
        fresh = tuple(chunk for chunk in chunks if chunk.document.epoch == 0)
        yield fresh
        if len(fresh) < len(chunks):
            return
