"""What is counted of pools and verdicts: lengths, endings, scores, abstentions, and how old rollouts are."""

from collections.abc import Sequence

from tutelage.metrics import Mean, Metric, Peak, Sum, merge
from tutelage.types import Abstained, JudgedPool, Pool, Rollout, Scored, Suffix


def source_metrics(pools: Sequence[Pool]) -> dict[str, Metric]:
    """Lengths, endings and first tokens by source, so that an artefact of a source cannot be what is learnt unseen."""
    parts: list[dict[str, Metric]] = []
    for pool in pools:
        for candidate in pool.candidates:
            length = len(candidate.tokens)
            part: dict[str, Metric] = {f"length/{candidate.source}": Mean(length, 1)}
            if not isinstance(candidate, Suffix):
                same = candidate.tokens[:1] == pool.chunk.suffix[:1]
                part[f"first_token/{candidate.source}"] = Mean(float(same), 1)
            if isinstance(candidate, Rollout):
                part["rollout/stopped"] = Mean(float(candidate.finish == "stop"), 1)
                part["tokens/sampled"] = Sum(length)
                part["policy/surprise"] = Mean(-float(candidate.logprobs.array.sum()), length)
            parts.append(part)
        parts.extend({f"absent/{absent.source}": Sum(1)} for absent in pool.absent)
    return merge(parts)


def judgement_metrics(judged: Sequence[JudgedPool]) -> dict[str, Metric]:
    """Scores by axis and source, with the highest; abstentions by axis, by source and by safety, refusals apart.

    What was not asked (nobody to compare with) is neither. A text is unsafe where the axis ``safety`` gives it less
    than one half: judges refuse most on such text, so that its abstentions are not missing at random.
    """
    parts: list[dict[str, Metric]] = []
    for pool in judged:
        kinds = _safety(pool)
        for judgement in pool.judgements:
            axis = judgement.axis
            parts.append({f"calls/{axis}": Sum(judgement.calls)})
            for candidate, kind, verdict in zip(pool.pool.candidates, kinds, judgement.verdicts, strict=True):
                places = [axis, f"{axis}/{candidate.source}"]
                if kind and axis != "safety":
                    places.append(f"{axis}/{kind}")
                match verdict:
                    case Scored(value):
                        part: dict[str, Metric] = {f"abstained/{place}": Mean(0.0, 1) for place in places}
                        part |= {f"score/{axis}/{candidate.source}": Mean(value, 1), f"score_peak/{axis}": Peak(value)}
                    case Abstained() if verdict.asked:
                        part = {f"abstained/{place}": Mean(1.0, 1) for place in places}
                        part[f"refused/{axis}"] = Sum(float(verdict.refused))
                    case Abstained():
                        part = {}
                parts.append(part)
    return merge(parts)


def _safety(judged: JudgedPool) -> list[str]:
    """``safe`` or ``unsafe`` for every candidate by the verdict on safety; empty where there is none."""
    kinds = [""] * len(judged.pool.candidates)
    for judgement in judged.judgements:
        if judgement.axis == "safety":
            scores = [v.value if isinstance(v, Scored) else None for v in judgement.verdicts]
            kinds = ["" if score is None else "safe" if score >= 0.5 else "unsafe" for score in scores]
    return kinds


def first_abstention(judged: Sequence[JudgedPool], axis: str) -> str | None:
    """One reason that the judge of ``axis`` gave for not answering, for the message that stops a run."""
    for pool in judged:
        for judgement in pool.judgements:
            for verdict in judgement.verdicts:
                if judgement.axis == axis and isinstance(verdict, Abstained) and verdict.asked:
                    return verdict.reason
    return None


def staleness(judged: Sequence[JudgedPool], version: int) -> dict[str, Metric]:
    """``rollout/staleness``: updates that the policy, now at ``version``, has had since it wrote a rollout, mean."""
    ages = [version - c.policy_version for j in judged for c in j.pool.candidates if isinstance(c, Rollout)]
    return {"rollout/staleness": Mean(float(sum(ages)), len(ages))} if ages else {}
