"""A guard around any judge: silence, stubs and repetition score the floor.

That a candidate is empty or repeats itself is measured, not judged, so it is a score and no failure. Where the judge
fails on a candidate that passes, its abstention stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage.maths.statistics import repeated_ngrams
from tutelage.metrics import Metric, counted
from tutelage.protocols import Codec, Judge, JudgeSpec, Resources
from tutelage.types import Judgement, Pool, Scored, Tokens, Verdict


@dataclass(frozen=True, slots=True)
class Guard:
    """Gives ``floor`` on every axis of ``judge`` to a candidate that is empty, cut short or repeats itself.

    Guard every judge of a phase: what is silent is also safe, and would win by the axis left open [I]. The wrapped
    judge still sees the whole pool, so that the scores of the other candidates do not depend on the guard.

    Example:
        >>> from tutelage.judges.likelihood import LikelihoodJudge
        >>> Guard(LikelihoodJudge("models/reference"), floor=-20.0).max_repetition
        0.5
    """

    judge: JudgeSpec
    floor: float
    """The score of a candidate that does not pass: the lowest of the judge's scale, 0 for win rates and shares."""
    min_tokens: int = 1
    """Fewest tokens, end-of-text not counted; blank text never passes."""
    min_share: float = 0.25
    """Fewest tokens as a share of the original suffix's [I]: a text that stops early is cut short."""
    max_repetition: float = 0.5
    """Largest share of n-grams that occurred in the candidate before [I]."""
    max_copied: float = 0.9
    """Largest share of n-grams that stand in the prefix already [I]."""
    ngram: int = 4
    """Tokens of an n-gram; shorter texts neither repeat nor copy."""

    def __post_init__(self) -> None:
        if self.min_tokens < 0 or self.ngram < 1:
            raise ValueError(
                f"Guard needs min_tokens of at least 0 and ngram of at least 1; got {self.min_tokens} and {self.ngram}"
            )

    def build(self, resources: Resources) -> Judge:
        """The working judge behind its guard."""
        return GuardedJudge(self, self.judge.build(resources), resources.codec)


class GuardedJudge:
    """``Guard`` at work."""

    def __init__(self, spec: Guard, judge: Judge, codec: Codec) -> None:
        self._spec = spec
        self._judge = judge
        self._codec = codec

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """The wrapped judge's judgements, the floor in the place of what does not pass."""
        judged = self._judge.judge(pools)
        return [
            tuple(self._guarded(judgement, faults) for judgement in judgements)
            for pool, judgements in zip(pools, judged, strict=True)
            for faults in [[self._fault(pool, candidate.tokens) for candidate in pool.candidates]]
        ]

    def take_metrics(self) -> dict[str, Metric]:
        """What the wrapped judge counted."""
        return counted(self._judge)

    def _guarded(self, judgement: Judgement, faults: Sequence[str | None]) -> Judgement:
        if not any(faults):
            return judgement
        verdicts = tuple(
            verdict if fault is None else self._floored(verdict)
            for verdict, fault in zip(judgement.verdicts, faults, strict=True)
        )
        words = tuple(
            said if fault is None else "\n".join(filter(None, (said, f"guard: {fault}")))
            for said, fault in zip(judgement.words or [""] * len(faults), faults, strict=True)
        )
        return replace(judgement, verdicts=verdicts, words=words)

    def _floored(self, verdict: Verdict) -> Scored:
        """The floor, after as many comparisons as the wrapped judge made."""
        return Scored(self._spec.floor, verdict.comparisons if isinstance(verdict, Scored) else 0)

    def _fault(self, pool: Pool, tokens: Tokens) -> str | None:
        """Why a candidate does not pass; ``None`` where it does."""
        spec, text = self._spec, _without(tokens, self._codec.eos)
        least = max(spec.min_tokens, spec.min_share * len(_without(pool.chunk.suffix, self._codec.eos)))
        if not self._codec.decode(text).strip():
            return "empty"
        if len(text) < least:
            return f"cut short: {len(text)} tokens, fewer than {least:g}"
        ids = text.tolist()
        repeated = repeated_ngrams(ids, spec.ngram)
        if repeated > spec.max_repetition:
            return f"repeats itself: {repeated:.2f} of its {spec.ngram}-grams"
        copied = copied_ngrams(ids, pool.chunk.prefix.tolist(), spec.ngram)
        if copied > spec.max_copied:
            return f"copies the prefix: {copied:.2f} of its {spec.ngram}-grams"
        return None


def _without(tokens: Tokens, eos: int) -> Tokens:
    return tokens[:-1] if len(tokens) and tokens[-1] == eos else tokens


def copied_ngrams(tokens: Sequence[int], prefix: Sequence[int], n: int) -> float:
    """Share of the ``n``-grams of ``tokens`` that occur in ``prefix``; 0 where there is none."""
    own = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    known = {tuple(prefix[i : i + n]) for i in range(len(prefix) - n + 1)}
    return sum(gram in known for gram in own) / len(own) if own else 0.0
