"""What ``tutelage think`` wrote, as documents."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.protocols import Codec, Stream
from tutelage.rewrites import TableError, finished_parts, part_file, read_header
from tutelage.stream import Corpus, Splits, StreamError, TextStream

LONGEST = 1 << 30
"""Characters of a document, more than any has: none is cut to a window."""


@dataclass(frozen=True, slots=True)
class ThoughtTable:
    """Documents with thoughts in them, for a ``ThoughtStream``; those that failed are passed over and counted.

    The table may have been made with another tokenizer: its text is what is read.
    """

    table: str
    """Its folder."""

    @property
    def suffix_length(self) -> int:
        """Of no use: documents are read whole, and cut by what reads them."""
        return 1

    def build(self, seed: int, codec: Codec, split: str) -> Stream:
        """All documents of the table, as the split ``policy``.

        Raises:
            TableError: there is no table, or nothing in it.
            StreamError: another split is asked for.
        """
        if split != "policy":
            raise StreamError(f"a table of thoughts has no split {split!r}: all of it is for training")
        folder = Path(self.table).expanduser()
        parts = finished_parts(folder)
        if read_header(folder) is None or not parts:
            raise TableError(f"{folder.absolute()} holds no thoughts; tutelage think CORPUS {folder} writes them")
        present = {part_file(folder, number).name for number in parts}
        strangers = tuple(file.name for file in (folder / "parts").iterdir() if file.name not in present)
        corpus = Corpus(str(folder / "parts"), name="thoughts", id_column="document", skip_files=strangers)
        stream = TextStream(
            (corpus,),
            suffix_length=1,
            max_length=2,
            min_prefix=1,
            min_suffix=1,
            window_chars=LONGEST,
            splits=Splits(policy=1.0, validation=0.0, test=0.0),
            deduplicate=None,
            max_broken=sum(part.failed for part in parts.values()),
        )
        return stream.build(seed, codec, split)
