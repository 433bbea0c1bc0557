"""What a model can take, found out when it is loaded by comparing log-probabilities, not by a list of names."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tutelage import attention, rng
from tutelage.collate import Batch, collate
from tutelage.scoring import RUNS_FROM, Kernel, Ways, score
from tutelage.types import Group, Item, Pair, Row, Segment, Tokens
from tutelage.weights import embedding_rows

log = logging.getLogger(__name__)


def context_length(model: PreTrainedModel) -> int | None:
    """Most positions that the configuration names, if it names any."""
    names = ("max_position_embeddings", "n_positions")
    return next((int(n) for name in names if (n := getattr(model.config, name, None))), None)


@torch.no_grad()
def find_ways(model: PreTrainedModel) -> Ways:
    """Find out whether the head can be called alone, whether trees can be trusted, and by which kernel.

    A small tree and two trees side by side are scored packed and flat. A difference above rounding means that the model
    reads positions from columns (sliding windows) or ignores masks: rows are laid out flat from then on, with a logged
    reason. A kernel that fails or differs is left for the next one, logged too.

    Raises:
        ValueError: the model reads later tokens.
    """
    can_replace = attention.use(model)
    pair = _pair(model)
    device = next(model.parameters()).device
    flat = _batch([pair], device, "flat")
    tolerance = 1e-4 if next(model.parameters()).dtype in (torch.float32, torch.float64) else 5e-2
    plain = Ways("flat", "dense", separate_head=False, runs_from=0)
    expected = score(model, flat, plain).logprobs
    _require_causal(model, pair.chosen, flat, expected, tolerance)

    def agrees(batch: Batch, ways: Ways, expected: Tensor) -> bool:
        return _agrees(lambda: score(model, batch, ways).logprobs, expected, tolerance)

    head = isinstance(model.get_output_embeddings(), nn.Linear)
    ways = replace(plain, separate_head=head and agrees(flat, replace(plain, separate_head=True), expected))
    both = torch.cat([expected, expected[flat.row == 1]])
    for kernel in _kernels(device, can_replace):
        packed = replace(ways, layout="trees", kernel=kernel)
        tree, forest = (_batch(items, device) for items in ([pair], [pair, Group((pair.rejected,))]))
        if agrees(tree, packed, expected) and agrees(forest, packed, both):
            return replace(packed, runs_from=RUNS_FROM)
        if kernel != "dense":
            log.warning(
                "%s: its attention by %r fails or differs; a dense mask is used if it agrees, which is slower and "
                "trains the same",
                type(model).__name__,
                kernel,
            )
    log.warning(
        "%s: candidates cannot share their prefix in training (a branching attention mask gives other "
        "log-probabilities); rows are laid out flat and each computes its prefix, which is slower and trains the same",
        type(model).__name__,
    )
    return ways


def _kernels(device: torch.device, can_replace: bool) -> tuple[Kernel, ...]:
    """From the fastest on."""
    if not can_replace or device.type not in ("cpu", "cuda"):
        return ("dense",)
    return ("runs", "dense") if device.type == "cpu" else ("flex", "dense")


def _pair(model: PreTrainedModel) -> Pair:
    """A prefix with two continuations, of random ids."""
    length = max(4, min(12, (context_length(model) or 4096) - 8))
    text = Tokens(rng.generator("probe").integers(0, embedding_rows(model), length + 16))
    prefix = Segment(text[:length], ntp_weight=1.0)
    chosen, rejected = (Row((prefix, Segment(text[length + i : length + i + 4], trained=True))) for i in (0, 4))
    return Pair(chosen, rejected)


def _batch(items: Sequence[Item], device: torch.device, layout: str = "trees") -> Batch:
    return collate(items, max_tokens=1 << 30, layout="flat" if layout == "flat" else "trees")[0].to(device)


def _require_causal(model: PreTrainedModel, row: Row, flat: Batch, expected: Tensor, tolerance: float) -> None:
    """Refuse a model whose log-probabilities change with a later token: it would be trained to copy.

    Raises:
        ValueError: naming the class.
    """
    before, last = row.segments[0], row.segments[1].tokens
    other = Tokens([*last.tolist()[:-1], (last[-1] + 1) % embedding_rows(model)])
    batch = _batch([Group((Row((before, Segment(other, trained=True))),))], flat.tokens.device, "flat")
    ours = score(model, batch, Ways("flat", "dense", separate_head=False)).logprobs[:-1]
    theirs = expected[flat.row == 0][:-1]
    if not torch.allclose(ours.float(), theirs.float(), atol=tolerance, rtol=0):
        raise ValueError(f"{type(model).__name__} reads later tokens: it is no causal language model")


def _agrees(compute: Callable[[], Tensor], expected: Tensor, tolerance: float) -> bool:
    try:
        return bool(torch.allclose(compute().float(), expected.float(), atol=tolerance, rtol=0))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        log.info("probe refused: %s", error)
        return False
