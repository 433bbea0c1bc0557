"""Near-duplicates: MinHash signatures of word shingles, looked up in bands, checked, and joined into groups.

Deterministic, whatever the machine. Signatures lie in an unnamed temporary file; what stays in memory is a
few numbers a document.
"""

import re
import tempfile
import zlib
from collections.abc import Hashable, Iterable, Iterator
from typing import IO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.stream.settings import NearDuplicates, StreamError
from tutelage.types import Tokens

P = TypeVar("P", bound=Hashable)

BANDS, BAND_ROWS = 16, 8
HASHES = BANDS * BAND_ROWS
SLICE = 128
"""Shingles hashed at a time: a table that stays in the processor's cache."""
NEIGHBOURS = 8
"""In a bucket, a document is compared with this many before it, and with the bucket's first."""
WORD = re.compile(r"\w+")
MULTIPLIERS = rng.generator("minhash multipliers").integers(0, 2**32, HASHES, dtype=np.uint32) | np.uint32(1)
OFFSETS = rng.generator("minhash offsets").integers(0, 2**32, HASHES, dtype=np.uint32)


def word_hashes(content: str | Tokens) -> NDArray[np.uint64]:
    """One number a word (case and punctuation apart), or a token."""
    if isinstance(content, Tokens):
        return mix(content.array.astype(np.uint64))
    words = WORD.findall(content.lower()) or [content]  # without a word, alike means equal
    raw = np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint64, len(words))
    return mix(raw)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def signature(content: str | Tokens, shingle: int) -> NDArray[np.uint32]:
    """The least hash of the document's shingles, for each of 128 hash functions."""
    words = word_hashes(content)
    width = min(shingle, len(words))
    if width == 0:
        return np.full(HASHES, 2**32 - 1, np.uint32)
    shingles = np.zeros(len(words) - width + 1, np.uint64)
    for i in range(width):
        shingles = shingles * np.uint64(0x9E3779B97F4A7C15) + words[i : len(words) - width + 1 + i]
    mixed = (mix(shingles) >> np.uint64(32)).astype(np.uint32)
    least = np.full(HASHES, 2**32 - 1, np.uint32)
    for start in range(0, len(mixed), SLICE):
        hashed = mixed[start : start + SLICE, None] * MULTIPLIERS
        hashed += OFFSETS
        np.minimum(least, hashed.min(axis=0), out=least)
    return least


class Groups:
    """Union-find whose representative is the smallest number of a group."""

    def __init__(self, count: int) -> None:
        self.parents = np.arange(count)

    def find(self, item: int) -> int:
        """The group's representative."""
        while self.parents[item] != item:
            self.parents[item] = self.parents[self.parents[item]]
            item = int(self.parents[item])
        return item

    def join(self, one: int, other: int) -> None:
        """Put two groups together."""
        first, second = sorted((self.find(one), self.find(other)))
        self.parents[second] = first


def pairs_in_buckets(keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs of documents with equal keys: each with a few before it, and with the first of its bucket."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    firsts = np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))
    yield order[firsts[~fresh]], order[~fresh]
    for back in range(1, NEIGHBOURS + 1):
        same = ordered[back:] == ordered[:-back]
        yield order[:-back][same], order[back:][same]


def duplicates_by_signature(signatures: NDArray[np.uint32], threshold: float) -> NDArray[np.bool_]:
    """Which documents belong to the group of an earlier one."""
    groups = Groups(len(signatures))
    # The first look-up is by the whole signature, so that equal documents meet whatever their bucket holds.
    columns = [slice(0, HASHES), *(slice(b * BAND_ROWS, (b + 1) * BAND_ROWS) for b in range(BANDS))]
    for chosen in columns:
        for left, right in pairs_in_buckets(band_keys(signatures, chosen)):
            for start in range(0, len(left), 1 << 16):
                one, other = left[start : start + (1 << 16)], right[start : start + (1 << 16)]
                alike = (signatures[one] == signatures[other]).mean(axis=1) >= threshold
                for a, b in zip(one[alike].tolist(), other[alike].tolist(), strict=True):
                    groups.join(a, b)
    return groups.parents != np.arange(len(signatures))


def band_keys(signatures: NDArray[np.uint32], columns: slice) -> NDArray[np.uint64]:
    """One number a document for the hashes of one band."""
    keys = np.zeros(len(signatures), np.uint64)
    for column in range(columns.start, columns.stop):
        keys = mix(keys * np.uint64(0x9E3779B97F4A7C15) + signatures[:, column])
    return keys


class Signatures(Generic[P]):
    """Signatures on disk, in the order in which the documents came."""

    def __init__(self, file: IO[bytes], settings: NearDuplicates) -> None:
        self._file, self._settings = file, settings
        self.places: list[P] = []

    def add(self, place: P, content: str | Tokens) -> None:
        """Write one document's signature."""
        if len(self.places) >= self._settings.max_documents:
            raise StreamError(
                f"there are more than {self._settings.max_documents} documents to compare: raise "
                "deduplicate.max_documents, or remove duplicates beforehand and set deduplicate to null"
            )
        self.places.append(place)
        self._file.write(signature(content, self._settings.shingle).tobytes())

    def table(self) -> NDArray[np.uint32]:
        """All signatures, mapped from disk, shape ``(documents, 128)``."""
        self._file.flush()
        shape = (len(self.places), HASHES)
        return np.memmap(self._file, np.uint32, "r", shape=shape) if shape[0] else np.empty(shape, np.uint32)


def near_duplicates(documents: Iterable[tuple[P, str | Tokens]], settings: NearDuplicates) -> frozenset[P]:
    """The places of all documents that repeat an earlier one, exactly or nearly.

    Groups are closed: if A is like B and B like C, only the first of the three stays.

    Raises:
        StreamError: where there are more documents than ``settings.max_documents``.
    """
    with tempfile.TemporaryFile() as file:
        signatures = Signatures[P](file, settings)
        for place, content in documents:
            signatures.add(place, content)
        if not signatures.places:
            return frozenset()
        dropped = duplicates_by_signature(signatures.table(), settings.threshold)
        return frozenset(signatures.places[i] for i in np.flatnonzero(dropped).tolist())
