"""What the runs of an arm took: documents, tokens, operations of policy and teachers, seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.evidence.arms import Arm
from tutelage.evidence.costs import TEACHER, forward_flops, per_document
from tutelage.evidence.settings import Setting
from tutelage.phases import Phase
from tutelage.report.history import History
from tutelage.sources import RewriteSource, RolloutSource


@dataclass(frozen=True, slots=True)
class Cost:
    """What the runs of an arm took, mean over seeds."""

    documents: float
    trained: float
    sampled: float
    flops: float
    """Of the policy and its reference."""
    flops_of_teachers: float
    """By assumption; see ``TEACHER``."""
    seconds: float


def cost(setting: Setting, runs: Sequence[History], arm: Arm) -> Cost:
    """From the metrics of an arm's runs, one history a seed. Only its last phase may have teachers.

    The calls of a judge that filters a stream are not in the metrics, and not counted.
    """
    last, one = arm.phases[-1], forward_flops(setting)
    prefix, suffix = setting.world.prefix_length, setting.world.suffix_length
    rewriter = any(isinstance(source, RewriteSource) for source in last.sources)
    samples = any(isinstance(source, RolloutSource) for source in last.sources)
    totals = [0.0] * 6
    for rows in runs:
        trained, sampled = (sum(row.get(f"tokens/{what}", 0.0) for row in rows) for what in ("trained", "sampled"))
        taught = _taught(last, rows, samples)
        pools = last.documents_per_step * last.taught_share * len(taught)
        calls = [(name, value) for row in rows for name, value in row.items() if name.startswith("calls/")]
        pairs = sum(value for name, value in calls if name == "calls/quality")
        pointwise = sum(value for name, value in calls if name != "calls/quality")
        asked = pools if rewriter else 0.0
        read = pointwise * (prefix + suffix) + pairs * (prefix + 2 * suffix) + asked * (prefix + 2 * suffix)
        drawn = sampled + (pools * prefix if samples else 0.0)
        flops = one * (3 * trained + _referred(setting, last, taught) + drawn)
        seconds = sum(v for row in rows for k, v in row.items() if k.startswith("seconds/"))
        documents = float(last.documents_per_step * len(rows))
        spent = (documents, trained, sampled, flops, TEACHER * one * read, seconds)
        totals = [total + value for total, value in zip(totals, spent, strict=True)]
    return Cost(*(total / max(len(runs), 1) for total in totals))


def _taught(last: Phase, rows: History, samples: bool) -> History:
    """Updates of the last phase, if it has teachers: from the first that sampled on, whether or not each one did."""
    if not last.sources:
        return []
    return next((rows[start:] for start, row in enumerate(rows) if row.get("tokens/sampled", 0.0) or not samples), [])


def _referred(setting: Setting, phase: Phase, taught: Sequence[Mapping[str, float]]) -> float:
    """Tokens that the reference reads: those of taught documents."""
    if not phase.objective.needs_reference:
        return 0.0
    pair, plain = (per_document(setting, what).trained for what in (phase.objective, setting.ntp.objective))
    share = phase.taught_share * pair / (phase.taught_share * pair + (1 - phase.taught_share) * plain)
    return share * sum(row.get("tokens/trained", 0.0) for row in taught)
