"""What a language model does on documents it has not seen: likelihood, continuations, and how they repeat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage import rng
from tutelage.evaluate import document_losses
from tutelage.maths.statistics import Interval, bootstrap_ratio, distinct_n, hierarchical_bootstrap, repeated_ngrams
from tutelage.policy import Policy
from tutelage.protocols import Codec, Judge, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk, Pool, Rewrite, Scored, Tokens
from tutelage.weights import Pretrained, load_model

NGRAM = 4
ROWS = 128
"""Continuations sampled at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One model on every chunk."""

    sampled: tuple[Tokens, ...]
    """At T = 1, the draw keyed by chunk: all models share their luck."""
    greedy: tuple[Tokens, ...]
    bits: NDArray[np.float64]
    """Of every chunk's window, its first token left out, shape ``(chunks,)``."""
    sizes: NDArray[np.float64]
    """Bytes of the same text."""


def write_texts(model: str, codec: Codec, chunks: Sequence[Chunk], suffix_length: int, seed: int) -> Written:
    """Load a model and let it read and continue every chunk.

    Raises:
        ValueError: there is no model in the folder.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy = Policy(load_model(Pretrained(model), codec, seed=0, device=device))
    sampler = InProcessSampler(policy, eos=codec.eos, max_rows=ROWS)
    texts: list[tuple[Tokens, ...]] = []
    for temperature in (1.0, 0.0):
        requests = [
            SampleRequest(chunk.prefix, (rng.seed(seed, "report", *chunk.key),), suffix_length, temperature)
            for chunk in chunks
        ]
        texts.append(tuple(written[0].tokens for written in sampler.sample(requests)))
    bits = [nats / math.log(2) for nats, _ in document_losses(policy, chunks, max_tokens=8192)]
    sizes = [len(codec.decode(_scored(chunk)).encode()) for chunk in chunks]
    return Written(texts[0], texts[1], np.array(bits, np.float64), np.array(sizes, np.float64))


def _scored(chunk: Chunk) -> Tokens:
    """The tokens that carry a loss: all but the window's first."""
    return Tokens.join([chunk.prefix, chunk.suffix])[1:]


def written_figures(written: Written, seed: int = 0) -> dict[str, Any]:
    """Held-out bits a byte and the plain statistics of the continuations."""
    return {
        "bits_per_byte": _plain(bootstrap_ratio([written.bits], [written.sizes], seed=seed)),
        **text_figures(written.sampled, seed),
        "greedy": text_figures(written.greedy, seed),
    }


def text_figures(texts: Sequence[Tokens], seed: int = 0) -> dict[str, Any]:
    """Repetition within texts, variety over all of them, length in tokens."""
    lists = [tokens.tolist() for tokens in texts]
    repeated = np.array([repeated_ngrams(tokens, NGRAM) for tokens in lists], np.float64)
    length = np.array([len(tokens) for tokens in lists], np.float64)
    return {
        "repetition": _plain(hierarchical_bootstrap([repeated], seed=seed)),
        "length": _plain(hierarchical_bootstrap([length], seed=seed)),
        "distinct_1": distinct_n(lists, 1),
        "distinct_2": distinct_n(lists, 2),
        "distinct_4": distinct_n(lists, 4),
    }


def judged_wins(
    judge: Judge, chunks: Sequence[Chunk], ours: Sequence[Tokens], theirs: Sequence[Tokens], seed: int
) -> dict[str, Any]:
    """How often ours beats theirs by the judge's sum over axes, draws half; abstentions are counted, not scored."""
    pools: list[Pool] = []
    first: list[bool] = []
    for chunk, one, two in zip(chunks, ours, theirs, strict=True):
        first.append(rng.below(2, seed, "report", "order", *chunk.key) == 0)
        both = (Rewrite(one, "ours", "ours"), Rewrite(two, "theirs", "theirs"))
        pools.append(Pool(chunk, both if first[-1] else both[::-1]))
    points: list[float] = []
    for pool, judgements, in_order in zip(pools, judge.judge(pools), first, strict=True):
        totals = [_total(judgements, i) for i in ((0, 1) if in_order else (1, 0))]
        if totals[0] is not None and totals[1] is not None:
            same = pool.candidates[0].tokens == pool.candidates[1].tokens or totals[0] == totals[1]
            points.append(0.5 if same else float(totals[0] > totals[1]))
    return _share(points, seed) | {"judged": len(points), "abstained": len(pools) - len(points)}


def _total(judgements: Sequence[Any], index: int) -> float | None:
    values = [(judgement.weight, judgement.verdicts[index]) for judgement in judgements]
    if not values or not all(isinstance(verdict, Scored) for _, verdict in values):
        return None
    return sum(weight * verdict.value for weight, verdict in values)


def plain_wins(ours: Written, theirs: Written, seed: int) -> dict[str, Any]:
    """How often ours repeats itself less and finds a held-out document likelier, and by how much; without a judge."""
    repeated = [[repeated_ngrams(tokens.tolist(), NGRAM) for tokens in each.sampled] for each in (ours, theirs)]
    less = [_point(two - one) for one, two in zip(*repeated, strict=True)]
    likelier = [_point(two - one) for one, two in zip(ours.bits.tolist(), theirs.bits.tolist(), strict=True)]
    return {"less_repetition": _share(less, seed), "likelier_documents": _share(likelier, seed)} | {
        "bits_per_byte": bits_difference(ours, theirs, seed)
    }


def bits_difference(ours: Written, theirs: Written, seed: int) -> dict[str, Any]:
    """Ours less theirs, in bits a byte of the same documents; paired, so that what is hard about a document cancels."""
    table = np.stack([ours.bits - theirs.bits, ours.sizes], axis=1)
    return _plain(hierarchical_bootstrap([table], statistic=lambda means: float(means[0] / means[1]), seed=seed))


def _point(lead: float) -> float:
    return 0.5 if lead == 0 else float(lead > 0)


def _share(points: Sequence[float], seed: int) -> dict[str, Any]:
    if not points:
        return {"mean": None, "low": None, "high": None}
    return _plain(hierarchical_bootstrap([np.array(points, np.float64)], seed=seed))


def _plain(found: Interval) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high}


def run_of(model: str) -> Path | None:
    """The directory of the run whose ``hf/`` this is, if it is one."""
    folder = Path(model).expanduser().parent
    return folder if (folder / "metrics.jsonl").is_file() else None
