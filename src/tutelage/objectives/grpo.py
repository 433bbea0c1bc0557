"""Group-relative policy gradient on rollouts: GRPO, and Dr. GRPO as a choice of its normalisations."""

import math
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor

from tutelage.collate import Batch
from tutelage.maths.credit import group_advantages
from tutelage.maths.logprobs import sum_by_row
from tutelage.maths.losses import kl_policy_to_reference, kl_reference_to_policy, policy_gradient_loss
from tutelage.maths.ranges import require
from tutelage.metrics import Mean, Metric
from tutelage.objectives.lesson import (
    Counts,
    Lesson,
    Loss,
    anchor_only,
    entropy_metric,
    ntp_terms,
    prefix_segments,
    token_counts,
    zero,
)
from tutelage.scoring import Scores
from tutelage.types import Abstained, Chunk, Group, JudgedPool, Rollout, Row, Scored, Segment


def _metrics(judged: JudgedPool, rewards: list[float], *, spread: bool) -> dict[str, Metric]:
    """What became of the group, under the names that ``lesson.choose`` uses; abstentions among the rollouts alone."""
    totals = zip(judged.pool.candidates, judged.totals, strict=True)
    silent = [isinstance(total, Abstained) for candidate, total in totals if isinstance(candidate, Rollout)]
    metrics: dict[str, Metric] = {
        "pool/taught": Mean(float(spread), 1),
        "pool/tie": Mean(float(len(rewards) > 1 and not spread), 1),
        "pool/too_few": Mean(float(len(rewards) < 2), 1),
        "pool/abstained": Mean(float(sum(silent)), len(silent)),
    }
    if rewards:
        metrics["pool/score_mean"] = Mean(sum(rewards), len(rewards))
        metrics["pool/score_spread"] = Mean(max(rewards) - min(rewards), 1)
    return metrics


def _require_untruncated(members: list[tuple[Rollout, float]]) -> None:
    """A ratio against a truncated or tempered sampler would be biased without a sign of it."""
    for rollout, _ in members:
        if rollout.temperature != 1.0 or rollout.top_p != 1.0:
            raise ValueError(
                f"GRPO needs rollouts at temperature 1 and top_p 1, not {rollout.temperature} and {rollout.top_p}: "
                "its ratio compares the policy with the distribution that was sampled from"
            )


