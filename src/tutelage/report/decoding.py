"""Other ways to decode a policy, for evaluation alone: sharpening at decoding time is a control, for it is not learnt.

Draws are keyed by seed, chunk and number, as in ``answers``: with the defaults the continuations are those of a report,
and whatever is decoded otherwise shares its luck.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from tutelage import rng
from tutelage.codec import Tokenizer
from tutelage.devices import device_of
from tutelage.maths.ranges import require
from tutelage.picking import pick
from tutelage.policy import Policy
from tutelage.protocols import Judge, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Abstained, Chunk, JudgedPool, Pool, Rewrite, Tokens
from tutelage.weights import Pretrained, load_model

ROWS = 600
"""Continuations sampled at a time."""

Scorer = Callable[[Sequence[Chunk], Sequence[Tokens]], Sequence[float]]
"""(chunks, one continuation of each) → their scores, NaN where there is none. The continuations of one chunk are
adjacent."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to decode; the defaults sample from the policy as it is.

    Example:
        >>> Decoding(temperature=0.7, repetition_penalty=1.1).best_of
        1
    """

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Mass of the nucleus that is sampled from; 1 is all."""
    repetition_penalty: float = 1.0
    """Logits of tokens that stand in the prefix or the continuation already are divided by it where they are positive,
    multiplied where they are negative (arXiv:1909.05858 §4.1); 1 is none."""
    best_of: int = 1
    """Continuations sampled, of which a scorer chooses one."""

    def __post_init__(self) -> None:
        require(self, "temperature", at_least=0)
        require(self, "top_p", above=0, at_most=1)
        require(self, "repetition_penalty", above=0)
        require(self, "best_of", at_least=1)
        if self.temperature == 0 and self.best_of > 1:
            raise ValueError(f"best_of is {self.best_of} at temperature 0, which gives one text each time; leave it 1")


def decode(
    model: Path,
    tokenizer: str,
    chunks: Sequence[Chunk],
    decoding: Decoding,
    *,
    seed: int,
    suffix_length: int,
    scorer: Scorer | None = None,
    device: str = "cpu",
) -> tuple[Tokens, ...]:
    """One continuation of every chunk's prefix; one that ends itself keeps its end-of-text.

    Args:
        model: Hugging Face folder of the policy.
        tokenizer: folder of its tokenizer.
        chunks: whose prefixes are continued.
        decoding: how.
        seed: the run's.
        suffix_length: most tokens of a continuation.
        scorer: chooses where ``best_of`` is above 1.
        device: as in a run.

    Raises:
        ValueError: ``best_of`` without a scorer, or a chunk of which no continuation got a score.
    """
    if decoding.best_of > 1 and scorer is None:
        raise ValueError(f"best_of is {decoding.best_of} and there is no scorer to choose by")
    codec = Tokenizer(tokenizer).build()
    network = load_model(Pretrained(str(model)), codec, seed=0, device=device_of(device))
    requests = [_request(chunk, decoding, seed, suffix_length) for chunk in chunks]
    if decoding.repetition_penalty == 1:
        sampler = InProcessSampler(Policy(network), eos=codec.eos, max_rows=ROWS)
        written = [tuple(one.tokens for one in sampled) for sampled in sampler.sample(requests)]
    else:
        written = penalised(network, codec.eos, requests, decoding.repetition_penalty)
    if scorer is None or decoding.best_of == 1:
        return tuple(mine[0] for mine in written)
    return best(chunks, written, scorer)


def best(chunks: Sequence[Chunk], written: Sequence[Sequence[Tokens]], scorer: Scorer) -> tuple[Tokens, ...]:
    """Of each chunk's continuations the one that scores highest, the first of equals.

    Raises:
        ValueError: a chunk of which no continuation got a score, or another number of scores than continuations.
    """
    asked = [(chunk, tokens) for chunk, mine in zip(chunks, written, strict=True) for tokens in mine]
    scores = scorer([chunk for chunk, _ in asked], [tokens for _, tokens in asked])
    if len(scores) != len(asked):
        raise ValueError(f"the scorer gave {len(scores)} scores for {len(asked)} continuations; it must give one each")
    left, chosen = iter(scores), list[Tokens]()
    for chunk, mine in zip(chunks, written, strict=True):
        known = [(score, tokens) for tokens in mine if not math.isnan(score := next(left))]
        if not known:
            raise ValueError(f"no continuation of document {chunk.document.id!r} got a score, so that none is the best")
        chosen.append(max(known, key=lambda pair: pair[0])[1])
    return tuple(chosen)


