"""Group-relative policy gradient on rollouts and on attempts: GRPO, and Dr. GRPO as a choice of its normalisations."""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor

from tutelage.collate import Batch
from tutelage.episodes import EpisodeGroup
from tutelage.maths.credit import group_advantages
from tutelage.maths.logprobs import sum_by_row
from tutelage.maths.losses import (
    behaviour_ratio,
    kl_policy_to_reference,
    kl_reference_to_policy,
    policy_gradient_loss,
    reinforce_loss,
)
from tutelage.maths.ranges import require
from tutelage.metrics import Mean
from tutelage.objectives.compared import Compared, Completion, attempts_of, rollouts_of
from tutelage.objectives.lesson import (
    Counts,
    Lesson,
    Loss,
    anchored,
    entropy_metric,
    ntp_terms,
    token_counts,
    zero,
)
from tutelage.scoring import Scores
from tutelage.types import Group, JudgedPool, Row, Segment


@dataclass(frozen=True, slots=True)
class GRPO:
    """GRPO (2402.03300 Eq. 3) on the rollouts of a pool, or on the attempts at a problem (``task.turns=1``).

    L = −(1/R) Σ_i (1/|o_i|) Σ_t [min(r_t A_i, clip(r_t, 1−ε_low, 1+ε_high) A_i) − β KL_t] with r_t against the
    behaviour policy that the sampler recorded. Dr. GRPO (2503.20783) is ``std=False, length="constant"``.

    Deviations: R counts the rollouts of the whole step, not of one group, so that uneven groups weigh by their size
    [I]; rollouts of groups without spread are in neither sum nor R, as if others had been drawn in their place, so that
    the fewer groups teach, the more each of them moves (2503.14476 draws others; Dr. GRPO counts them) [I]; the KL
    estimator is named by the gradient that it has, not by its value.
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
    """Divisor of ``length="constant"``: the suffix length N, or the task's ``max_new_tokens``; none may be longer."""
    ratio: Literal["clipped", "truncated"] = "clipped"
    """What bounds r_t: PPO's clip, or a largest value of 2, detached, as in 2601.21343 Part 2 [C]."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix or prompt."""

    def __post_init__(self) -> None:
        require(self, "clip_low", above=0, at_most=1)
        require(self, "clip_high", above=0)
        require(self, "kl_weight", "ntp_weight", at_least=0)
        require(self, "constant_length", at_least=1)

    @property
    def needs_reference(self) -> bool:
        """Only with a KL term."""
        return self.kl_weight > 0

    def lesson(self, group: JudgedPool | EpisodeGroup) -> Lesson:
        """Every scored completion with its advantage; a group without spread trains its anchor alone.

        Raises:
            ValueError: a score that is not finite; a rollout that was sampled at another temperature or top_p than 1; a
                completion longer than ``constant_length`` where that divides; an episode of several attempts.
        """
        compared = rollouts_of(group) if isinstance(group, JudgedPool) else attempts_of(group)
        self._require_fitting(compared)
        if not compared.has_spread:
            return Lesson(anchored(compared.prompt(self.ntp_weight)), compared.metrics)
        advantages = group_advantages(compared.rewards, baseline=self.baseline, std=self.std)
        pairs = zip(compared.completions, advantages, strict=True)
        rows = [
            Row((*compared.prompt(0.0 if i else self.ntp_weight), self._segment(completion, advantage or 0.0)))
            for i, (completion, advantage) in enumerate(pairs)
        ]
        return Lesson(Group(tuple(rows)), compared.metrics)

    def _require_fitting(self, compared: Compared) -> None:
        longest = max((len(one.tokens) for one in compared.completions), default=0)
        if self.length == "constant" and longest > self.constant_length:
            raise ValueError(
                f"GRPO's constant_length is {self.constant_length}, but a rollout has {longest} tokens: "
                "set constant_length to the stream's suffix_length, or to the task's max_new_tokens"
            )

    def _segment(self, completion: Completion, advantage: float) -> Segment:
        return Segment(
            completion.tokens,
            trained=True,
            advantage=advantage,
            kl_weight=self.kl_weight,
            logprobs=completion.logprobs,
            turn=completion.turn,
        )

    def counts(self, batch: Batch) -> Counts:
        """Rows or tokens, as ``length`` says; anchored tokens."""
        counts = token_counts(batch)
        trained = counts["nll"] if self.length == "token" else float(batch.row[batch.trained].unique().numel())
        return {"policy_gradient": trained, "ntp": counts["ntp"]}

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """The surrogate with its KL leash and the anchor."""
        totals, metrics = ntp_terms(policy, batch)
        trained = batch.trained
        if not bool(trained.any()):
            return Loss(totals | {"policy_gradient": zero(policy)}, metrics)
        ours, behaviour = policy.logprobs[trained], batch.behaviour[trained]
        per_token = self._surrogate(ours, behaviour, batch.advantage[trained])
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

    def _surrogate(self, ours: Tensor, behaviour: Tensor, advantages: Tensor) -> Tensor:
        match self.ratio:
            case "clipped":
                return policy_gradient_loss(ours, behaviour, advantages, self.clip_low, self.clip_high)
            case "truncated":
                return behaviour_ratio(ours, behaviour) * reinforce_loss(ours, advantages)
            case _:
                assert_never(self.ratio)

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
