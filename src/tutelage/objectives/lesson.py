"""What every objective shares: the Protocol, the lesson, the anchor to the corpus, and the choice of best and worst."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args, get_type_hints, runtime_checkable

import torch
from torch import Tensor

from tutelage import rng
from tutelage.collate import Batch
from tutelage.episodes import EpisodeGroup
from tutelage.maths.credit import best_and_worst
from tutelage.metrics import Mean, Metrics
from tutelage.scoring import Scores
from tutelage.types import Abstained, Candidate, Chunk, Group, Item, JudgedPool, Row, Scored, Segment

Counts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an objective makes of one judged pool, or of the episodes of one problem."""

    item: Item | None
    """What to train on; ``None`` where the pool teaches nothing."""
    metrics: Metrics = field(default_factory=dict[str, Mean])
    """What happened: who won, whether it was a tie, why it was left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Weighted sums over a micro-batch, one a term; the loop divides each by its count over the whole step."""

    totals: Mapping[str, Tensor]
    metrics: Metrics = field(default_factory=dict[str, Mean])


@runtime_checkable
class Objective(Protocol):
    """A way to learn from judged pools, or from the episodes of problems."""

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares the policy with a frozen reference."""
        ...

    def lesson(self, group: Any, /) -> Lesson:
        """Assign credit: what of this group is trained, and how. Pure.

        A group is what the phase's task gives: a ``JudgedPool``, or an ``EpisodeGroup``. Each objective takes one kind.
        """
        ...

    def counts(self, batch: Batch) -> Counts:
        """What each term of the loss is a mean over, counted in this micro-batch."""
        ...

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """The terms of the loss on this micro-batch, before division."""
        ...


@runtime_checkable
class FollowsMetrics(Protocol):
    """An objective whose settings follow what was measured in the steps before; all it knows is in the checkpoint."""

    @property
    def follows(self) -> Mapping[str, int]:
        """Metrics that it looks at, and over how many steps; none where it is not asked to."""
        ...

    def adapted(self, history: Mapping[str, tuple[float, ...]]) -> Objective:
        """The objective of the next step, where ``history`` holds the last values of these metrics, newest last."""
        ...


def learns_from(objective: Objective, group: type) -> bool | None:
    """Whether an objective's lesson takes such groups, by its annotation; ``None`` where that is open."""
    try:
        hints = get_type_hints(type(objective).lesson)
    except (NameError, TypeError):
        return None
    kinds = {kind for name, hint in hints.items() if name != "return" for kind in get_args(hint) or (hint,)}
    return group in kinds if kinds and kinds <= {EpisodeGroup, JudgedPool} else None


def prefix_segments(chunk: Chunk, ntp_weight: float) -> tuple[Segment, ...]:
    """The prefix as the trunk of a row, carrying the anchor to the corpus if there is one.

    Of several cuts of a document each anchors what it adds to the cut before, so that no token counts twice.
    """
    if not ntp_weight or not chunk.repeated:
        return (Segment(chunk.prefix, ntp_weight=ntp_weight),)
    return (Segment(chunk.prefix[: chunk.repeated]), Segment(chunk.prefix[chunk.repeated :], ntp_weight=ntp_weight))


def candidate_row(chunk: Chunk, candidate: Candidate, ntp_weight: float) -> Row:
    """Prefix and candidate, the candidate trained."""
    return Row((*prefix_segments(chunk, ntp_weight), Segment(candidate.tokens, trained=True)))


def anchor_only(chunk: Chunk, ntp_weight: float) -> Group | None:
    """A pool without a winner still trains its document's prefix by its NTP weight."""
    return anchored(prefix_segments(chunk, ntp_weight))


def anchored(segments: tuple[Segment, ...]) -> Group | None:
    """These as a row of their own, where any of them carries the anchor."""
    alone = Row(segments)
    return Group((alone,)) if any(one.ntp_weight for one in segments) and alone.length > 1 else None


