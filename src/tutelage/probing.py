"""What a model can take, found out when it is loaded by comparing log-probabilities, not by a list of names."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from tutelage import attention, rng
from tutelage.collate import Batch, Layout, collate
from tutelage.limits import context_length
from tutelage.memory import is_out_of_memory
from tutelage.scoring import RUNS_FROM, Kernel, Masks, Ways, score
from tutelage.types import Group, Item, Pair, Row, Segment, Tokens
from tutelage.weights import embedding_rows

log = logging.getLogger(__name__)

TRUNK = 12
"""Tokens of the prefix that a model is tried on, if its context and memory hold as many."""
SHORTEST = 4
LOUD = 30.0
"""Size of the largest logit on trial: there a model that caps or scales its logits shows it, fresh weights or not."""


def find_ways(model: PreTrainedModel, *, mixed: bool = False) -> Ways:
    """Find out whether the head can be called alone, whether trees can be trusted, and by which kernel.

    A pair and two short texts are scored packed, so that one sequence holds two trees, and flat. A difference above
    rounding, in log-probabilities or in a gradient, means that the model reads positions from columns (sliding windows)
    or ignores masks: rows are laid out flat from then on, with a logged reason. A kernel that fails or differs is left
    for the next one, logged too. What is to run in mixed precision is tried in it as well.

    Raises:
        ValueError: the model reads later tokens, or cannot read a batch of token ids.
        RuntimeError: not even a few tokens fit in memory.
    """
    trunk = max(SHORTEST, min(TRUNK, (context_length(model.config) or 4096) - 8))
    while True:
        try:
            return _Probe(model, trunk, mixed).ways()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if trunk == SHORTEST:
                raise RuntimeError(
                    f"{type(model).__name__}: a pair of {trunk + 4} tokens does not fit in memory beside the weights: "
                    "choose a smaller model or another device"
                ) from error
        # Outside of the handler, which keeps the failed attempt's tensors alive.
        log.warning("%s: out of memory on a trial of %d tokens; it is tried on fewer", type(model).__name__, trunk + 8)
        trunk = max(SHORTEST, trunk // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class _Tolerance:
    """How far two ways to compute the same may differ."""

    logprobs: float
    """Nats."""
    slopes: float
    """Share of the largest entry."""


_EXACT, _BFLOAT16 = _Tolerance(1e-4, 1e-3), _Tolerance(5e-2, 0.3)
_MIXED = _Tolerance(0.25, 0.3)
"""Wide, for bfloat16 is compared with float32 here; that the numbers are the same was asked in float32 before."""


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """What a model said of the targets, and how its weights would change."""

    logprobs: Tensor
    slopes: Tensor | None
    """Gradient of the sum, over a few of the first weights that are trained, behind which lies all attention."""


class _Probe:
    """One examination, on a prefix of ``trunk`` tokens."""

    def __init__(self, model: PreTrainedModel, trunk: int, mixed: bool) -> None:
        self._model = model
        self._mixed = mixed
        self._name = type(model).__name__
        self._device = next(model.parameters()).device
        self._tolerance = _EXACT if next(model.parameters()).dtype in (torch.float32, torch.float64) else _BFLOAT16
        pair, *short = self._items = _items(trunk, embedding_rows(model))
        assert isinstance(pair, Pair) and short
        self._pair = pair
        self._flat, self._forest = (self._batch(self._items, layout) for layout in ("flat", "trees"))
        assert len(self._forest.tokens) < len(self._items), "one sequence holds two trees"

    def ways(self) -> Ways:
        """What the model takes. Its own attention is asked first, and stays where ours changes what it says."""
        model, plain = self._model, Ways("flat", "dense", separate_head=False, runs_from=0)
        attention.leave(model)
        expected = self._first(plain)
        self._require_causal(expected.logprobs)
        ways = replace(plain, separate_head=self._has_plain_head(plain, expected))
        kernels: tuple[Kernel, ...] = ("dense",)
        if attention.use(model):
            if self._agrees(self._flat, ways, expected):
                kernels = _kernels(self._device)
            else:
                attention.leave(model)
        for kernel in kernels:
            packed = replace(ways, layout="trees", kernel=kernel)
            agrees = self._agrees(self._forest, packed, expected, slopes=not self._mixed)
            if agrees and (not self._mixed or self._agrees(self._forest, packed, expected, slopes=True, mixed=True)):
                return replace(packed, runs_from=RUNS_FROM)
            if kernel != "dense":
                log.warning(
                    "%s: its attention by %r fails or differs; a dense mask is used if it agrees, which is slower and "
                    "trains the same",
                    self._name,
                    kernel,
                )
        log.warning(
            "%s: candidates cannot share their prefix in training (a branching attention mask gives other "
            "log-probabilities); rows are laid out flat and each computes its prefix, which is slower and trains the "
            "same",
            self._name,
        )
        return ways

    def _first(self, plain: Ways) -> _Trial:
        """What the model says of rows side by side.

        Raises:
            ValueError: it cannot read a table of token ids, naming the class.
        """
        try:
            return self._try(self._flat, plain, slopes=True)
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
            if is_out_of_memory(error):
                raise
            raise ValueError(f"{self._name} cannot score a batch of token ids ({error})") from error

    def _batch(self, items: Sequence[Item], layout: Layout) -> Batch:
        (batch,) = collate(items, max_tokens=1 << 30, layout=layout)
        return batch.to(self._device)

    def _try(self, batch: Batch, ways: Ways, *, slopes: bool = False, mixed: bool = False) -> _Trial:
        leaves = _first_trained(self._model) if slopes else []
        # A context of its own: autocast keeps weights as they were cast first, with or without a gradient.
        with (
            torch.set_grad_enabled(bool(leaves)),
            torch.autocast(self._device.type, torch.bfloat16, enabled=mixed),
        ):
            logprobs = score(self._model, batch, ways, Masks()).logprobs
        if not leaves:
            return _Trial(logprobs, None)
        found = torch.autograd.grad(logprobs.sum(), leaves, materialize_grads=True)
        return _Trial(logprobs.detach(), torch.cat([x.flatten().float() for x in found]))

    def _agrees(self, batch: Batch, ways: Ways, expected: _Trial, *, slopes: bool = False, mixed: bool = False) -> bool:
        """Whether the model says the same this way; what is not for want of memory and fails is a no."""
        tolerance = _MIXED if mixed else self._tolerance
        try:
            found = self._try(batch, ways, slopes=slopes, mixed=mixed)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            if is_out_of_memory(error):
                raise
            log.info("probe refused: %s", error)
            return False
        if not _close(found.logprobs, expected.logprobs, tolerance.logprobs):
            return False
        if found.slopes is None or expected.slopes is None:
            return True
        return _close(found.slopes, expected.slopes, tolerance.slopes * float(expected.slopes.abs().max()))

    def _has_plain_head(self, plain: Ways, expected: _Trial) -> bool:
        """Whether logits are the head's product and nothing more, as loud as trained weights would make them too."""
        head = self._model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            return False
        if not self._agrees(self._flat, replace(plain, separate_head=True), expected):
            return False
        with torch.no_grad():
            tokens = self._flat.tokens
            factor = LOUD / max(float(self._model(input_ids=tokens, use_cache=False).logits.abs().max()), 1e-6)
            with _amplified(head, factor):
                theirs = self._model(input_ids=tokens, use_cache=False).logits
            hidden = self._model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            ours = F.linear(hidden.to(head.weight.dtype) * factor, head.weight, head.bias)
        return _close(ours, theirs, LOUD * self._tolerance.logprobs)

    def _require_causal(self, expected: Tensor) -> None:
        """Refuse a model whose log-probabilities change with a later token: it would be trained to copy.

        Raises:
            ValueError: naming the class.
        """
        before, last = self._pair.chosen.segments[0], self._pair.chosen.segments[1].tokens
        other = Tokens([*last.tolist()[:-1], (last[-1] + 1) % embedding_rows(self._model)])
        batch = self._batch([Group((Row((before, Segment(other, trained=True))),))], "flat")
        ours = self._try(batch, Ways("flat", "dense", separate_head=False)).logprobs[:-1]
        theirs = expected[self._flat.row == 0][:-1]
        if not _close(ours, theirs, self._tolerance.logprobs):
            raise ValueError(f"{self._name} reads later tokens: it is no causal language model")


