"""Whether what the policy says behind its thought is what the author said (2601.21343 §2.1).

The judge sees predicted and true continuation only, both clipped to the same number of tokens. A rollout that does not
have exactly one closing tag up to there scores 0 and nobody is asked about it [P]; what stands behind is not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tutelage.judges.closed import ClosedThoughts
from tutelage.judges.pointwise import PointwiseJudge, check_answers
from tutelage.maths.ranges import require
from tutelage.metrics import Metric
from tutelage.prompts import MatchPrompt
from tutelage.protocols import Codec, Judge, Resources, TextModelSpec
from tutelage.thoughts import Tags, end_of_thought
from tutelage.types import Judgement, Pool, Scored, Tokens, Verdict


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """1 where the tokens behind the thought are the author's, else 0: for worlds, numbers, and RPT's next token.

    Without tags nothing is thought, and the candidate is compared from its beginning.
    """

    length: int = 128
    """Tokens that are compared, at most; 1 is RPT (2506.08007)."""
    tags: Tags | None = Tags()
    """What thoughts stand between."""
    weight: float = 1.0
    """Factor in the sum over axes."""
    axis: str = "match"
    """Name of what it scores."""

    def __post_init__(self) -> None:
        require(self, "length", at_least=1)

    def build(self, resources: Resources) -> Judge:
        """The working judge."""
        return MatchJudge(Clipping(resources.codec, self.tags, self.length), self.axis, self.weight, None)


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    """Mean over ``samples`` answers of a model that is asked whether prediction and truth match [P].

    With ``MatchPrompt(covers="beginning")`` it is the reward of RLPT (2509.19249).
    """

    model: TextModelSpec
    samples: int = 1
    """Answers a candidate; several are averaged [C], how many is not public."""
    min_answers: int = 1
    """With fewer valid answers, a candidate is abstained on."""
    length: int = 128
    """Tokens of prediction and truth that are shown, at most: the n of the authors' code, not public [C]."""
    tags: Tags | None = Tags()
    """What thoughts stand between."""
    weight: float = 1.0
    """Factor in the sum over axes."""
    axis: str = "match"
    """Name of what it scores."""
    prompt: MatchPrompt = field(default_factory=MatchPrompt)

    def __post_init__(self) -> None:
        require(self, "length", at_least=1)
        check_answers(self)

    def build(self, resources: Resources) -> Judge:
        """The working judge, its model loaded."""
        prompt = self.prompt
        asker = PointwiseJudge(
            self, resources, lambda texts, i: prompt.ask(texts.suffix, texts.candidates[i], code=texts.code)
        )
        return MatchJudge(Clipping(resources.codec, self.tags, self.length), self.axis, self.weight, asker)


@dataclass(frozen=True, slots=True)
class Clipping:
    """Brings prediction and truth to one length."""

    codec: Codec
    tags: Tags | None
    length: int

    def prediction(self, tokens: Tokens, room: int) -> Tokens | None:
        """At most ``room`` tokens behind the thought; ``None`` where not exactly one closing tag stands up to there."""
        if self.tags is None:
            return tokens[:room]
        end = end_of_thought(self.codec, self.tags, tokens)
        if end is None or self.codec.decode(tokens[: end + room]).count(self.tags.closing) != 1:
            return None
        # The token that ends the tag may hold the beginning of what follows, too.
        begun = self.codec.decode(tokens[:end]).partition(self.tags.closing)[2]
        return Tokens.join([self.codec.encode(begun), tokens[end : end + room]])[:room]

    def pool(self, pool: Pool) -> tuple[Pool, tuple[int, ...]]:
        """The pool that a judge is to see: truth and predictions alone, and which candidate each of them was."""
        truth = pool.chunk.suffix[: self.length]
        said = [self.prediction(candidate.tokens, len(truth)) for candidate in pool.candidates]
        shown = {i: tokens for i, tokens in enumerate(said) if tokens is not None and len(tokens)}
        clipped = tuple(replace(pool.candidates[i], tokens=tokens) for i, tokens in shown.items())
        return Pool(replace(pool.chunk, prefix=Tokens([]), suffix=truth), clipped), tuple(shown)


class MatchJudge:
    """Either of the two at work; nobody is asked where ``asker`` is ``None``, and tokens are compared."""

    def __init__(self, clipping: Clipping, axis: str, weight: float, asker: PointwiseJudge | None) -> None:
        self._clipping = clipping
        self._axis = axis
        self._weight = weight
        self._asker = asker
        self._closed = ClosedThoughts(axis)

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; the questions of all pools go out together."""
        seen = [self._clipping.pool(pool) for pool in pools]
        judged = self._asker.judge([pool for pool, _ in seen]) if self._asker else [_exact(p) for p, _ in seen]
        return [
            (self._spread(pool, shown, found),) for pool, (_, shown), (found,) in zip(pools, seen, judged, strict=True)
        ]

    def take_metrics(self) -> dict[str, Metric]:
        """``thought/closed/AXIS``: share of candidates with one closing tag and something behind it; what was asked."""
        return self._closed.take() | (self._asker.take_metrics() if self._asker else {})

    def _spread(self, pool: Pool, shown: Sequence[int], found: Judgement) -> Judgement:
        """The verdicts on those that were shown, and 0 on the others."""
        total = len(pool.candidates)
        self._closed.add(len(shown), total)
        verdicts: list[Verdict] = [Scored(0.0)] * total
        words = ["no prediction: not exactly one closing tag, or nothing behind it"] * total
        for place, i in enumerate(shown):
            verdicts[i] = found.verdicts[place]
            words[i] = found.words[place] if found.words else ""
        return Judgement(self._axis, tuple(verdicts), self._weight, tuple(words), found.calls)


def _exact(pool: Pool) -> tuple[Judgement, ...]:
    truth = pool.chunk.suffix
    return (Judgement("", tuple(Scored(float(c.tokens == truth and len(truth) > 0)) for c in pool.candidates)),)
