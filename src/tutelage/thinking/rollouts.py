"""Thoughts and continuations of the policy, ended where nothing that follows would count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage.maths.ranges import require
from tutelage.protocols import Codec, Resources, Source
from tutelage.sources import RolloutSource
from tutelage.thoughts import Tags, end_of_thought
from tutelage.types import Absent, Candidate, Chunk, Floats, Rollout


@dataclass(frozen=True, slots=True)
class ThinkingSource:
    """Rollouts that go on behind an opening tag: a thought, its closing tag, and as many tokens as the chunk's suffix.

    What was sampled beyond that is cut off [C]: it is in no reward, so that it must not be in the loss. For use with a
    ``ThoughtStream`` whose ``use`` is ``rl``; T = 1 and top_p 1, for GRPO learns from the distribution sampled from.
    """

    num_rollouts: int = 16
    """The group; not reported in the paper [I]."""
    after: int = 128
    """Most tokens behind the closing tag: the n of stream and judge; 0 where the judge reads the thought alone."""
    tags: Tags = Tags()
    """What thoughts stand between."""

    def __post_init__(self) -> None:
        require(self, "num_rollouts", at_least=1)
        require(self, "after", at_least=0)

    def build(self, resources: Resources) -> Source:
        """The working source, over the run's sampler."""
        return ThinkingRollouts(self, RolloutSource(self.num_rollouts).build(resources), resources.codec)


@dataclass(frozen=True, slots=True)
class ThinkingRollouts:
    """``ThinkingSource`` at work."""

    spec: ThinkingSource
    rollouts: Source
    codec: Codec

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        """``num_rollouts`` rollouts a chunk, clipped."""
        written = zip(chunks, self.rollouts.propose(chunks), strict=True)
        return [tuple(self._clipped(one, len(chunk.suffix)) for one in mine) for chunk, mine in written]

    def _clipped(self, written: Candidate | Absent, suffix: int) -> Candidate | Absent:
        """A rollout without what stands behind as many tokens as the suffix has."""
        if not isinstance(written, Rollout):
            return written
        end = end_of_thought(self.codec, self.spec.tags, written.tokens)
        if end is None or (end := end + min(self.spec.after, suffix)) >= len(written.tokens):
            return written
        logprobs = Floats(written.logprobs.array[:end])
        return replace(written, tokens=written.tokens[:end], logprobs=logprobs, finish="length")
