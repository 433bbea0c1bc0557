"""What the runs of an arm took: documents, tokens, operations of policy and teachers, seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.evidence.arms import Arm
from tutelage.evidence.costs import TEACHER, forward_flops
from tutelage.evidence.settings import Setting
from tutelage.phases import Steps
from tutelage.report.history import History
from tutelage.sources import RewriteSource


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
    """From the metrics of an arm's runs, one history a seed. Only its last phase may have teachers."""
    last = arm.phases[-1]
    documents, reference = last.documents_per_step, last.objective.needs_reference
    rewriter = any(isinstance(source, RewriteSource) for source in last.sources)
    world, one = setting.world, forward_flops(setting)
    prefix, suffix = world.prefix_length, world.suffix_length
    totals = [0.0] * 6
    for rows in runs:
        trained = sum(row.get("tokens/trained", 0.0) for row in rows)
        sampled = sum(row.get("tokens/sampled", 0.0) for row in rows)
        read = documents * len(rows)
        begun = sum(phase.until.count for phase in arm.phases[:-1] if isinstance(phase.until, Steps))
        pools = documents * last.taught_share * (len(rows) - begun) if last.sources else 0.0
        pointwise = sum(row.get(f"calls/{axis}", 0.0) for row in rows for axis in ("factuality", "safety"))
        pairs = sum(row.get("calls/quality", 0.0) for row in rows)
        asked = pools if rewriter else 0.0
        taught = pointwise * (prefix + suffix) + pairs * (prefix + 2 * suffix) + asked * (prefix + 2 * suffix)
        drawn = sampled + (pools * prefix if sampled else 0.0)
        flops = one * ((4 if reference else 3) * trained + drawn)
        seconds = sum(v for row in rows for k, v in row.items() if k.startswith("seconds/"))
        spent = (read, trained, sampled, flops, TEACHER * one * taught, seconds)
        totals = [total + value for total, value in zip(totals, spent, strict=True)]
    return Cost(*(total / max(len(runs), 1) for total in totals))
