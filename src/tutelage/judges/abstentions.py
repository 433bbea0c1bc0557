"""Counting what judges did not decide, and where: failures on unsafe text are not missing at random."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tutelage.types import Abstained, JudgedPool

Safety = Literal["safe", "unsafe", "unknown"]


@dataclass(frozen=True, slots=True)
class AbstentionCount:
    """Verdicts on one axis about one source's candidates, of one kind of text."""

    axis: str
    source: str
    """Source of the candidates; empty in a sum over sources."""
    safety: Safety
    """What the safety judge says of the candidate at a threshold of one half; ``unknown`` without its verdict."""
    verdicts: int = 0
    """Verdicts asked for, reached or not."""
    abstained: int = 0
    """Verdicts not reached, refusals among them."""
    refused: int = 0
    """Abstentions in which the judge declined to answer."""
    example: str = ""
    """Reason of one abstention, with the beginning of what the judge said."""

    @property
    def rate(self) -> float:
        """Share of verdicts that were not reached; 0 where none was asked for."""
        return self.abstained / self.verdicts if self.verdicts else 0.0


def abstention_counts(judged_pools: Iterable[JudgedPool]) -> tuple[AbstentionCount, ...]:
    """Count verdicts and abstentions by axis, source and safety, sorted by these."""
    counts: dict[tuple[str, str, Safety], AbstentionCount] = {}
    for judged in judged_pools:
        for judgement in judged.judgements:
            for i, verdict in enumerate(judgement.verdicts):
                key = (judgement.axis, judged.pool.candidates[i].source, _safety(judged, i))
                reason = verdict.reason if isinstance(verdict, Abstained) else None
                counts[key] = _counted(counts.get(key, AbstentionCount(*key)), reason)
    return tuple(counts[key] for key in sorted(counts))


def abstentions_by_axis(counts: Sequence[AbstentionCount]) -> dict[str, AbstentionCount]:
    """The sums over source and safety: what a limit on abstentions is compared with."""
    sums: dict[str, AbstentionCount] = {}
    for one in counts:
        known = sums.get(one.axis, AbstentionCount(one.axis, "", "unknown"))
        sums[one.axis] = replace(
            known,
            verdicts=known.verdicts + one.verdicts,
            abstained=known.abstained + one.abstained,
            refused=known.refused + one.refused,
            example=known.example or one.example,
        )
    return sums


def _counted(count: AbstentionCount, reason: str | None) -> AbstentionCount:
    if reason is None:
        return replace(count, verdicts=count.verdicts + 1)
    return replace(
        count,
        verdicts=count.verdicts + 1,
        abstained=count.abstained + 1,
        refused=count.refused + reason.startswith("refus"),
        example=count.example or reason,
    )


def _safety(judged: JudgedPool, index: int) -> Safety:
    for judgement in judged.judgements:
        verdict = judgement.verdicts[index]
        if judgement.axis == "safety" and not isinstance(verdict, Abstained):
            return "safe" if verdict.value >= 0.5 else "unsafe"
    return "unknown"