def scorer_of(judge: Judge) -> Scorer:
    """A judge's totals as scores: the continuations of one chunk are a pool. NaN where it abstains."""

    def scores(chunks: Sequence[Chunk], continuations: Sequence[Tokens]) -> list[float]:
        pairs = zip(chunks, continuations, strict=True)
        pools = [
            Pool(chunk, tuple(Rewrite(tokens, author="policy") for _, tokens in mine))
            for chunk, mine in groupby(pairs, key=lambda pair: pair[0])
        ]
        judged = [JudgedPool(pool, ruled) for pool, ruled in zip(pools, judge.judge(pools), strict=True)]
        totals = [total for pool in judged for total in pool.totals]
        return [math.nan if isinstance(total, Abstained) else total.value for total in totals]

    return scores


def penalised(model: Any, eos: int, requests: Sequence[SampleRequest], penalty: float) -> list[tuple[Tokens, ...]]:
    """Continue every prefix with a repetition penalty, once a seed; at a penalty of 1 as ``InProcessSampler`` does."""
    written: list[list[Tokens]] = [[] for _ in requests]
    for batch in _batches(requests):
        first = requests[batch[0][0]]
        prefixes = torch.tensor([requests[i].prefix.tolist() for i, _ in batch], device=model.device)
        uniforms = torch.from_numpy(rng.uniforms(tuple(seed for _, seed in batch), first.max_new_tokens))
        picking = _Picking(uniforms.to(model.device), len(first.prefix), first.temperature, first.top_p)
        # What the folder says of generation is left out: only what is asked for decides.
        model.generation_config = GenerationConfig()
        ends = {"eos_token_id": eos, "pad_token_id": eos}
        settings = GenerationConfig(
            do_sample=False, max_new_tokens=first.max_new_tokens, repetition_penalty=float(penalty), **ends
        )
        shown = {"attention_mask": torch.ones_like(prefixes), "logits_processor": LogitsProcessorList([picking])}
        found = model.generate(prefixes, generation_config=settings, **shown)[:, len(first.prefix) :]
        for (i, _), ids in zip(batch, found.tolist(), strict=True):
            written[i].append(Tokens(ids[: ids.index(eos) + 1] if eos in ids else ids))
    return [tuple(mine) for mine in written]


class _Picking(LogitsProcessor):
    """Draws as the sampler does and leaves the drawn token alone, so that greedy generation takes it."""

    def __init__(self, uniforms: Float[Tensor, "R S"], start: int, temperature: float, top_p: float) -> None:
        self._uniforms = uniforms
        self._start = start
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: Int[Tensor, "R T"], scores: Float[Tensor, "R V"]) -> Float[Tensor, "R V"]:
        step = input_ids.shape[1] - self._start
        picked, _ = pick(scores, self._uniforms[:, step], self._temperature, self._top_p)
        return torch.full_like(scores, -math.inf).scatter(-1, picked[:, None], 0.0)


def _request(chunk: Chunk, decoding: Decoding, seed: int, suffix_length: int) -> SampleRequest:
    key = (seed, "report", *chunk.key)
    seeds = (rng.seed(*key), *(rng.seed(*key, k) for k in range(1, decoding.best_of)))
    return SampleRequest(chunk.prefix, seeds, suffix_length, decoding.temperature, decoding.top_p)


def _batches(requests: Sequence[SampleRequest]) -> Iterator[list[tuple[int, int]]]:
    """(request, seed) by length of the prefix: without padding nothing but the text's own tokens is penalised."""
    rows = [(i, seed) for i, request in enumerate(requests) for seed in request.seeds]
    rows.sort(key=lambda row: len(requests[row[0]].prefix))
    for _, same in groupby(rows, key=lambda row: len(requests[row[0]].prefix)):
        alike = list(same)
        yield from (alike[start : start + ROWS] for start in range(0, len(alike), ROWS))
