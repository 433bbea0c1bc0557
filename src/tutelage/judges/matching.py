"""Whether what the policy says behind its thought is what the author said (2601.21343 §2.1).

The judge sees predicted and true continuation only, both clipped to the same number of tokens. A continuation that does
not have exactly one closing tag scores 0 and nobody is asked about it [P].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tutelage.judges.pointwise import PointwiseJudge, check_answers
from tutelage.maths.ranges import require
from tutelage.metrics import Mean, Metric
from tutelage.prompts import MatchPrompt
from tutelage.protocols import Codec, Judge, Resources, TextModelSpec
from tutelage.thoughts import Tags
from tutelage.types import Candidate, Judgement, Pool, Scored, Tokens, Verdict


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

    def prediction(self, candidate: Candidate) -> str | None:
        """What stands behind the thought; ``None`` where there is not exactly one closing tag."""
        text = self.codec.decode(candidate.tokens)
        if self.tags is None:
            return text
        return text.partition(self.tags.closing)[2] if text.count(self.tags.closing) == 1 else None

    def pool(self, pool: Pool) -> tuple[Pool, tuple[int, ...]]:
        """The pool that a judge is to see: truth and predictions alone, and which candidate each of them was."""
        codec = self.codec
        truth = codec.encode(codec.decode(pool.chunk.suffix))[: self.length]
        said = [self.prediction(candidate) for candidate in pool.candidates]
        shown = [i for i, text in enumerate(said) if text]
        texts = codec.encode_many([said[i] or "" for i in shown]) if shown else []
        clipped = [replace(pool.candidates[i], tokens=t[: len(truth)]) for i, t in zip(shown, texts, strict=True)]
        chunk = replace(pool.chunk, prefix=Tokens([]), suffix=truth)
        return Pool(chunk, tuple(clipped)), tuple(shown)


class MatchJudge:
    """Either of the two at work; nobody is asked where ``asker`` is ``None``, and tokens are compared."""

    def __init__(self, clipping: Clipping, axis: str, weight: float, asker: PointwiseJudge | None) -> None:
        self._clipping = clipping
        self._axis = axis
        self._weight = weight
        self._asker = asker
        self._closed = Mean(0.0, 0.0)

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; the questions of all pools go out together."""
        seen = [self._clipping.pool(pool) for pool in pools]
        judged = self._asker.judge([pool for pool, _ in seen]) if self._asker else [_exact(p) for p, _ in seen]
        return [
            (self._spread(pool, shown, found),) for pool, (_, shown), (found,) in zip(pools, seen, judged, strict=True)
        ]

    def take_metrics(self) -> dict[str, Metric]:
        """``thought/closed/AXIS``: share of candidates with one closing tag and something behind it; what was asked."""
        closed, self._closed = self._closed, Mean(0.0, 0.0)
        counted: dict[str, Metric] = {f"thought/closed/{self._axis}": closed} if closed.count else {}
        return counted | (self._asker.take_metrics() if self._asker else {})

    def _spread(self, pool: Pool, shown: Sequence[int], found: Judgement) -> Judgement:
        """The verdicts on those that were shown, and 0 on the others."""
        total = len(pool.candidates)
        self._closed = Mean(self._closed.total + len(shown), self._closed.count + total)
        verdicts: list[Verdict] = [Scored(0.0)] * total
        words = ["no prediction: not exactly one closing tag, or nothing behind it"] * total
        for place, i in enumerate(shown):
            verdicts[i] = found.verdicts[place]
            words[i] = found.words[place] if found.words else ""
        return Judgement(self._axis, tuple(verdicts), self._weight, tuple(words), found.calls)


def _exact(pool: Pool) -> tuple[Judgement, ...]:
    truth = pool.chunk.suffix
    return (Judgement("", tuple(Scored(float(c.tokens == truth and len(truth) > 0)) for c in pool.candidates)),)
