"""No documents: what a run reads whose phases all have another task."""

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.protocols import Codec, Cursor, Stream
from tutelage.types import Chunk


@dataclass(frozen=True, slots=True)
class NoDocuments:
    """The stream of a run without documents; it is its own working part."""

    @property
    def suffix_length(self) -> int:
        """A token: there is no suffix."""
        return 1

    def build(self, seed: int, codec: Codec, split: str) -> Stream:
        """Itself."""
        return self

    def start(self) -> Cursor:
        """A cursor into nothing."""
        return Cursor(0, ())

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """Nothing can be read.

        Raises:
            ValueError: always.
        """
        raise ValueError("this run has no documents: give it a stream")

    @property
    def fingerprint(self) -> str:
        """The same for all."""
        return "no documents"

    def counts(self) -> Mapping[str, int]:
        """Nothing is passed over."""
        return {}
