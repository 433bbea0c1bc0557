"""Held-out documents as beginnings with their authors' continuations."""

from tutelage.evaluation.items import Beginning
from tutelage.protocols import Codec, StreamSpec
from tutelage.stream.once import read_once


def held_out(spec: StreamSpec, codec: Codec, *, seed: int, split: str, items: int) -> tuple[Beginning, ...]:
    """The first ``items`` chunks of a split as text, each document once; fewer where it has no more.

    Raises:
        ValueError: none of its documents can be cut.
    """
    found = [chunk for chunks in read_once(spec.build(seed, codec, split), items) for chunk in chunks][:items]
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
