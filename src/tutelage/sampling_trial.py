"""How a model can be sampled from, found out when the sampler is made: by numbers, not by a list of names.

Fixed continuations of two short prefixes are read as the trainer reads them, and step by step as the sampler would.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutelage import rng
from tutelage.collate import collate
from tutelage.decoding import Branching, Prefilled, own_copies, prefill, ways_to_share
from tutelage.memory import is_out_of_memory
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.sampling_plan import Room, room_for
from tutelage.types import Group, Row, Segment, Tokens
from tutelage.weights import embedding_rows

log = logging.getLogger(__name__)

LENGTH = 6
"""Tokens of the longer prefix."""
STEPS = 3
"""Tokens of a continuation."""


class Misled(ValueError):
    """A model that its cache misleads."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a policy lets a sampler do."""

    room: Room
    sharing: Branching | None
    """How branches share a trunk, if the model lets them."""
    padded: bool
    """Whether prefixes of different lengths may be padded to one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """Two prefixes with ``seeds`` continuations each."""

    requests: tuple[SampleRequest, ...]
    tokens: Int[Tensor, "R S"]


@torch.no_grad()
def find_sharing(policy: Policy, rows: int) -> Found:
    """Try out how continuations may read their prefix, and measure what a token of it takes; at most ``rows`` at once.

    Raises:
        ValueError: read on from its cache, the model says something else than when it reads the text at once, or fails.
        RuntimeError: memory does not suffice for two continuations.
    """
    try:
        return _find(policy, rows, seeds=2)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if policy.device.type == "cuda":
        torch.cuda.empty_cache()
    fewer = min(rows, 2)
    log.warning("out of memory on trial: %d continuations at a time from the start (sampler_rows)", fewer)
    try:
        return _find(policy, fewer, seeds=1)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RuntimeError(
            f"two continuations of {LENGTH} tokens do not fit in memory beside the weights: nothing can be sampled"
        ) from error


def _find(policy: Policy, rows: int, seeds: int) -> Found:
    try:
        return _tried(policy, rows, seeds)
    except (RuntimeError, TypeError, AttributeError, LookupError, ValueError) as error:
        if is_out_of_memory(error) or isinstance(error, Misled):
            raise
        raise ValueError(
            f"{type(policy.model).__name__}: it cannot be read on from a cache of keys and values ({error}): nothing "
            "can be sampled from it in this process"
        ) from error


def _tried(policy: Policy, rows: int, seeds: int) -> Found:
    length = min(LENGTH, (policy.context_length or 2 * LENGTH) - STEPS - 1)
    with policy.computing():
        if length < 2:
            room = _room(policy, prefill(policy, [[SampleRequest(Tokens([0]), (0,), 1)]]), rows)
            _warn(policy, f"its context of {policy.context_length} tokens leaves none for a trial")
            return Found(room, None, padded=False)
        texts = _texts(policy, (length, length - 1), seeds)
        room = _room(policy, prefill(policy, [[texts.requests[0]]]), rows)
        padded = _is_near(policy, _stepwise(policy, texts, own_copies), _at_once(policy, texts))
        if not padded:
            texts = _texts(policy, (length, length), seeds)
            _without_padding(policy, texts)
        return Found(room, _sharing(policy, texts), padded)


def _room(policy: Policy, trunk: Prefilled, rows: int) -> Room:
    return room_for(trunk.cache, embedding_rows(policy.model), policy.device, rows)


def _texts(policy: Policy, lengths: Sequence[int], seeds: int) -> _Texts:
    vocab = min(embedding_rows(policy.model), 256)
    draw = rng.generator("sampler probe").integers
    requests = tuple(SampleRequest(Tokens(draw(0, vocab, n)), tuple(range(seeds)), STEPS) for n in lengths)
    tokens = torch.from_numpy(draw(0, vocab, (len(requests) * seeds, STEPS))).to(policy.device)
    return _Texts(requests, tokens)


def _at_once(policy: Policy, texts: _Texts) -> Float[Tensor, "R S"]:
    """Log-probabilities as the trainer computes them, each text by itself."""
    prefixes = [Segment(request.prefix) for request in texts.requests for _ in request.seeds]
    rows = [
        Row((prefix, Segment(Tokens(tokens), trained=True)))
        for prefix, tokens in zip(prefixes, texts.tokens.tolist(), strict=True)
    ]
    batches = [collate([Group((row,))], max_tokens=1 << 30, layout="flat")[0] for row in rows]
    return torch.stack([policy.score(batch).logprobs for batch in batches])


def _stepwise(policy: Policy, texts: _Texts, branching: Branching) -> Float[Tensor, "R S"]:
    """Log-probabilities as the sampler comes by them, prefixes side by side."""
    prefilled = prefill(policy, [[request] for request in texts.requests])
    logits = [prefilled.logits]
    with branching(policy.model, prefilled, STEPS) as advance:
        for step in range(STEPS - 1):
            new, at = texts.tokens[:, step : step + 1], (prefilled.positions + step)[:, None]
            logits.append(advance(step, new, at).clone())
    said = torch.stack(logits, dim=1)
    said = said if said.dtype == torch.float64 else said.float()
    return said.log_softmax(-1).gather(-1, texts.tokens[..., None])[..., 0]


def _without_padding(policy: Policy, texts: _Texts) -> None:
    """Prefixes of equal length must be right, and then padding is what the model cannot take.

    Raises:
        Misled: they are not, in a precision in which rounding cannot be why.
    """
    name = type(policy.model).__name__
    ours, theirs = _stepwise(policy, texts, own_copies), _at_once(policy, texts)
    if not _is_near(policy, ours, theirs):
        told = f"{name}: read on from its cache it gives other log-probabilities than at once, by up to "
        told += f"{float((ours - theirs).abs().max()):.2g} nats"
        if _is_exact(policy):
            raise Misled(
                f"{told}: nothing can be sampled from it in this process (a model that keeps another state than keys "
                "and values, as Mamba does, cannot be read on)"
            )
        log.warning("%s; what is sampled is as far from what is trained", told)
    log.warning(
        "%s: prefixes are sampled beside others of the same length only (padding changes its log-probabilities: it "
        "ignores masks, or takes positions from columns), which is slower",
        name,
    )


def _sharing(policy: Policy, texts: _Texts) -> Branching | None:
    """The fastest way to read a trunk in place that says what copies of it say."""
    theirs, reason = _stepwise(policy, texts, own_copies), ""
    for branching in ways_to_share(policy.device):
        try:
            if _is_near(policy, _stepwise(policy, texts, branching), theirs):
                if reason:
                    log.warning(
                        "%s: sampling without CUDA graphs, which is slower (%s)", type(policy.model).__name__, reason
                    )
                return branching
            reason = "on trial it gave other numbers"
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
            if is_out_of_memory(error):
                raise
            reason = str(error)
    _warn(policy, reason)
    return None


def _warn(policy: Policy, reason: str) -> None:
    log.warning(
        "%s: sampling copies the prefix for each continuation (%s); it is slower and takes more memory, and the text "
        "is the same",
        type(policy.model).__name__,
        reason,
    )


def _is_exact(policy: Policy) -> bool:
    return policy.model.dtype in (torch.float32, torch.float64) and not policy.mixed


def _is_near(policy: Policy, ours: Tensor, theirs: Tensor) -> bool:
    """Equal up to rounding, which is relative: log-probabilities are differences of logits that may be large."""
    least, share = (1e-4, 1e-5) if _is_exact(policy) else (5e-2, 2.0**-6)
    tolerance = max(least, share * float(theirs.abs().max()))
    return torch.allclose(ours.float(), theirs.float(), rtol=0, atol=tolerance)
