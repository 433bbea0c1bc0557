"""What ``tutelage think`` wrote, as documents."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.protocols import Codec, Stream
from tutelage.rewrites import TableError, finished_parts, part_file, read_header
from tutelage.stream import Corpus, Splits, TextStream, content_digest
from tutelage.thoughts import Tags, ThoughtError
from tutelage.types import Tokens

LONGEST = 1 << 30
"""Characters of a document, more than any has: none is cut to a window."""


@dataclass(frozen=True, slots=True)
class ThoughtTable:
    """Documents with thoughts in them, for a ``ThoughtStream``; those that failed are passed over and counted.

    The table may have been made with another tokenizer: its text is what is read. A document is in the split that it
    has in its corpus, by what its author wrote: text that was held out stays so, whatever was thought in it.
    """

    table: str
    """Its folder."""
    splits: Splits = Splits()
    """Those of the corpus."""
    tags: Tags = Tags()
    """What thoughts stand between."""

    @property
    def suffix_length(self) -> int:
        """Of no use: documents are read whole, and cut by what reads them."""
        return 1

    def build(self, seed: int, codec: Codec, split: str) -> Stream:
        """The documents of one keyed split.

        Raises:
            TableError: there is no table, or nothing in it.
            StreamError: the split is empty.
        """
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
            splits=self.splits,
            deduplicate=None,
            max_broken=sum(part.failed for part in parts.values()),
        )
        return stream.reader(seed, codec, split, identity=self._identity)

    def _identity(self, content: str | Tokens) -> bytes:
        """The digest that the document has in its corpus."""
        if isinstance(content, Tokens):
            return content_digest(content)
        try:
            return content_digest(self.tags.without(content))
        except ThoughtError:  # whoever reads it will count it as unreadable
            return content_digest(content)