def choose(
    judged: JudgedPool, *, min_comparisons: int, min_gap: float
) -> tuple[tuple[Candidate, Candidate] | None, dict[str, Mean]]:
    """Best and worst candidate by the sum over axes, or ``None`` with the reason counted.

    Candidates that a judge abstained on, that were compared too rarely, or that are empty take no part; on axes that
    judge every candidate by itself nothing is compared, so ``min_comparisons`` does not limit them. Equal scores are
    ordered by a keyed draw, so that the order of the sources cannot favour one.
    """
    totals = judged.totals
    usable: list[float | None] = [
        t.value if isinstance(t, Scored) and not 0 < t.comparisons < min_comparisons and len(c.tokens) else None
        for t, c in zip(totals, judged.pool.candidates, strict=True)
    ]
    # By what was written: rollouts differ from run seed to run seed, and the order of the pool has no say.
    key = judged.pool.chunk.key
    order = [rng.seed("tie", *key, c.tokens.digest) + i for i, c in enumerate(judged.pool.candidates)]
    found = best_and_worst(usable, min_gap=min_gap, order=order)
    values = [value for value in usable if value is not None]
    tied = len(values) > 1 and found is None
    metrics = {
        "pool/taught": Mean(float(found is not None), 1),
        "pool/tie": Mean(float(tied), 1),
        "pool/too_few": Mean(float(len(values) < 2), 1),
        "pool/abstained": Mean(float(sum(isinstance(t, Abstained) for t in totals)), len(totals)),
    }
    if values:
        metrics["pool/score_spread"] = Mean(max(values) - min(values), 1)
        metrics["pool/score_mean"] = Mean(sum(values) / len(values), 1)
    if found is None:
        return None, metrics
    best, worst = (judged.pool.candidates[i] for i in found)
    sources = {candidate.source for candidate in judged.pool.candidates}
    metrics |= {f"chosen/{s}": Mean(float(best.source == s), 1) for s in sources}
    metrics |= {f"rejected/{s}": Mean(float(worst.source == s), 1) for s in sources}
    return (best, worst), metrics


def nll_terms(policy: Scores, batch: Batch, weight: float) -> tuple[dict[str, Tensor], dict[str, Mean]]:
    """Negative log-likelihood of the trained tokens, a mean over tokens."""
    picked = policy.logprobs[batch.trained]
    total = -picked.sum()
    return {"nll": weight * total}, {"loss/nll": Mean(float(total.detach()), float(picked.numel()))}


def ntp_terms(policy: Scores, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Mean]]:
    """The anchor: next-token loss of the corpus's own tokens, each with its weight, a mean over those tokens."""
    anchored = batch.ntp_weight > 0
    if not bool(anchored.any()):
        return {}, {}
    weights = batch.ntp_weight.to(policy.logprobs.device)
    total = -(policy.logprobs * weights).sum()
    plain = -policy.logprobs.detach()[anchored.to(policy.logprobs.device)].sum()
    return {"ntp": total}, {"loss/ntp": Mean(float(plain), float(anchored.sum()))}


def token_counts(batch: Batch) -> dict[str, float]:
    """Counts of the token-mean terms: trained tokens, anchored tokens."""
    return {"nll": float(batch.trained.sum()), "ntp": float((batch.ntp_weight > 0).sum())}


def entropy_metric(policy: Scores, batch: Batch) -> dict[str, Mean]:
    """Entropy of the policy at the trained tokens, in nats."""
    picked = policy.entropy[batch.trained.to(policy.entropy.device)]
    return {"policy/entropy": Mean(float(picked.sum()), float(picked.numel()))} if picked.numel() else {}


def zero(policy: Scores) -> Tensor:
    """A zero that hangs on the policy's graph, for a micro-batch in which a term has nothing."""
    return policy.logprobs.sum() * 0.0 if policy.logprobs.numel() else torch.zeros(())
