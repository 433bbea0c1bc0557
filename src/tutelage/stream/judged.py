"""A corpus filtered by a judge: the stream passes on what the judge finds good enough."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

from tutelage.config import to_plain
from tutelage.endpoints import deciding
from tutelage.protocols import Codec, Cursor, Judge, JudgeSpec, Resources, Stream, StreamSpec
from tutelage.scripted import NoPolicy
from tutelage.stream.settings import StreamError
from tutelage.types import Abstained, Chunk, Judgement, Pool, Suffix

BARREN = 10_000
"""Documents in a row of which none passes: then the filter is given up."""


@dataclass(frozen=True, slots=True)
class JudgedStream:
    """Chunks of another stream whose original suffix a judge scores high enough on every axis named.

    The control for training against a judge: plain pretraining on what the same judge lets pass. The judge sees pools
    of one candidate, the suffix, so it must judge by itself: one that compares has nothing to say, and nothing passes.
    """

    stream: StreamSpec
    """What is filtered."""
    judge: JudgeSpec
    """A pointwise judge, such as ``FactsJudge(quality="pointwise")``; its noise, if any, is keyed by the run's seed."""
    at_least: Mapping[str, float]
    """Lowest score that passes, by axis."""

    def __post_init__(self) -> None:
        if not self.at_least:
            raise StreamError("at_least names no axis, so that nothing is filtered; name one with its lowest score")

    @property
    def suffix_length(self) -> int:
        """Most tokens of a suffix."""
        return self.stream.suffix_length

    @property
    def max_length(self) -> int | None:
        """Most tokens of a chunk, if the filtered stream says so."""
        return getattr(self.stream, "max_length", None)

    def build(self, seed: int, codec: Codec, split: str) -> "JudgedReader":
        """The filtered documents of one keyed split."""
        stream = self.stream.build(seed, codec, split)
        resources = Resources(seed, codec, NO_POLICY, self.suffix_length, NO_DIRECTORY)
        judge = deciding(to_plain(self.judge, JudgeSpec))
        settings = json.dumps([stream.fingerprint, judge, sorted(self.at_least.items()), seed], sort_keys=True)
        named = blake2b(settings.encode(), digest_size=16).hexdigest()
        return JudgedReader(stream, self.judge.build(resources), self.at_least, named)


NO_POLICY = NoPolicy(StreamError("the judge of a JudgedStream asked the policy for text; choose one that reads only"))
NO_DIRECTORY = Path(os.devnull) / "the judge of a JudgedStream has no directory"
"""A place in which nothing can be written; errors will cite its name."""


class JudgedReader:
    """``JudgedStream`` at work. The cursor is the filtered stream's own."""

    def __init__(self, stream: Stream, judge: Judge, at_least: Mapping[str, float], fingerprint: str) -> None:
        self._stream = stream
        self._judge = judge
        self._at_least = at_least
        self._fingerprint = fingerprint
        self._events = Counter[str](judged_kept=0, judged_dropped=0, judged_abstained=0)
        self._silence = ""

    @property
    def fingerprint(self) -> str:
        """Hex digest of the filtered stream, the judge, the scores asked for and the seed."""
        return self._fingerprint

    def counts(self) -> Mapping[str, int]:
        """The filtered stream's counts, and of chunks in this process those kept, dropped, and dropped unjudged."""
        return {**self._stream.counts(), **self._events}

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return self._stream.start()

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The good chunks of the next ``count`` documents that have any, and the cursor after the last of them.

        Raises:
            StreamError: nothing passed in 10,000 documents, or the judge does not judge an axis that is named.
        """
        kept: list[Chunk] = []
        found = barren = 0
        while found < count:
            # Never more are read than are still needed: the last document read is then the last that passed, and
            # reading three, then five, ends where reading eight does.
            needed = count - found
            chunks, cursor = self._stream.read(cursor, needed)
            good = self._good(chunks)
            kept += good
            found += sum(1 for _ in groupby(good, key=lambda chunk: chunk.document.key))
            barren = 0 if good else barren + needed
            if barren >= BARREN:
                raise self._given_up(barren)
        return tuple(kept), cursor

    def _good(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        judged = self._judge.judge([Pool(chunk, (Suffix(chunk.suffix),)) for chunk in chunks])
        good = [chunk for chunk, judgements in zip(chunks, judged, strict=True) if self._passes(judgements)]
        self._events["judged_kept"] += len(good)
        self._events["judged_dropped"] += len(chunks) - len(good)
        return good

    def _passes(self, judgements: Sequence[Judgement]) -> bool:
        verdicts = {judgement.axis: judgement.verdicts[0] for judgement in judgements}
        passes = True
        for axis, least in self._at_least.items():
            if axis not in verdicts:
                known = ", ".join(map(repr, verdicts))
                raise StreamError(f"at_least names the axis {axis!r}; the judge judges {known}")
            verdict = verdicts[axis]
            if isinstance(verdict, Abstained):
                self._events["judged_abstained"] += 1
                self._silence = f"{axis}: {verdict.reason}"
                return False
            passes = passes and verdict.value >= least
        return passes

    def _given_up(self, documents: int) -> StreamError:
        asked = ", ".join(f"{axis} at least {least:g}" for axis, least in self._at_least.items())
        silence = f"; the judge last abstained with {self._silence!r}" if self._silence else ""
        return StreamError(f"no suffix of {documents:,} documents in a row scored {asked}: lower at_least{silence}")
