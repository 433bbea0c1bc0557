"""Text out of the policy, in process: each prefix is computed once, then continued once for every seed.

Draws are keyed: a continuation's tokens are a function of the weights, the prefix and its seed, not of the batch
that it happened to be in (exact up to rounding of the logits, which a batch's shape can move in its last bit).
"""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache

from tutelage import rng
from tutelage.branches import Branches, decoding
from tutelage.policy import Policy, embedding_rows
from tutelage.protocols import Sampled, SampleRequest
from tutelage.types import Floats, Tokens

log = logging.getLogger(__name__)
Advance = Callable[[int, Tensor, Tensor], Tensor]
"""(step, one token a row, their positions) → logits of the next token."""


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """What one batch of branches produced, step by step."""

    tokens: Int[Tensor, "R S"]
    logprobs: Float[Tensor, "R S"]


class InProcessSampler:
    """Samples from a policy in this process; it sees every update at once, without a copy of the weights."""

    def __init__(self, policy: Policy, *, eos: int, max_rows: int = 256) -> None:
        self._policy = policy
        self._eos = eos
        self._max_rows = max_rows
        self._can_share_trunk = self._can_share()

    @property
    def version(self) -> int:
        """The policy's own version: weights are shared, never stale."""
        return self._policy.version

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        """Continue every prefix, once a seed.

        Requests of like settings and length go through together, at most ``max_rows`` continuations at a time.

        Raises:
            ValueError: an empty prefix, no seed, or a text longer than the model's context.
            RuntimeError: the model gave logits that are not finite, of which nothing can be drawn.
        """
        for request in requests:
            self._check(request)
        answers: list[tuple[Sampled, ...]] = [()] * len(requests)
        for batch in self._batches(requests):
            for index, sampled in zip(batch, self._sample_batch([requests[i] for i in batch]), strict=True):
                answers[index] = sampled
        return answers

    def _check(self, request: SampleRequest) -> None:
        if not len(request.prefix) or not request.seeds or request.max_new_tokens < 1:
            raise ValueError("a request needs a prefix of at least one token, one seed or more, and room for a token")
        context = self._policy.context_length
        if context is not None and len(request.prefix) + request.max_new_tokens > context:
            raise ValueError(
                f"a prefix of {len(request.prefix)} tokens and {request.max_new_tokens} new ones exceed the model's "
                f"context of {context}: lower max_length or suffix_length"
            )

    def _batches(self, requests: Sequence[SampleRequest]) -> list[list[int]]:
        """Indices of requests that are sampled together: equal settings, neighbours in length."""

        def likeness(i: int) -> tuple[int, float, float, int, int]:
            r = requests[i]
            return (r.max_new_tokens, r.temperature, r.top_p, len(r.seeds), len(r.prefix))

        batches: list[list[int]] = []
        rows = 0
        for i in sorted(range(len(requests)), key=likeness):
            count = len(requests[i].seeds)
            same = bool(batches) and likeness(batches[-1][0])[:4] == likeness(i)[:4]
            if not same or rows + count > self._max_rows:
                batches.append([])
                rows = 0
            batches[-1].append(i)
            rows += count
        return batches

    @torch.no_grad()
    def _sample_batch(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        first = requests[0]
        seeds = tuple(seed for request in requests for seed in request.seeds)
        uniforms = torch.from_numpy(rng.uniforms(seeds, first.max_new_tokens)).to(self._policy.device)
        with self._policy.computing():
            draws = self._decode(requests, uniforms, first.temperature, first.top_p, self._shares(requests))
        tokens, logprobs = draws.tokens.cpu().numpy(), draws.logprobs.float().cpu().numpy()
        written = [self._finish(t, lp) for t, lp in zip(tokens, logprobs, strict=True)]
        broken = sum(not np.isfinite(sampled.logprobs.array).all() for sampled in written)
        if broken:
            raise RuntimeError(
                f"non-finite logits in {broken} of {len(written)} continuations: the weights are broken (NaN or "
                "infinite), or the model overflows in its precision; nothing can be sampled from it"
            )
        ends = np.cumsum([len(request.seeds) for request in requests]).tolist()
        return [tuple(written[end - len(r.seeds) : end]) for r, end in zip(requests, ends, strict=True)]

    def _shares(self, requests: Sequence[SampleRequest]) -> bool:
        """A window that is shorter than the text counts columns, so such text is decoded on copies."""
        limit = self._policy.tree_limit
        longest = max(len(request.prefix) for request in requests) + requests[0].max_new_tokens
        return self._can_share_trunk and (limit is None or longest <= limit)

    def _finish(
        self,
        tokens: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
        logprobs: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]",
    ) -> Sampled:
        stops = np.flatnonzero(tokens == self._eos)
        length = int(stops[0]) + 1 if len(stops) else len(tokens)
        return Sampled(Tokens(tokens[:length]), Floats(logprobs[:length]), "stop" if len(stops) else "length")

    def _decode(
        self,
        requests: Sequence[SampleRequest],
        uniforms: Float[Tensor, "R S"],
        temperature: float,
        top_p: float,
        shared: bool,
    ) -> _Draws:
        """Prefill the prefixes once, left-padded, then decode all branches step by step."""
        model, device = self._policy.model, self._policy.device
        lengths = [len(request.prefix) for request in requests]
        width, count, steps = max(lengths), len(requests[0].seeds), uniforms.shape[1]
        ids = np.zeros((len(requests), width), np.int64)
        for i, request in enumerate(requests):
            ids[i, width - lengths[i] :] = request.prefix.array
        real = torch.arange(width, device=device) >= width - torch.tensor(lengths, device=device)[:, None]
        trunk = DynamicCache(config=model.config)
        tokens, counted = torch.from_numpy(ids).to(device), (real.long().cumsum(1) - 1).clamp(min=0)
        logits = _last_logits(model, trunk, real.long(), tokens, counted).repeat_interleave(count, 0)
        positions = torch.tensor(lengths, device=device).repeat_interleave(count)
        branching = _shared_trunk if shared else _own_copies
        with branching(model, trunk, real, count, steps) as advance:
            return self._run(advance, logits, positions, uniforms, temperature, top_p)

    def _run(
        self,
        advance: Advance,
        logits: Float[Tensor, "R V"],
        positions: Int[Tensor, " R"],
        uniforms: Float[Tensor, "R S"],
        temperature: float,
        top_p: float,
    ) -> _Draws:
        """Decode until every branch has ended or is full. A branch that has ended runs on unseen."""
        rows, steps = uniforms.shape
        tokens = torch.full((rows, steps), self._eos, dtype=torch.int64, device=logits.device)
        logprobs = torch.zeros((rows, steps), dtype=torch.float32, device=logits.device)
        ended = torch.zeros(rows, dtype=torch.bool, device=logits.device)
        for step in range(steps):
            picked, logprob = pick(logits, uniforms[:, step], temperature, top_p)
            tokens[:, step], logprobs[:, step] = picked, logprob
            ended |= picked == self._eos
            if step + 1 == steps or bool(ended.all()):
                break
            logits = advance(step, picked[:, None], (positions + step)[:, None])
        return _Draws(tokens, logprobs)

    @torch.no_grad()
    def _can_share(self) -> bool:
        """Whether branches may read their trunk in place: tried on two prefixes against copies of the cache."""
        vocab = min(embedding_rows(self._policy.model), 256)
        length = min(6, (self._policy.context_length or 16) - 4)
        if length < 2:
            return False
        ids = rng.generator("sampler probe").integers(0, vocab, (2, length))
        requests = [SampleRequest(Tokens(row[i:]), (1, 2), 3) for i, row in enumerate(ids)]
        uniforms = torch.full((4, 3), 0.5, dtype=torch.float64, device=self._policy.device)
        try:
            with self._policy.computing():
                ours = self._decode(requests, uniforms, 1.0, 1.0, shared=True)
                theirs = self._decode(requests, uniforms, 1.0, 1.0, shared=False)
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, LookupError) as error:
            log.warning("branches cannot read their trunk in place, each gets a copy of it: %s", error)
            return False
        tolerance = 1e-4 if ours.logprobs.dtype == torch.float32 and not self._policy.mixed else 5e-2
        if torch.equal(ours.tokens, theirs.tokens) and torch.allclose(ours.logprobs, theirs.logprobs, atol=tolerance):
            return True
        log.warning("branches that read their trunk in place differ from copies of it, so each gets a copy")
        return False


