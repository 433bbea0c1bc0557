"""Held-out documents as beginnings with their authors' continuations."""

from tutelage.evaluation.items import Beginning
from tutelage.protocols import Codec, Stream, StreamSpec
from tutelage.types import Chunk

AT_ONCE = 64
"""Chunks read together: a corpus that is shorter than what was asked for is not read over and over."""


def held_out(spec: StreamSpec, codec: Codec, *, seed: int, split: str, items: int) -> tuple[Beginning, ...]:
    """The first ``items`` chunks of a split as text, each document once; fewer where it has no more.

    Raises:
        ValueError: none of its documents can be cut.
    """
    found = _chunks(spec.build(seed, codec, split), items)
    if not found:
        raise ValueError(f"the {split} split has no document that can be cut into a beginning and its continuation")
    return tuple(
        Beginning(
            key=f"held_out/{'/'.join(map(str, chunk.key))}",
            text=codec.decode(chunk.prefix),
            reference=codec.decode(chunk.suffix),
            ends=len(chunk.suffix) > 0 and chunk.suffix[-1] == codec.eos,
        )
        for chunk in found
    )


def _chunks(stream: Stream, items: int) -> list[Chunk]:
    found: list[Chunk] = []
    cursor = stream.start()
    while len(found) < items:
        chunks, cursor = stream.read(cursor, min(AT_ONCE, items - len(found)))
        fresh = [chunk for chunk in chunks if chunk.document.epoch == 0]
        found += fresh
        if len(fresh) < len(chunks):
            break
    return found
