"""How likely a model begins its answer with which label: verdicts without generation, in this process."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GenerationConfig

Ids = tuple[int, ...]


def sequence_logprobs(
    model: Any, contexts: Sequence[Ids], labels: Sequence[Sequence[Ids]], *, max_batch: int
) -> list[tuple[float, ...]]:
    """``log p(label | context) = Σ_j log p(t_j | context, t_<j)`` in nats, for all labels of every context.

    Labels of one token share one pass over their context.

    Args:
        model: a Hugging Face causal language model.
        contexts: ids, at least one each.
        labels: for every context the ids of its labels, at least one each.
        max_batch: most sequences that go through the model together.
    """
    steps = [
        [[(context + label[:j], label[j]) for j in range(len(label))] for label in mine]
        for context, mine in zip(contexts, labels, strict=True)
    ]
    rows = sorted({row for mine in steps for label in mine for row, _ in label}, key=len)
    wanted: dict[Ids, set[int]] = {}
    for row, token in (step for mine in steps for label in mine for step in label):
        wanted.setdefault(row, set()).add(token)
    known: dict[tuple[Ids, int], float] = {}
    for start in range(0, len(rows), max_batch):
        batch = rows[start : start + max_batch]
        for row, logprobs in zip(batch, _next_logprobs(model, batch), strict=True):
            known |= {(row, token): float(logprobs[token]) for token in wanted[row]}
    return [tuple(sum(known[step] for step in label) for label in mine) for mine in steps]


@torch.inference_mode()
def _next_logprobs(model: Any, rows: Sequence[Ids]) -> Float[Tensor, "R V"]:
    """Log-probabilities of the token after each of ``rows``, which are padded on the left."""
    width, device = max(map(len, rows)), model.device
    out = model.generate(
        torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device),
        attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device),
        generation_config=GenerationConfig(
            do_sample=False, max_new_tokens=1, pad_token_id=0, output_logits=True, return_dict_in_generate=True
        ),
    )
    return out.logits[0].double().log_softmax(-1).cpu()