@dataclass(frozen=True, slots=True)
class GRPO:
    """GRPO (2402.03300 Eq. 3) on the rollouts of a pool; other candidates only take part in the judging.

    L = −(1/R) Σ_i (1/|o_i|) Σ_t [min(r_t A_i, clip(r_t, 1−ε_low, 1+ε_high) A_i) − β KL_t] with r_t against the
    behaviour policy that the sampler recorded. Dr. GRPO (2503.20783) is ``std=False, length="constant"``.

    Deviations: R counts the rollouts of the whole step, not of one group, so that uneven groups weigh by their size
    [I]; the KL estimator is named by the gradient that it has, not by its value.
    """

    clip_low: float = 0.2
    """ε_low: ratios under 1 − ε_low are clipped."""
    clip_high: float = 0.2
    """ε_high: ratios over 1 + ε_high are clipped."""
    kl_weight: float = 0.0
    """β; at 0 no reference is run."""
    kl: Literal["policy_to_reference", "reference_to_policy"] = "policy_to_reference"
    """Whose gradient the estimator has under the policy's samples: ∇KL(π‖π_ref), or ∇KL(π_ref‖π) (GRPO's own, k3)."""
    baseline: Literal["mean", "leave_one_out"] = "mean"
    """What a reward is compared with: the group's mean, or the mean of the others."""
    std: bool = True
    """Divide advantages by the group's standard deviation; Dr. GRPO does not."""
    length: Literal["row", "constant", "token"] = "row"
    """Mean over each row's own tokens (GRPO), sum over ``constant_length`` (Dr. GRPO), or mean over all tokens of the
    step (DAPO)."""
    constant_length: int = 128
    """Divisor of ``length="constant"``: the suffix length N; no rollout may be longer."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix."""

    def __post_init__(self) -> None:
        require(self, "clip_low", above=0, at_most=1)
        require(self, "clip_high", above=0)
        require(self, "kl_weight", "ntp_weight", at_least=0)
        require(self, "constant_length", at_least=1)

    @property
    def needs_reference(self) -> bool:
        """Only with a KL term."""
        return self.kl_weight > 0

    def lesson(self, judged: JudgedPool) -> Lesson:
        """Every scored rollout with its advantage; a group without spread trains its anchor alone.

        Raises:
            ValueError: a score that is not finite, or a rollout that was sampled at another temperature or top_p than 1
                or is longer than ``constant_length`` where that divides.
        """
        pool = judged.pool
        members: list[tuple[Rollout, float]] = []
        for candidate, total in zip(pool.candidates, judged.totals, strict=True):
            if isinstance(candidate, Rollout) and isinstance(total, Scored) and len(candidate.tokens):
                members.append((candidate, total.value))
        _require_untruncated(members)
        self._require_fitting(members)
        rewards = [reward for _, reward in members]
        if not all(map(math.isfinite, rewards)):
            raise ValueError(f"a score must be finite, got {rewards}; what could not be judged is Abstained(reason)")
        spread = len(members) > 1 and max(rewards) > min(rewards)
        metrics = _metrics(judged, rewards, spread=spread)
        if not spread:
            return Lesson(anchor_only(pool.chunk, self.ntp_weight), metrics)
        advantages = group_advantages(rewards, baseline=self.baseline, std=self.std)
        rows = [
            self._row(pool.chunk, rollout, advantage or 0.0, self.ntp_weight if i == 0 else 0.0)
            for i, ((rollout, _), advantage) in enumerate(zip(members, advantages, strict=True))
        ]
        return Lesson(Group(tuple(rows)), metrics)

    def _require_fitting(self, members: list[tuple[Rollout, float]]) -> None:
        longest = max((len(rollout.tokens) for rollout, _ in members), default=0)
        if self.length == "constant" and longest > self.constant_length:
            raise ValueError(
                f"GRPO's constant_length is {self.constant_length}, but a rollout has {longest} tokens: "
                "set constant_length to the stream's suffix_length"
            )

    def _row(self, chunk: Chunk, rollout: Rollout, advantage: float, ntp_weight: float) -> Row:
        written = Segment(
            rollout.tokens,
            trained=True,
            advantage=advantage,
            kl_weight=self.kl_weight,
            logprobs=rollout.logprobs,
        )
        return Row((*prefix_segments(chunk, ntp_weight), written))

    def counts(self, batch: Batch) -> Counts:
        """Rows or tokens, as ``length`` says; anchored tokens."""
        counts = token_counts(batch)
        trained = counts["nll"] if self.length == "token" else float(batch.row[batch.trained].unique().numel())
        return {"policy_gradient": trained, "ntp": counts["ntp"]}

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """The clipped surrogate with its KL leash and the anchor."""
        totals, metrics = ntp_terms(policy, batch)
        trained = batch.trained
        if not bool(trained.any()):
            return Loss(totals | {"policy_gradient": zero(policy)}, metrics)
        ours, behaviour = policy.logprobs[trained], batch.behaviour[trained]
        per_token = policy_gradient_loss(ours, behaviour, batch.advantage[trained], self.clip_low, self.clip_high)
        if reference is not None:
            leash = self._kl(ours, reference.logprobs[trained])
            per_token = per_token + batch.kl_weight[trained] * leash
            metrics = metrics | {"policy/kl": Mean(float(leash.detach().sum()), float(leash.numel()))}
        ratio = torch.exp((ours - behaviour).detach())
        outside = (ratio > 1 + self.clip_high) | (ratio < 1 - self.clip_low)
        metrics = metrics | entropy_metric(policy, batch)
        metrics |= {
            "loss/policy_gradient": Mean(float(per_token.detach().sum()), float(ours.numel())),
            "policy/mismatch": Mean(float((ours - behaviour).detach().abs().sum()), float(ours.numel())),
            "policy/clipped": Mean(float(outside.sum()), float(ours.numel())),
        }
        return Loss(totals | {"policy_gradient": self._over_length(per_token, batch)}, metrics)

    def _kl(self, ours: Tensor, theirs: Tensor) -> Tensor:
        match self.kl:
            case "policy_to_reference":
                return kl_policy_to_reference(ours, theirs)
            case "reference_to_policy":
                return kl_reference_to_policy(ours, theirs)
            case _:
                assert_never(self.kl)

    def _over_length(self, per_token: Tensor, batch: Batch) -> Tensor:
        rows = batch.row[batch.trained]
        match self.length:
            case "row":
                sums = sum_by_row(per_token, rows, batch.num_rows)
                lengths = sum_by_row(torch.ones_like(per_token), rows, batch.num_rows)
                return (sums / lengths.clamp(min=1)).sum()
            case "constant":
                return per_token.sum() / self.constant_length
            case "token":
                return per_token.sum()
            case _:
                assert_never(self.length)
