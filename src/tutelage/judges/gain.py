"""How much a thought helps a reader: what the author wrote is likelier behind it than without it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage.judges.closed import ClosedThoughts
from tutelage.judges.likelihood import LikelihoodJudge
from tutelage.maths.ranges import require
from tutelage.metrics import Metric
from tutelage.protocols import Codec, Judge, Resources
from tutelage.thoughts import Tags, end_of_thought
from tutelage.types import Abstained, Chunk, Judgement, Pool, Scored, Suffix, Tokens, Verdict


@dataclass(frozen=True, slots=True)
class LikelihoodGain:
    """Mean log-likelihood of the author's next tokens with the thought, less that without it, in nats a token.

    ``score(c) = (1/n) [log p(x | prefix, c) − log p(x | prefix)]`` under a frozen reference, as in RLP (2510.01265) [P]
    but for the models that it takes. A thought that does not end, or ends twice, scores ``floor``, and none scores
    less: a thought may make the text less likely, and no policy shall do better by not ending it [I].
    """

    path: str
    """Folder of a causal language model and its tokenizer, or a hub name."""
    tokenizer: str | None = None
    """Folder of its tokenizer where that is another."""
    length: int = 128
    """Tokens of the author's text that are scored, at most."""
    floor: float = -1.0
    """Least score, in nats a token, and that of a thought without an end [I]."""
    tags: Tags = Tags()
    """What thoughts stand between."""
    weight: float = 1.0
    """Factor in the sum over axes."""
    axis: str = "gain"
    """Name of what it scores."""

    def __post_init__(self) -> None:
        require(self, "length", at_least=1)
        require(self, "floor", below=0)

    def build(self, resources: Resources) -> Judge:
        """The working judge, its reference loaded.

        Raises:
            ValueError: no model or tokenizer at ``path``.
        """
        return GainJudge(self, LikelihoodJudge(self.path, self.tokenizer).build(resources), resources.codec)


class GainJudge:
    """``LikelihoodGain`` at work."""

    def __init__(self, spec: LikelihoodGain, reader: Judge, codec: Codec) -> None:
        self._spec = spec
        self._reader = reader
        self._codec = codec
        self._closed = ClosedThoughts(spec.axis)

    def take_metrics(self) -> dict[str, Metric]:
        """``thought/closed/AXIS``: share of candidates with one closing tag."""
        return self._closed.take()

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; all of its thoughts, and none, are read in one pass."""
        asked = [self._asked(pool) for pool in pools]
        read = iter(self._reader.judge([one for mine in asked for one in mine if one is not None]))
        found: list[tuple[Judgement, ...]] = []
        for mine in asked:
            base, *verdicts = [Scored(0.0) if one is None else next(read)[0].verdicts[0] for one in mine]
            given = zip(mine[1:], verdicts, strict=True)
            gains = tuple(self._gain(one, verdict, base) for one, verdict in given)
            calls = sum(one is not None for one in mine)
            self._closed.add(calls - 1, len(gains))
            found.append((Judgement(self._spec.axis, gains, self._spec.weight, calls=calls),))
        return found

    def _gain(self, read: Pool | None, verdict: Verdict, base: Verdict) -> Verdict:
        """What a thought that was read adds to ``base``; the floor where there was none to read."""
        floor = self._spec.floor
        if read is None:
            return Scored(floor)
        if isinstance(verdict, Abstained):
            return verdict
        return base if isinstance(base, Abstained) else Scored(max(verdict.value - base.value, floor))

    def _asked(self, pool: Pool) -> list[Pool | None]:
        """The author's text without a thought, then behind that of each candidate; ``None`` for one without an end."""
        chunk, tags = pool.chunk, self._spec.tags
        opening = len(self._codec.encode(tags.opening))
        truth = chunk.suffix[: self._spec.length]
        found: list[Pool | None] = [_reading(chunk, chunk.prefix[: len(chunk.prefix) - opening], truth)]
        for candidate in pool.candidates:
            end = end_of_thought(self._codec, tags, candidate.tokens)
            whole = end is not None and self._codec.decode(candidate.tokens).count(tags.closing) == 1
            thought = Tokens.join([chunk.prefix, candidate.tokens[:end]])
            found.append(_reading(chunk, thought, truth) if whole else None)
        return found


def _reading(chunk: Chunk, prefix: Tokens, truth: Tokens) -> Pool:
    return Pool(replace(chunk, prefix=prefix), (Suffix(truth),))