def _last_logits(
    model: PreTrainedModel, cache: Cache, mask: Tensor, tokens: Int[Tensor, "R T"], positions: Int[Tensor, "R T"]
) -> Float[Tensor, "R V"]:
    """Run ``tokens`` through the model, their keys and values into ``cache``; what follows the last of them."""
    out = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1]


@contextmanager
def _shared_trunk(
    model: PreTrainedModel, trunk: DynamicCache, real: Bool[Tensor, "B P"], count: int, steps: int
) -> Generator[Advance]:
    """Branches read the trunk's keys and values in place."""
    branches = Branches(trunk, real, count, steps)
    # A mask of four dimensions is taken as final; the attention of branches does not look at it.
    mask = torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=real.device)

    def advance(step: int, tokens: Tensor, positions: Tensor) -> Tensor:
        branches.step = step
        return _last_logits(model, branches, mask, tokens, positions)

    with decoding(model, branches):
        yield advance


@contextmanager
def _own_copies(
    model: PreTrainedModel, trunk: DynamicCache, real: Bool[Tensor, "B P"], count: int, steps: int
) -> Generator[Advance]:
    """Every branch gets a copy of the trunk's cache: for models that cannot share."""
    trunk.batch_repeat_interleave(count)
    width = real.shape[1]
    mask = torch.cat([real.repeat_interleave(count, 0), real.new_ones(real.shape[0] * count, steps)], dim=1).long()

    def advance(step: int, tokens: Tensor, positions: Tensor) -> Tensor:
        return _last_logits(model, trunk, mask[:, : width + step + 1], tokens, positions)

    yield advance


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
    logp = (wide / temperature).log_softmax(-1)
    weights = logp.exp().double()
    if top_p < 1:
        weights = _nucleus(weights, top_p)
    cumulative = weights.cumsum(-1)
    picked = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)[:, 0]
    picked = picked.clamp(max=logits.shape[-1] - 1)
    return picked, logp.gather(-1, picked[:, None])[:, 0]


def _nucleus(weights: Float[Tensor, "R V"], top_p: float) -> Float[Tensor, "R V"]:
    """Keep the smallest set of most probable tokens whose mass reaches ``top_p``."""
    ordered, order = weights.sort(stable=True, dim=-1, descending=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    return weights.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), 0.0)