def _kernels(device: torch.device) -> tuple[Kernel, ...]:
    """From the fastest on."""
    match device.type:
        case "cpu":
            return ("runs", "dense")
        case "cuda":
            return ("flex", "dense")
        case _:
            return ("dense",)


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return torch.allclose(ours.float(), theirs.float(), atol=tolerance, rtol=0)


def _items(trunk: int, vocabulary: int) -> tuple[Item, ...]:
    """A prefix with two continuations, and two texts that fit in one sequence beside it; of random ids."""
    short = (trunk + 8) * 2 // 5
    text = Tokens(rng.generator("probe").integers(0, vocabulary, trunk + 8 + 2 * short))
    prefix = Segment(text[:trunk], ntp_weight=1.0)
    chosen, rejected = (Row((prefix, Segment(text[trunk + i : trunk + i + 4], trained=True))) for i in (0, 4))
    rest = text[trunk + 8 :]
    return Pair(chosen, rejected), *(Group((Row((Segment(rest[i : i + short], trained=True),)),)) for i in (0, short))


def _first_trained(model: PreTrainedModel) -> list[nn.Parameter]:
    """The first few weights that are trained, apart from the table of embeddings, which may be huge."""
    table = model.get_input_embeddings().weight
    return [p for p in model.parameters() if p.requires_grad and p is not table][:4]


@contextmanager
def _amplified(head: nn.Linear, factor: float) -> Generator[None]:
    """The head reads ``factor`` times what the layers say."""

    def amplify(_head: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *others = arguments
        return (hidden * factor, *others)

    hook = head.register_forward_pre_hook(amplify)
    try:
        yield
    finally:
        hook.remove()
