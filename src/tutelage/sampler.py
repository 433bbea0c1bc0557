"""Text out of the policy, in process: each prefix is computed once, then continued once for every seed.

Draws are keyed: a continuation's tokens are a function of the weights, the prefix and its seed, not of the batch
that it happened to be in (exact up to rounding of the logits, which a batch's shape can move in its last bit).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutelage import rng
from tutelage.decoding import Advance, Branching, Prefilled, own_copies, prefill, ways_to_share
from tutelage.memory import is_out_of_memory
from tutelage.picking import pick
from tutelage.policy import Policy
from tutelage.protocols import Sampled, SampleRequest
from tutelage.sampling_plan import Room, Trunk, plan, room_for
from tutelage.types import Floats, Tokens
from tutelage.weights import embedding_rows

log = logging.getLogger(__name__)


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
        self._room = Room(max_rows, float("inf"), 0.0, 0.0)
        self._sharing = self._probe()
        """How branches share a trunk, if the model lets them."""

    @property
    def version(self) -> int:
        """The policy's own version: weights are shared, never stale."""
        return self._policy.version

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        """Continue every prefix, once a seed.

        Requests of like settings and length go through together, at most ``max_rows`` continuations at a time and no
        more than the memory plan allows; prefixes that begin one another are computed once.

        Raises:
            ValueError: an empty prefix, no seed, or a text longer than the model's context.
            RuntimeError: the model gave logits that are not finite, of which nothing can be drawn; or a single request
                does not fit in memory.
        """
        for request in requests:
            self._check(request)
        answers: list[tuple[Sampled, ...]] = [()] * len(requests)
        share = self._sharing is not None and self._policy.ways.separate_head and self._fits_window(requests)
        for batch in plan(requests, self._room, share=share):
            indices = [i for trunk in batch for i in trunk.requests]
            try:
                written = self._sample_batch(requests, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                written = self._in_less_room([requests[i] for i in indices], error)
            for index, sampled in zip(indices, written, strict=True):
                answers[index] = sampled
        return answers

    def _in_less_room(self, requests: Sequence[SampleRequest], error: Exception) -> list[tuple[Sampled, ...]]:
        """Half as much at a time from now on."""
        if len(requests) == 1:
            raise RuntimeError(
                f"{len(requests[0].seeds)} continuations of {len(requests[0].prefix)} tokens do not fit in memory: "
                "lower num_rollouts or max_length"
            ) from error
        rows = max(1, sum(len(request.seeds) for request in requests) // 2)
        log.warning("out of memory while sampling: %d continuations at a time from now on (sampler_rows)", rows)
        self._room = replace(self._room, rows=rows)
        return self.sample(requests)

    def _check(self, request: SampleRequest) -> None:
        if not len(request.prefix) or not request.seeds or request.max_new_tokens < 1:
            raise ValueError("a request needs a prefix of at least one token, one seed or more, and room for a token")
        context = self._policy.context_length
        if context is not None and len(request.prefix) + request.max_new_tokens > context:
            raise ValueError(
                f"a prefix of {len(request.prefix)} tokens and {request.max_new_tokens} new ones exceed the model's "
                f"context of {context}: lower max_length or suffix_length"
            )

    def _fits_window(self, requests: Sequence[SampleRequest]) -> bool:
        """A window that is shorter than the text counts columns, so such text is decoded on copies."""
        limit = self._policy.tree_limit
        return limit is None or all(len(r.prefix) + r.max_new_tokens <= limit for r in requests)

    @torch.inference_mode()
    def _sample_batch(self, requests: Sequence[SampleRequest], batch: Sequence[Trunk]) -> list[tuple[Sampled, ...]]:
        asked = [requests[i] for trunk in batch for i in trunk.requests]
        seeds = tuple(seed for request in asked for seed in request.seeds)
        uniforms = torch.from_numpy(rng.uniforms(seeds, asked[0].max_new_tokens)).to(self._policy.device)
        branching = self._sharing if self._sharing and self._fits_window(asked) else own_copies
        with self._policy.computing():
            draws = self._decode(requests, batch, uniforms, branching)
        tokens, logprobs = draws.tokens.cpu().numpy(), draws.logprobs.float().cpu().numpy()
        written = [self._finish(t, lp) for t, lp in zip(tokens, logprobs, strict=True)]
        broken = sum(not np.isfinite(sampled.logprobs.array).all() for sampled in written)
        if broken:
            raise RuntimeError(
                f"non-finite logits in {broken} of {len(written)} continuations: the weights are broken (NaN or "
                "infinite), or the model overflows in its precision; nothing can be sampled from it"
            )
        ends = np.cumsum([len(request.seeds) for request in asked]).tolist()
        return [tuple(written[end - len(r.seeds) : end]) for r, end in zip(asked, ends, strict=True)]

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
        batch: Sequence[Trunk],
        uniforms: Float[Tensor, "R S"],
        branching: Branching,
    ) -> _Draws:
        """Compute the trunks once, left-padded, then decode all branches step by step."""
        settings = requests[batch[0].requests[0]]
        prefilled = prefill(self._policy, [[requests[i] for i in trunk.requests] for trunk in batch])
        with branching(self._policy.model, prefilled, uniforms.shape[1]) as advance:
            return self._run(advance, prefilled, uniforms, settings.temperature, settings.top_p)

    def _run(
        self,
        advance: Advance,
        prefilled: Prefilled,
        uniforms: Float[Tensor, "R S"],
        temperature: float,
        top_p: float,
    ) -> _Draws:
        """Decode until every branch has ended or is full. A branch that has ended runs on unseen."""
        rows, steps = uniforms.shape
        logits, positions = prefilled.logits, prefilled.positions
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
    def _probe(self) -> Branching | None:
        """How branches may read their trunk in place: tried on two prefixes against copies of the cache.

        The cache of the trial says, too, what a column of it takes.
        """
        vocab = embedding_rows(self._policy.model)
        length = min(6, (self._policy.context_length or 16) - 4)
        if length < 2:
            return None
        ids = rng.generator("sampler probe").integers(0, min(vocab, 256), (2, length))
        requests = [SampleRequest(Tokens(row[i:]), (1, 2), 3) for i, row in enumerate(ids)]
        batch = [Trunk((i,), len(request.prefix), 2) for i, request in enumerate(requests)]
        uniforms = torch.full((4, 3), 0.5, dtype=torch.float64, device=self._policy.device)
        with self._policy.computing():
            trunk = prefill(self._policy, [[request] for request in requests]).cache
            self._room = room_for(trunk, vocab, self._policy.device, self._room.rows)
            theirs = self._decode(requests, batch, uniforms, own_copies)
            name, reason = type(self._policy.model).__name__, ""
            for branching in ways_to_share(self._policy.device):
                try:
                    if self._agree(self._decode(requests, batch, uniforms, branching), theirs):
                        if reason:
                            log.warning("%s: sampling without CUDA graphs, which is slower (%s)", name, reason)
                        return branching
                    reason = "on trial it gave other numbers"
                except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
                    reason = str(error)
        log.warning(
            "%s: sampling copies the prefix for each continuation (%s); it is slower and takes more memory, "
            "and the text is the same",
            name,
            reason,
        )
        return None

    def _agree(self, ours: _Draws, theirs: _Draws) -> bool:
        exact = self._policy.model.dtype in (torch.float32, torch.float64) and not self._policy.mixed
        near = torch.allclose(ours.logprobs, theirs.logprobs, atol=1e-4 if exact else 5e-2)
        return near and torch.equal(ours.tokens, theirs.tokens)
