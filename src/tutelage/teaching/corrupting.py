"""Comparisons with a known winner from any corpus: a suffix against the same suffix, spoilt by a text model."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage import rng
from tutelage.codec import Tokenizer
from tutelage.judge_check import Pair
from tutelage.maths.ranges import require
from tutelage.prompts import CorruptPrompt, ending, fence
from tutelage.protocols import Codec, StreamSpec, TextModel, TextModelSpec
from tutelage.record import write_atomically
from tutelage.stream.once import read_once
from tutelage.types import Absent, Abstained, Chunk

AT_ONCE = 256
"""Chunks of which all corruptions are asked for together."""


@dataclass(frozen=True, slots=True)
class CorruptSuffixes:
    """Work of a study: read documents, have their suffixes spoilt, write the pairs that a judge learns from.

    Writes ``pairs.jsonl``, where the untouched suffix is the better one and stands first as often as second, and
    ``counts.json`` with what was refused or came back unchanged. ``JudgeProblems`` asks each pair in both orders.
    What was spoilt is cut to the length that the stream cuts suffixes to; ``longer_is_better`` in the counts is how
    often the longer text of a pair is the better one, a draw half: far from one half, length alone gives labels away.
    """

    stream: StreamSpec
    """The documents."""
    tokenizer: Tokenizer
    """In whose tokens they are cut."""
    model: TextModelSpec
    """Who spoils them: an ``Endpoint`` or a ``LocalChat``."""
    documents: int
    """How many are read."""
    prompts: tuple[CorruptPrompt, ...] = (CorruptPrompt("false"), CorruptPrompt("unsafe"))
    """In which ways, in turn."""
    split: str = "judge"
    """Of the corpus: what no policy is trained on."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, "documents", at_least=1)
        if not self.prompts:
            raise ValueError("prompts is empty: name at least one way to spoil a suffix")

    def execute(self, directory: Path, study: Path) -> bool:
        """Write both files.

        Raises:
            ValueError: not a single suffix was spoilt; tells why.
        """
        codec, model = self.tokenizer.build(), self.model.build()
        stream = self.stream.build(self.seed, codec, self.split)
        pairs, failures = list[Pair](), dict[str, int]()
        for chunks in read_once(stream, self.documents, AT_ONCE):
            for one in self._spoil(chunks, codec, model):
                if isinstance(one, Pair):
                    pairs.append(one)
                else:
                    failures[one.reason[:60]] = failures.get(one.reason[:60], 0) + 1
        if not pairs:
            raise ValueError(f"none of {self.documents} suffixes was spoilt: {failures}")
        lines = "".join(f"{json.dumps(_plain(pair), ensure_ascii=False)}\n" for pair in pairs)
        write_atomically(directory / "pairs.jsonl", lines.encode())
        counts = {"pairs": len(pairs), "failures": failures, "longer_is_better": longer_is_better(pairs)}
        write_atomically(directory / "counts.json", json.dumps(counts, indent=1).encode())
        return True

    def _spoil(self, chunks: Sequence[Chunk], codec: Codec, model: TextModel) -> Iterator[Pair | Abstained]:
        """A pair or a reason of every chunk."""
        prompts = [self.prompts[rng.below(len(self.prompts), self.seed, "corrupt", *c.key)] for c in chunks]
        pieces = zip(chunks, prompts, strict=True)
        texts = [(ending(c.prefix, codec, p.judge_prefix), codec.decode(c.suffix)) for c, p in pieces]
        codes = [fence(both, self.seed, *chunk.key) for both, chunk in zip(texts, chunks, strict=True)]
        room = 2 * self.stream.suffix_length
        asked = [
            prompt.ask(*both, code=code, max_new_tokens=room)
            for prompt, both, code in zip(prompts, texts, codes, strict=True)
        ]
        answers = model.answer(asked, [rng.seed(self.seed, "corrupt", *chunk.key) for chunk in chunks])
        for chunk, prompt, (prefix, suffix), code, said in zip(chunks, prompts, texts, codes, answers, strict=True):
            read = (
                Abstained(said.reason)
                if isinstance(said, Absent)
                else prompt.parse(said, prefix=prefix, suffix=suffix, code=code)
            )
            spoilt = read if isinstance(read, Abstained) else self._clipped(codec, read, suffix)
            yield spoilt if isinstance(spoilt, Abstained) else _shuffled(self.seed, chunk, prefix, suffix, spoilt)

    def _clipped(self, codec: Codec, spoilt: str, suffix: str) -> str | Abstained:
        """No longer than a suffix may be; an abstention where all of that stands in the suffix, too."""
        tokens = codec.encode(spoilt)
        end = min(len(tokens), self.stream.suffix_length)
        if end < len(tokens):
            end = next((at for at in range(end, 0, -1) if codec.is_boundary(tokens, at, word=False)), end)
            spoilt = codec.decode(tokens[:end])
        if suffix.startswith(spoilt):
            return Abstained("as far as it goes, it is the suffix unchanged")
        return spoilt


def longer_is_better(pairs: Sequence[Pair]) -> float:
    """Share of pairs whose better text is the longer one, in characters; texts of one length count half."""
    longer = [(len(one.first) > len(one.second)) - (len(one.first) < len(one.second)) for one in pairs]
    right = [side if one.better == 1 else -side for one, side in zip(pairs, longer, strict=True)]
    return sum((1 + side) / 2 for side in right) / len(pairs)


def _shuffled(seed: int, chunk: Chunk, prefix: str, suffix: str, spoilt: str) -> Pair:
    """The pair in an order drawn by key."""
    if rng.below(2, seed, "corrupt", "order", *chunk.key):
        return Pair(prefix, spoilt, suffix, better=2)
    return Pair(prefix, suffix, spoilt, better=1)


def _plain(pair: Pair) -> dict[str, object]:
    return {"prefix": pair.prefix, "first": pair.first, "second": pair.second, "better": pair.better}
