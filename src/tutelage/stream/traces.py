"""Text that was put into tokens before: a file of prefixes with what is to be learnt behind each."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.ranges import require
from tutelage.protocols import Codec, Cursor
from tutelage.stream.places import first_place, next_in_order
from tutelage.stream.settings import StreamError
from tutelage.types import Chunk, Document, Tokens

NAME = "traces"
"""What a cursor calls them."""


def write_traces(path: Path, pairs: Sequence[tuple[Tokens, Tokens]]) -> None:
    """Write prefixes with their suffixes to ``path``, whole or not at all; neither may be empty."""
    whole = [Tokens.join(pair) for pair in pairs]
    part = path.with_suffix(".part.npz")
    ends = np.cumsum([len(one) for one in whole], dtype=np.int64)
    cuts = np.array([len(prefix) for prefix, _ in pairs], np.int64)
    np.savez(part, tokens=Tokens.join(whole).array, ends=ends, cuts=cuts)
    os.replace(part, path)


def count_traces(path: Path) -> int:
    """How many traces a file of ``write_traces`` holds."""
    with np.load(path, allow_pickle=False) as found:
        return len(found["ends"])


@dataclass(frozen=True, slots=True)
class Traces:
    """Chunks from a file that ``write_traces`` made: attempts of a policy, kept because a verifier found them right.

    With ``NTP(on="suffix")`` this is supervised training on them; they come in keyed order, epoch after epoch.
    """

    path: str
    """The file."""
    suffix_length: int = 512
    """No suffix may be longer."""

    def __post_init__(self) -> None:
        require(self, "suffix_length", at_least=1)

    def build(self, seed: int, codec: Codec, split: str) -> "TracesReader":
        """All of them, whatever the split.

        Raises:
            StreamError: the file holds none, or one that is too long.
        """
        try:
            with np.load(Path(self.path).expanduser(), allow_pickle=False) as found:
                tokens, ends, cuts = (found[name] for name in ("tokens", "ends", "cuts"))
        except (OSError, KeyError, ValueError) as error:
            raise StreamError(f"{self.path} holds no traces: {error}") from error
        if not len(ends):
            raise StreamError(f"{self.path} holds no trace: the model that was asked wrote none that could be kept")
        longest = int((ends - np.concatenate([[0], ends[:-1]]) - cuts).max())
        if longest > self.suffix_length:
            raise StreamError(f"{self.path}: a trace is {longest} tokens long, more than suffix_length allows")
        return TracesReader(tokens, ends, cuts, seed)


@dataclass(frozen=True, slots=True, eq=False)
class TracesReader:
    """``Traces`` at work; what it reads next is a function of the cursor."""

    tokens: NDArray[np.int32]
    ends: NDArray[np.int64]
    cuts: NDArray[np.int64]
    seed: int

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(NAME)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` chunks, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        places, behind = next_in_order(cursor, NAME, count, len(self.ends), self.seed, NAME)
        return tuple(self._chunk(index, epoch) for epoch, index in places), behind

    def _chunk(self, index: int, epoch: int) -> Chunk:
        start, end, cut = int(self.ends[index - 1]) if index else 0, int(self.ends[index]), int(self.cuts[index])
        document = Document(str(index), NAME, epoch, Tokens(self.tokens[start:end]))
        return Chunk(document, document.tokens[:cut], document.tokens[cut:], cut)

    @property
    def fingerprint(self) -> str:
        """Hex digest of all tokens, cuts and the order."""
        digest = hashlib.blake2b(repr(self.seed).encode(), digest_size=16)
        for array in (self.tokens, self.ends, self.cuts):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing is left out."""
        return {}
