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
from tutelage.decoding import Advance, Branching, Prefilled, own_copies, prefill
from tutelage.maths.ranges import require
from tutelage.memory import is_out_of_memory
from tutelage.picking import pick
from tutelage.policy import Policy
from tutelage.protocols import Sampled, SampleRequest
from tutelage.sampling_plan import Reading, Trunk, plan, split
from tutelage.sampling_trial import find_sharing
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
        if max_rows < 1:
            raise ValueError(f"max_rows is {max_rows}; at least one continuation must go through at a time")
        self._policy = policy
        self._vocabulary = embedding_rows(policy.model)
        self._eos = eos
        found = find_sharing(policy, max_rows)
        self._room = found.room
        """Fewer rows after memory did not suffice."""
        self._sharing, self._padded = found.sharing, found.padded
        self._told = found.sharing is None
        """Whether the log knows that prefixes are copied."""

    @property
    def version(self) -> int:
        """The policy's own version: weights are shared, never stale."""
        return self._policy.version

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        """Continue every prefix, once a seed.

        Requests of like settings and length go through together, at most ``max_rows`` continuations at a time and no
        more than the memory plan allows: a request for more goes in parts. Prefixes that begin one another are
        computed once.

        Raises:
            ValueError: an empty prefix or a token that the model lacks, no seed, a temperature or ``top_p`` out of
                range, or a text longer than the model's context.
            RuntimeError: the model gave logits that are not finite, of which nothing can be drawn; or a single
                continuation does not fit in memory.
        """
        for request in requests:
            self._check(request)
        parts = [(i, part) for i, r in enumerate(requests) for part in split(r, self._room, self._reading(r))]
        asked = [part for _, part in parts]
        written: list[tuple[Sampled, ...]] = [()] * len(parts)
        for batch in plan(asked, [self._reading(part) for part in asked], self._room, padded=self._padded):
            indices = [i for trunk in batch for i in trunk.requests]
            found = self._attempt(asked, batch) or self.sample([asked[i] for i in indices])
            for index, sampled in zip(indices, found, strict=True):
                written[index] = sampled
        answers: list[tuple[Sampled, ...]] = [()] * len(requests)
        for (i, _), sampled in zip(parts, written, strict=True):
            answers[i] += sampled
        return answers

    def _attempt(self, requests: Sequence[SampleRequest], batch: Sequence[Trunk]) -> list[tuple[Sampled, ...]] | None:
        """What a batch comes to, or ``None`` where memory does not suffice: half as much at a time from then on."""
        rows = sum(trunk.rows for trunk in batch)
        if rows > self._room.rows:  # planned before it was known
            return None
        try:
            return self._sample_batch(requests, batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise RuntimeError(
                    f"a continuation of {batch[0].length} tokens does not fit in memory: lower max_length"
                ) from error
        # Behind the handler: while it runs, the error holds the attempt's frames, and they hold its tensors.
        if self._policy.device.type == "cuda":
            torch.cuda.empty_cache()
        log.warning("out of memory while sampling: %d continuations at a time from now on (sampler_rows)", rows // 2)
        self._room = replace(self._room, rows=rows // 2)
        return None

    def _check(self, request: SampleRequest) -> None:
        if not len(request.prefix) or not request.seeds or request.max_new_tokens < 1:
            raise ValueError("a request needs a prefix of at least one token, one seed or more, and room for a token")
        require(request, "temperature", at_least=0)
        require(request, "top_p", above=0, at_most=1)
        largest, vocabulary = int(request.prefix.array.max()), self._vocabulary
        if largest >= vocabulary:
            raise ValueError(f"the prefix holds token {largest}, and the model has {vocabulary}: another tokenizer's?")
        context = self._policy.context_length
        if context is not None and len(request.prefix) + request.max_new_tokens > context:
            raise ValueError(
                f"a prefix of {len(request.prefix)} tokens and {request.max_new_tokens} new ones exceed the model's "
                f"context of {context}: lower max_length or suffix_length"
            )

    def _reading(self, request: SampleRequest) -> Reading:
        """How text of this length is read.

        A window that is shorter than the text counts columns, so such text is decoded on copies. A model that padding
        misleads may take positions from columns, and a fork inside a trunk has others: every prefix stands alone.
        """
        limit = self._policy.tree_limit
        if self._sharing is None:
            return "copies"
        if limit is not None and len(request.prefix) + request.max_new_tokens > limit:
            self._tell(limit)
            return "copies"
        return "trunks" if self._policy.ways.separate_head and self._padded else "prefixes"

    def _tell(self, limit: int) -> None:
        if not self._told:
            log.warning(
                "texts longer than the model's attention window of %d tokens are sampled on a copy of the prefix for "
                "each continuation, which is slower and takes more memory; the text is the same",
                limit,
            )
        self._told = True

    @torch.inference_mode()
    def _sample_batch(self, requests: Sequence[SampleRequest], batch: Sequence[Trunk]) -> list[tuple[Sampled, ...]]:
        asked = [requests[i] for trunk in batch for i in trunk.requests]
        seeds = tuple(seed for request in asked for seed in request.seeds)
        uniforms = torch.from_numpy(rng.uniforms(seeds, asked[0].max_new_tokens)).to(self._policy.device)
        branching = own_copies if self._sharing is None or batch[0].reading == "copies" else self._sharing
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
