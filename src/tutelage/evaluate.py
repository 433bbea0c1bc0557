"""Measuring a policy while it trains and after: evaluators, and likelihood on held-out text."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from tutelage.collate import collate
from tutelage.maths.ranges import require
from tutelage.objectives import NTP
from tutelage.policy import Policy
from tutelage.protocols import Codec, Resources, StreamSpec
from tutelage.ranks import Ranks
from tutelage.types import Chunk, JudgedPool, Pool, Tokens


@runtime_checkable
class Evaluator(Protocol):
    """Measures a policy."""

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """Numbers by name."""
        ...


@runtime_checkable
class EvaluatorSpec(Protocol):
    """An evaluator as it stands in a run."""

    def build(self, resources: Resources) -> Evaluator:
        """The working evaluator."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluator and how often it runs; it always runs at the end.

    Of several ranks the first measures and the others wait for its numbers, ten minutes at most (``TorchRanks.join``).
    """

    evaluator: EvaluatorSpec
    """What measures."""
    every: int = 100
    """Updates between two evaluations; 0 means at the end only."""

    def __post_init__(self) -> None:
        require(self, "every", at_least=0)


class Evaluators:
    """A run's evaluations with their evaluators built."""

    def __init__(self, evaluations: Sequence[Evaluation], resources: Resources, ranks: Ranks) -> None:
        self._due = [(evaluation.every, evaluation.evaluator.build(resources)) for evaluation in evaluations]
        self._ranks = ranks

    def measure(self, policy: Policy, step: int, *, last: bool) -> dict[str, float]:
        """``evaluation/NAME`` of all that are due at ``step``; at the ``last`` one all are.

        What rank 0 measures, for every rank: numbers that end phases and break limits must be the same on all.
        """
        due = [evaluator for every, evaluator in self._due if last or (every and step % every == 0)]
        if not due:
            return {}
        found: dict[str, float] = {}
        if self._ranks.rank == 0:
            for evaluator in due:
                found |= {f"evaluation/{name}": float(value) for name, value in evaluator.evaluate(policy).items()}
        return json.loads(self._ranks.gather(json.dumps(found))[0])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Likelihood of held-out documents: nats a token, and bits a byte of their text."""

    stream: StreamSpec
    """Where the documents come from."""
    documents: int = 64
    """How many are read, once."""
    split: str = "validation"
    """Which keyed split of them."""
    name: str = "held_out"
    """What the metrics are called."""
    max_tokens: int = 16_384
    """Packed tokens of a micro-batch."""

    def __post_init__(self) -> None:
        require(self, "documents", "max_tokens", at_least=1)

    def build(self, resources: Resources) -> "HeldOutEvaluator":
        """Read the documents once.

        Raises:
            ValueError: the split holds no text to measure.
        """
        stream = self.stream.build(resources.seed, resources.codec, self.split)
        chunks, _ = stream.read(stream.start(), self.documents)
        if not any(resources.codec.decode(_scored(chunk)) for chunk in chunks):
            raise ValueError(
                f"{self.name}: {self.documents} documents of the split {self.split!r} hold no text to measure; "
                "ask for more (documents), or give the split a share of the corpus"
            )
        return HeldOutEvaluator(chunks, resources.codec, self.name, self.max_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutEvaluator:
    """``HeldOut`` at work."""

    chunks: tuple[Chunk, ...]
    codec: Codec
    name: str
    max_tokens: int

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME_nll`` in nats a token; ``NAME_bits_per_byte``, first tokens left out of both."""
        losses = document_losses(policy, self.chunks, self.max_tokens)
        tokens = sum(n for _, n in losses)
        nats = sum(total for total, _ in losses)
        size = sum(len(self.codec.decode(_scored(chunk)).encode()) for chunk in self.chunks)
        return {
            f"{self.name}_nll": nats / tokens,
            f"{self.name}_bits_per_byte": nats / math.log(2) / size,
        }


def _scored(chunk: Chunk) -> Tokens:
    """The tokens that carry a loss: all but the first."""
    return chunk.document.tokens[chunk.cut - len(chunk.prefix) + 1 : chunk.cut + len(chunk.suffix)]


@torch.no_grad()
def document_losses(policy: Policy, chunks: Sequence[Chunk], max_tokens: int = 16_384) -> list[tuple[float, int]]:
    """(negative log-likelihood in nats, tokens) of every chunk's window, its first token left out."""
    ntp = NTP()
    items = [item for c in chunks if (item := ntp.lesson(JudgedPool(Pool(c, ()))).item) is not None]
    sums: dict[int, tuple[float, int]] = {}
    for batch in collate(items, max_tokens=max_tokens, layout=policy.layout, tree_limit=policy.tree_limit):
        nll = -policy.score(batch).logprobs.double().cpu()
        totals = torch.zeros(batch.num_rows, dtype=torch.float64).index_add_(0, batch.row, nll)
        counts = torch.bincount(batch.row, minlength=batch.num_rows)
        # One row an item here, so that rows stand for items.
        sums |= dict(zip(batch.items, zip(totals.tolist(), counts.tolist(), strict=True), strict=True))
    return [sums[i] for i in range(len(items))]
