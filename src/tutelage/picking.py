"""One token from logits and a uniform number: temperature, nucleus, inversion of the cumulative distribution."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def pick(
    logits: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"], temperature: float, top_p: float
) -> tuple[Int[Tensor, " R"], Float[Tensor, " R"]]:
    """Choose one token a row by inverting the cumulative distribution at ``uniforms``; temperature 0 is greedy.

    Returns the tokens and their log-probabilities at ``temperature`` (at 1 where greedy), before ``top_p``. Where
    logits are NaN or +∞, the row's token means nothing and its log-probability is not finite: whoever asks must look.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        picked = wide.argmax(-1)
        return picked, wide.log_softmax(-1).gather(-1, picked[:, None])[:, 0]
    scaled = wide if temperature == 1 else wide / temperature
    weights = scaled.softmax(-1)
    if top_p < 1:
        weights = _nucleus(weights.double(), top_p)
    cumulative = weights.cumsum(-1, dtype=torch.float64)
    picked = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    picked = picked.clamp(max=logits.shape[-1] - 1)
    return picked[:, 0], (scaled.gather(-1, picked) - scaled.logsumexp(-1, keepdim=True))[:, 0]


def _nucleus(weights: Float[Tensor, "R V"], top_p: float) -> Float[Tensor, "R V"]:
    """Keep the smallest set of most probable tokens whose mass reaches ``top_p``."""
    ordered, order = weights.sort(stable=True, dim=-1, descending=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    return weights.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), 0.0)
