"""Whether its own thought is what helps a policy: the same continuation behind other thoughts.

A policy may write better behind any thought, even none: then it has learnt the form and not the use. So every document
is continued behind its own thought, a blank one, one and the same for all, and that of another document; the judge of
the training says how often each continuation matches. In the public replication blank and generic thoughts scored
higher than own ones [3].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.protocols import Codec, Judge, Sampler, SampleRequest
from tutelage.thoughts import Tags, end_of_thought
from tutelage.types import Chunk, Floats, Pool, Rollout, Scored, Tokens

Kind = Literal["own", "blank", "generic", "swapped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GENERIC = "Let me think about this carefully, step by step, before I go on."
"""A thought that fits anything, in our words."""


class TooFewThoughts(ValueError):
    """No thoughts that could be exchanged."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How thoughts are exchanged."""

    thought_length: int
    """Most tokens of a thought, its closing tag included."""
    after: int
    """Tokens behind it."""
    tags: Tags = Tags()
    """What thoughts stand between."""
    generic: str = GENERIC
    """The thought that all documents get alike."""
    temperature: float = 0.6
    """Of thoughts and continuations [P, of its evaluations]."""
    top_p: float = 0.95
    """Mass of the nucleus that is sampled from [P]."""

    def match(
        self, sampler: Sampler, codec: Codec, judge: Judge, chunks: Sequence[Chunk], seed: int
    ) -> Mapping[Kind, NDArray[np.float64]]:
        """Score of each document behind each kind of thought, ``(D,)``; documents whose thought does not end are out.

        ``chunks`` are those of a ``ThoughtStream`` for ``rl``. A verdict that the judge did not reach is not a number.

        Raises:
            TooFewThoughts: fewer than two documents with a thought that ends, so that none can be exchanged.
        """
        asked = [chunk.prefix for chunk in chunks]
        written = self._sample(sampler, chunks, asked, self.thought_length, (seed, "thought"))
        ends = [end_of_thought(codec, self.tags, one) for one in written]
        kept = [(chunk, one[:end]) for chunk, one, end in zip(chunks, written, ends, strict=True) if end is not None]
        if len(kept) < 2:
            raise TooFewThoughts(
                f"of {len(chunks)} thoughts {len(kept)} came to an end within {self.thought_length} tokens: the probe "
                "exchanges thoughts, for which it takes two at least; train longer, or allow longer thoughts"
            )
        closed, thoughts = [chunk for chunk, _ in kept], [thought for _, thought in kept]
        return {kind: self._scores(kind, sampler, codec, judge, closed, thoughts, seed) for kind in KINDS}

    def _scores(
        self,
        kind: Kind,
        sampler: Sampler,
        codec: Codec,
        judge: Judge,
        chunks: Sequence[Chunk],
        own: Sequence[Tokens],
        seed: int,
    ) -> NDArray[np.float64]:
        given = self._given(kind, codec, own)
        prefixes = [Tokens.join([chunk.prefix, thought]) for chunk, thought in zip(chunks, given, strict=True)]
        # The same draws behind every kind: what differs is the thought.
        written = self._sample(sampler, chunks, prefixes, self.after, (seed, "continuation"))
        pools = [
            Pool(chunk, (self._candidate(Tokens.join([thought, one]), sampler.version),))
            for chunk, thought, one in zip(chunks, given, written, strict=True)
        ]
        verdicts = [judgement.verdicts[0] for (judgement,) in judge.judge(pools)]
        return np.array([v.value if isinstance(v, Scored) else np.nan for v in verdicts], np.float64)

    def _given(self, kind: Kind, codec: Codec, own: Sequence[Tokens]) -> list[Tokens]:
        """The thought of each document, closing tag included."""
        match kind:
            case "own":
                return list(own)
            case "swapped":
                return [*own[1:], own[0]]
            case "blank":
                return [codec.encode(self.tags.closing)] * len(own)
            case "generic":
                return [Tokens.join([codec.encode(self.generic), codec.encode(self.tags.closing)])] * len(own)

    def _sample(
        self, sampler: Sampler, chunks: Sequence[Chunk], prefixes: Sequence[Tokens], most: int, key: tuple[rng.Key, ...]
    ) -> list[Tokens]:
        settings = SampleRequest(Tokens([]), (), most, self.temperature, self.top_p)
        requests = [
            replace(settings, prefix=prefix, seeds=(rng.seed(*key, *chunk.key),))
            for prefix, chunk in zip(prefixes, chunks, strict=True)
        ]
        return [sampled[0].tokens for sampled in sampler.sample(requests)]

    def _candidate(self, tokens: Tokens, version: int) -> Rollout:
        return Rollout(tokens, Floats([]), version, 0, self.temperature, self.top_p, "length")
