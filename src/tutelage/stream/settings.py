"""What a user writes about the text of a run: corpora, cuts, splits and duplicates."""

from dataclasses import astuple, dataclass, fields
from typing import Literal

from tutelage import rng

Format = Literal["auto", "jsonl", "parquet", "text", "saved", "datasets"]


class StreamError(ValueError):
    """A corpus or a setting that cannot be used; the message names the file or the field, and the remedy."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One body of text.

    Example:
        >>> Corpus("books/", name="books", id_column="id", weight=2.0).weight
        2.0
    """

    path: str
    """A file, a folder (read recursively, in sorted order), or with ``format="datasets"`` a hub name."""
    name: str = "corpus"
    """What records call it; part of every random key."""
    text_column: str | tuple[str, ...] = "text"
    """Column of the text, or of the tokens as a list of integers. With several, the first that a file has."""
    id_column: str | None = None
    """Column of the document's id; without one, ids are ``file:line``."""
    tags_column: str | None = None
    """Column of what the corpus itself says of a document, for ``tutelage label``: a text or a number, several of them,
    or nothing."""
    weight: float = 1.0
    """Share of documents drawn from this corpus, relative to the other corpora's."""
    format: Format = "auto"
    """``auto`` goes by the file's name. ``saved`` is a folder of ``save_to_disk``, ``datasets`` a name
    or folder for ``datasets.load_dataset``."""
    streaming: bool = False
    """With ``format="datasets"``: read over the network without storing it. The length is then unknown:
    blocks come in the data set's own order, and only the rows inside a block are permuted."""
    dataset_config: str | None = None
    """Which configuration of a hub data set."""
    dataset_split: str = "train"
    """Which part of a hub or saved data set; not to be confused with the run's own splits."""
    revision: str | None = None
    """Commit of a hub data set, to pin it."""
    separator: str | None = None
    """Plain text only. ``None``: a file is one document. Otherwise files are split at this marker, as in
    ``"\\n\\n"`` for blank lines."""
    skip_files: tuple[str, ...] = ()
    """Patterns (as in ``*/notes*``) of files in the folder to leave out."""

    def __post_init__(self) -> None:
        if not self.name or not self.path:
            raise StreamError("a corpus needs a path and a name")
        if not 0 < self.weight < float("inf"):
            raise StreamError(f"corpus {self.name!r}: weight is {self.weight}, it must be above 0")
        if self.streaming and self.format != "datasets":
            raise StreamError(f'corpus {self.name!r}: streaming needs format "datasets"')
        if self.separator == "" or not self.text_column:
            raise StreamError(f"corpus {self.name!r}: separator and text_column must not be empty")

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns to look for, in order."""
        return (self.text_column,) if isinstance(self.text_column, str) else self.text_column


@dataclass(frozen=True, slots=True)
class RandomCut:
    """One seeded random cut a document and epoch.

    [P] arXiv:2601.21343 B.1: prefix and suffix are taken from each sample at random.
    """


@dataclass(frozen=True, slots=True)
class EveryCut:
    """A cut every ``stride`` tokens; with the suffix's length as stride, the suffixes tile the document.

    Of a document longer than ``max_length``, prefixes begin half of their greatest length apart, so that several share
    a trunk.
    """

    stride: int = 128
    """Tokens between two cuts."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise StreamError(f"cuts.stride is {self.stride}, it must be at least 1")


@dataclass(frozen=True, slots=True)
class SomeCuts:
    """``count`` different seeded cuts a document and epoch, fewer where it is too short for that.

    They lie in one window of ``max_length`` tokens and their prefixes begin together: one trunk serves all of them.
    """

    count: int = 4
    """Cuts a document, at most."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise StreamError(f"cuts.count is {self.count}, it must be at least 1")


Cuts = RandomCut | EveryCut | SomeCuts


@dataclass(frozen=True, slots=True)
class Splits:
    """Shares of the documents, disjoint and the same for every seed. What is left over belongs to no split.

    Example:
        >>> Splits(policy=0.98, validation=0.01, test=0.01).of(b"a document's digest")
        'policy'
    """

    policy: float = 0.9
    """What the policy is trained on."""
    judge: float = 0.0
    """What a judge is trained on."""
    rewriter: float = 0.0
    """What a rewriter is trained on."""
    validation: float = 0.05
    """What is measured while a run goes on."""
    test: float = 0.05
    """What is measured once, at the end."""

    def __post_init__(self) -> None:
        shares = astuple(self)
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise StreamError(f"splits are {shares}: each must be at least 0, and together at most 1")

    def of(self, digest: bytes) -> str | None:
        """The split of the document whose content has this digest: equal texts never part."""
        drawn = rng.uniform("split", digest)
        for field in fields(self):
            drawn -= float(getattr(self, field.name))
            if drawn < 0:
                return field.name
        return None

    def require(self, split: str) -> None:
        """Refuse a split that does not exist or is empty.

        Raises:
            StreamError: naming the field to set.
        """
        names = [field.name for field in fields(self)]
        if split not in names:
            raise StreamError(f"there is no split {split!r}; the splits are {', '.join(names)}")
        if not getattr(self, split) > 0:
            raise StreamError(f"the split {split!r} is empty: set stream.splits.{split} above 0")


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Removal of near-duplicates over all corpora of a stream, before it is split.

    MinHash over word shingles: 128 hashes, looked up in 16 bands of 8 [I].
    Reads every document once when the stream is built; see ``docs/data.md`` for the cost.
    """

    threshold: float = 0.7
    """Share of shingles in common (Jaccard, estimated) from which two documents are the same."""
    shingle: int = 5
    """Words in a shingle."""
    max_documents: int = 10_000_000
    """Refuse more: each costs 512 bytes of temporary disk and some 40 of memory."""
    cache: str | None = None
    """Folder that keeps the result, so that a resumed run or another rank need not read everything again."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise StreamError(f"deduplicate.threshold is {self.threshold}, it must lie in [0.5, 1]")
        if self.shingle < 1:
            raise StreamError(f"deduplicate.shingle is {self.shingle}, it must be at least 1")
