"""A scripted teacher writes thoughts into real text, and what is left without them is compared with the files."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.bulk import Bulk, Extent, rewrite_corpus
from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.protocols import Prompt, TextModel
from tutelage.record import write_atomically
from tutelage.rewrites import finished_parts, read_rows
from tutelage.stream import Corpus, Splits, StreamError, TextStream, data_root
from tutelage.thinking import PromptThinker, WholeDocuments
from tutelage.thinking.table import LONGEST
from tutelage.thoughts import Tags, first_difference
from tutelage.types import Absent

CORPUS = "digitalgov"


@dataclass(frozen=True, slots=True)
class AugmentRealText:
    """Writes ``augment.json``: documents, characters lost, how many failed; no documents where there are no data."""

    documents: int

    def execute(self, directory: Path, study: Path) -> bool:
        """Augment, compare, count."""
        try:
            texts = originals(self.documents)
        except StreamError as error:
            found: dict[str, int | str] = {"documents": 0, "characters_lost": 0, "failed": 0, "why": str(error)}
        else:
            found = dict(compared(texts, directory))
        write_atomically(directory / "augment.json", json.dumps(found).encode())
        return True


def originals(count: int) -> list[str]:
    """The first documents of a corpus of real text.

    Raises:
        StreamError: there is no development data here.
    """
    corpus = Corpus(str(data_root() / "text" / CORPUS))
    stream = TextStream((corpus,), splits=Splits(policy=1.0, validation=0.0, test=0.0), deduplicate=None)
    return [text for _, text in zip(range(count), stream.texts(0, "policy"), strict=False)]


@dataclass(frozen=True, slots=True)
class Talkative:
    """A teacher that has something to say at every other place; it is its own spec."""

    name: str = "talkative"

    def build(self) -> TextModel:
        """Itself."""
        return self

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        """A thought of two lines for each of these places."""
        return [thinks_often(prompt.user) for prompt in prompts]


def thinks_often(asked: str) -> str:
    """A thought for every other place that the prompt marks."""
    places = re.findall(r"\[\[[0-9a-f]{16} place (\d+)\]\]", asked)
    return "\n".join(f"PLACE {place}: What comes next\nfollows, I think ({place})." for place in places[::2]) or "NONE"


def compared(texts: list[str], directory: Path) -> dict[str, int]:
    """Have thoughts written into ``texts`` by ``tutelage think``'s own machinery, and take them out again."""
    train_tokenizer(texts[:100], 1000, directory / "tokenizer")
    corpus = directory / "corpus" / "texts.jsonl"
    rows = (json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
    write_atomically(corpus, "".join(rows).encode())
    stream = TextStream(
        (Corpus(str(corpus.parent), id_column="id"),),
        min_prefix=1,
        min_suffix=1,
        window_chars=LONGEST,
        splits=Splits(policy=1.0, validation=0.0, test=0.0),
        deduplicate=None,
    )
    bulk = Bulk(
        stream=WholeDocuments(stream),
        rewriter=PromptThinker(Talkative()),
        tokenizer=Tokenizer(str(directory / "tokenizer")),
    )
    table = directory / "table"
    rewrite_corpus(bulk, table, Extent())
    parts = finished_parts(table)
    found = {row["document"]: row["text"] for part in parts.values() for row in read_rows(table, part).to_pylist()}
    kept = {i: Tags().without(found[i]) for i in found if found[i] is not None}
    lost = sum(differing(text, kept[str(i)]) for i, text in enumerate(texts) if str(i) in kept)
    return {"documents": len(kept), "characters_lost": lost, "failed": len(texts) - len(kept)}


def differing(text: str, other: str) -> int:
    """Characters in which two texts differ from their first difference on; 0 where they are the same."""
    return max(len(text), len(other)) - first_difference(text, other)
