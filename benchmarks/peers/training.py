"""What the peers written here share: the model in plain transformers, and log-probabilities of completions alone."""

import copy
from typing import Any

import torch
from torch import Tensor

from benchmarks.model import BETAS, CLIP, LEARNING_RATE, WEIGHT_DECAY, Job


def load(job: Job) -> Any:
    """The saved model under SDPA; weights in float32."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(job.folder, attn_implementation="sdpa", dtype=torch.float32)
    return model.to(job.device).eval()  # pyright: ignore[reportArgumentType]


def frozen(model: Any) -> Any:
    """A copy without gradients: the reference."""
    return copy.deepcopy(model).requires_grad_(False)


def computing(job: Job) -> torch.autocast:
    """Matrix products in bfloat16 on a GPU, as Tutelage's mixed precision has them."""
    return torch.autocast(job.device, torch.bfloat16, enabled=job.device == "cuda")


def adamw(model: Any) -> torch.optim.AdamW:
    """The optimiser that Tutelage has: fused, and no weight decay on vectors."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, fused=True)


def apply(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Clip, step, forget the gradients."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def completion_logprobs(model: Any, rows: Tensor, new: int) -> Tensor:
    """Log-probability of the last ``new`` tokens of every row, shape (rows, new); logits of those positions alone.

    All rows of the bench are of one length, which is what padding them dynamically comes to; without padding there is
    no mask, and SDPA takes its causal kernel.
    """
    logits = model(input_ids=rows, use_cache=False, logits_to_keep=new + 1).logits[:, :-1]
    return -torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), rows[:, -new:].flatten(), reduction="none"
    ).view(len(rows), new)


def dpo_loss(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """DPO of rows that stand chosen, rejected, chosen, rejected, …: a sum over pairs."""
    shift = (policy - reference).sum(1).view(-1, 2)
    return -torch.nn.functional.logsigmoid(beta * (shift[:, 0] - shift[:, 1])).sum()
