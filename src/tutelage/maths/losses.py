"""Losses of a policy against text that was judged: a value for each pair or each token, never a mean.

Sums and divisions by counts belong to whoever knows the whole batch over all ranks. ``π`` is the policy,
``ref`` the frozen reference, ``μ`` the behaviour policy that wrote the text; all log-probabilities are in
nats. Whatever is not the policy's own log-probability is detached here, so that a reference or an advantage
with a graph cannot leak a gradient.
"""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(
    chosen: Float[Tensor, " P"],
    rejected: Float[Tensor, " P"],
    reference_chosen: Float[Tensor, " P"],
    reference_rejected: Float[Tensor, " P"],
    beta: float,
    label_smoothing: float = 0.0,
) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
    """Direct preference optimisation of the chosen text over the rejected one.

    ``m = β [log π(c⁺|p) − log ref(c⁺|p) − log π(c⁻|p) + log ref(c⁻|p)]`` and
    ``L = −(1 − ε) log σ(m) − ε log σ(−m)``

    Eq. 7 of arXiv:2305.18290, online as in arXiv:2601.21343 §1.1.2 [P]; β is not given there: 0.1 in its
    authors' code [C]. The smoothing ε is the probability that the label is wrong (conservative DPO) [I]; the
    papers use none.

    Args:
        chosen: log π of the chosen text, a sum over its trained tokens.
        rejected: log π of the rejected text, likewise.
        reference_chosen: log ref of the chosen text; no gradient flows into it.
        reference_rejected: log ref of the rejected text; no gradient flows into it.
        beta: Strength of the leash to the reference; above 0.
        label_smoothing: ε in ``[0, 0.5)``.

    Returns:
        Loss of every pair, and its margin ``m``; both carry gradients.

    Raises:
        ValueError: ``beta`` or ``label_smoothing`` out of range.
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    if not 0.0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing}")
    gain_chosen = chosen - reference_chosen.detach()
    gain_rejected = rejected - reference_rejected.detach()
    margin = beta * (gain_chosen - gain_rejected)
    loss = -(1.0 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)
    return loss, margin


def policy_gradient_loss(
    logprobs: Float[Tensor, " N"],
    behaviour: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    clip_low: float,
    clip_high: float,
) -> Float[Tensor, " N"]:
    """The clipped surrogate of PPO, as GRPO and Dr. GRPO use it.

    ``ρ = π(y_t) / μ(y_t)`` and ``L_t = −min(ρ A_t, clip(ρ, 1 − clip_low, 1 + clip_high) A_t)``

    Eq. 7 of arXiv:1707.06347, Eq. 3 of arXiv:2402.03300; unequal bounds are those of arXiv:2503.14476. What
    makes it GRPO, Dr. GRPO or DAPO is the advantage (``credit.group_advantages``) and what the caller divides
    the sum by.

    Args:
        logprobs: log π of every token.
        behaviour: log μ, as recorded when the token was sampled; no gradient flows into it.
        advantages: A_t; no gradient flows into it.
        clip_low: How far ρ may fall below 1 before a negative advantage stops pushing; in ``[0, 1]``.
        clip_high: How far ρ may rise above 1 before a positive advantage stops pushing; at least 0.

    Returns:
        Loss of every token. At ``π = μ`` it is ``−A_t`` and its gradient ``−A_t ∇log π``.

    Raises:
        ValueError: a bound out of range.
    """
    if not 0.0 <= clip_low <= 1.0 or not clip_high >= 0.0:
        raise ValueError(f"clip_low must lie in [0, 1] and clip_high be at least 0, got {clip_low}, {clip_high}")
    ratio = (logprobs - behaviour.detach()).exp()
    gain = advantages.detach()
    return -(ratio * gain).minimum(ratio.clamp(1.0 - clip_low, 1.0 + clip_high) * gain)


def kl_policy_to_reference(logprobs: Float[Tensor, " N"], reference: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Estimator whose gradient is that of KL(π ‖ ref), in expectation over tokens that π wrote.

    ``½ (log π(y_t) − log ref(y_t))²``

    Known as k2. ``E_π[(log π − log ref) ∇log π] = ∇KL(π ‖ ref)`` exactly; its *value* is only close to the
    divergence, and only when the two are close. Tokens that another policy μ wrote need the detached weight
    ``π(y_t) / μ(y_t)`` besides. At π = μ its gradient is, token by token, that of ``π/sg[π]`` times
    ``kl_reference_to_policy``, which newer implementations use.

    Args:
        logprobs: log π of every token.
        reference: log ref of every token; no gradient flows into it.

    Returns:
        Estimate of every token, at least 0.
    """
    return 0.5 * (logprobs - reference.detach()).square()


def kl_reference_to_policy(logprobs: Float[Tensor, " N"], reference: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Estimator whose gradient is that of KL(ref ‖ π), in expectation over tokens that π wrote.

    ``ref(y_t) / π(y_t) − log(ref(y_t) / π(y_t)) − 1``

    Known as k3, Eq. 4 of arXiv:2402.03300. Its *value* is an unbiased estimate of KL(π ‖ ref), but ``E_π[(1 −
    ref/π) ∇log π] = ∇KL(ref ‖ π)``: as a loss term it is the other divergence. Grows with ref/π without
    bound. This is the leash of GRPO as published; Dr. GRPO has none [P], nor have the runs behind
    arXiv:2601.21343 Part 2 [C].

    Args:
        logprobs: log π of every token.
        reference: log ref of every token; no gradient flows into it.

    Returns:
        Estimate of every token, at least 0.
    """
    difference = reference.detach() - logprobs
    return difference.expm1() - difference


RATIO_LIMIT = 2.0
"""Largest weight of a token that the policy has come to find likelier than who wrote it did; as in the public code of
arXiv:2601.21343 [C]."""


def behaviour_ratio(logprobs: Float[Tensor, " N"], behaviour: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """``min(π(y_t) / μ(y_t), 2)`` without a gradient: 1 where the policy has just written the token itself."""
    return (logprobs.detach() - behaviour.detach()).exp().clamp(max=RATIO_LIMIT)


def reinforce_loss(logprobs: Float[Tensor, " N"], advantages: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """``L_t = −A_t log π(y_t)``, whose gradient over text that π wrote is that of the expected reward.

    REINFORCE as in Eq. 2 of arXiv:2409.12917 (there after arXiv:2402.14740): no clip, no value network [P].

    Args:
        logprobs: log π of every token.
        advantages: A_t; no gradient flows into it.

    Returns:
        Loss of every token.
    """
    return -advantages.detach() * logprobs


def kl_of_attempts(
    logprobs: Float[Tensor, " N"], reference: Float[Tensor, " N"], attempt: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Surrogate whose gradient is that of KL(π ‖ ref) between whole attempts, in expectation over those π wrote.

    ``sg[Σ_{s ≥ t} (log π(y_s) − log ref(y_s))] log π(y_t)``, sums within an attempt

    ``kl_policy_to_reference`` leaves out what a token does to the divergence of those after it; this does not, and pays
    with the variance of the sum. For attempts of one token both have the same gradient.

    Args:
        logprobs: log π of every token, an attempt's tokens in order and together.
        reference: log ref of every token; no gradient flows into it.
        attempt: Which attempt a token belongs to.

    Returns:
        Surrogate of every token; its value says nothing.
    """
    gap = (logprobs - reference).detach().double()
    _, place, lengths = attempt.unique_consecutive(return_inverse=True, return_counts=True)
    seen = gap.cumsum(0)
    at_end = seen[lengths.cumsum(0) - 1]
    return (at_end[place] - seen + gap).to(logprobs.dtype) * logprobs
