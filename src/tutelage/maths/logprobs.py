"""Log-probabilities of target tokens, without ever holding the logits of a whole batch.

The head of a language model turns ``N`` hidden states into ``N × V`` logits; at N = 16 384 and V = 32 000
those are 2 GB in float32, several times over with their gradients. Here the head is applied to ``chunk``
states at a time, in the forward pass and again in the backward pass, so that a few buffers of ``chunk × V``
are all that is ever held.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


def target_logprobs(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, " N"],
    *,
    bias: Float[Tensor, " V"] | None = None,
    chunk: int = 1024,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Log-probability of every target under a linear head, and the entropy of its distribution.

    ``log softmax((hidden · weightᵀ + bias) / temperature)[targets]``, with the softmax in float32 at least
    (float64 stays float64). The product itself is taken in the dtype of ``hidden``, as the model's own head
    would; autocast is off inside. Gradients reach ``hidden``, ``weight`` and ``bias``, each in its own dtype
    and summed over chunks in float32 at least; only those, the targets and one normaliser a token are kept for
    the backward pass, which computes each chunk's logits again.

    Args:
        hidden: Hidden states that predict the targets: the state *before* each target, shift included.
        weight: Weight of the head; multiplied in the dtype of ``hidden`` where the two differ.
        targets: Token ids in ``[0, V)``.
        bias: Bias of the head, where it has one.
        chunk: Most states whose logits are held at once.
        temperature: Divides the logits; above 0.

    Returns:
        Log-probabilities in nats, and entropies in nats. Entropies carry no gradient.

    Raises:
        ValueError: ``chunk`` below 1 or ``temperature`` not above 0.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    _check_temperature(temperature)
    logprobs, entropies = _LinearLogprobs.apply(hidden, weight, targets.long(), bias, chunk, temperature)
    return logprobs, entropies


def from_logits(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], *, temperature: float = 1.0
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """``target_logprobs`` for models whose head cannot be called alone.

    It holds ``N × V`` logits and their gradient.

    Returns:
        Log-probabilities in nats, and entropies in nats that carry no gradient; both in float32 at least.

    Raises:
        ValueError: ``temperature`` not above 0.
    """
    _check_temperature(temperature)
    scaled = _at_least_float32(logits) / temperature
    normaliser = torch.logsumexp(scaled, dim=-1)
    logprobs = scaled.gather(-1, targets.long()[:, None])[:, 0] - normaliser
    with torch.no_grad():
        entropies = torch.special.entr((scaled - normaliser[:, None]).exp_()).sum(-1)
    return logprobs, entropies


def sum_by_row(values: Float[Tensor, " N"], rows: Int[Tensor, " N"], num_rows: int) -> Float[Tensor, " R"]:
    """Sum of the values of every row: token log-probabilities to sequence log-probabilities.

    Args:
        values: One number a token.
        rows: The row of each token, in ``[0, num_rows)``; tokens of a row need not be adjacent.
        num_rows: R. A row without tokens sums to 0.

    Returns:
        Sums, differentiable in ``values``. On CUDA the order of addition, hence the last digit, is not fixed
        unless ``torch.use_deterministic_algorithms`` is on.
    """
    return values.new_zeros(num_rows).index_add(0, rows.long(), values)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}; score greedy text at temperature 1")


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _cast(dtype: torch.dtype, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    return weight.to(dtype), None if bias is None else bias.to(dtype)


def _scaled_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = _at_least_float32(F.linear(hidden, weight, bias))
    return logits if temperature == 1.0 else logits.div_(temperature)


class _LinearLogprobs(torch.autograd.Function):
    """Forward and backward by chunks of states; see ``target_logprobs``."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        bias: Tensor | None,
        chunk: int,
        temperature: float,
    ) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        count = len(hidden)
        logprobs, entropies, normalisers = (hidden.new_empty(count, dtype=dtype) for _ in range(3))
        ctx.save_for_backward(hidden, weight, targets, bias, normalisers)
        weight, bias = _cast(hidden.dtype, weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, count, chunk):
                part = slice(start, start + chunk)
                logits = _scaled_logits(hidden[part], weight, bias, temperature)
                normaliser = torch.logsumexp(logits, dim=-1)
                normalisers[part] = normaliser
                logprobs[part] = logits.gather(-1, targets[part, None])[:, 0] - normaliser
                entropies[part] = torch.special.entr(logits.sub_(normaliser[:, None]).exp_()).sum(-1)
        ctx.chunk, ctx.temperature = chunk, temperature
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator's type forgets a name
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        grad: Tensor = grad_outputs[0]
        hidden, held, targets, held_bias, normalisers = ctx.saved_tensors
        need_hidden, need_weight, _targets, need_bias, *_rest = ctx.needs_input_grad
        # Sums over many chunks are kept in float32 at least, whatever the weights are in.
        total = torch.promote_types(held.dtype, torch.float32)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(held, dtype=total) if need_weight else None
        grad_bias = torch.zeros_like(held_bias, dtype=total) if need_bias else None
        weight, bias = _cast(hidden.dtype, held, held_bias)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), ctx.chunk):
                part = slice(start, start + ctx.chunk)
                logits = _scaled_logits(hidden[part], weight, bias, ctx.temperature)
                # d logprob / d logits = (onehot(target) − softmax) / temperature, in the logits' own buffer
                slope = logits.sub_(normalisers[part, None]).exp_().neg_()
                slope.scatter_add_(-1, targets[part, None], torch.ones_like(slope[:, :1]))
                slope.mul_(grad[part, None] / ctx.temperature)
                if grad_bias is not None:
                    grad_bias += slope.sum(0)
                slope = slope.to(hidden.dtype)
                if grad_hidden is not None:
                    grad_hidden[part] = slope @ weight
                if grad_weight is not None:
                    grad_weight += slope.T @ hidden[part]
        return (
            grad_hidden,
            None if grad_weight is None else grad_weight.to(held.dtype),
            None,
            None if grad_bias is None else grad_bias.to(held_bias.dtype),
            None,
            None,
        )
