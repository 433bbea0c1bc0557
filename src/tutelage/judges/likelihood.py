"""A language model as judge: how likely it finds each candidate after its prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from tutelage.codec import HFCodec, Tokenizer
from tutelage.collate import Batch, collate
from tutelage.policy import Policy
from tutelage.protocols import Codec, Judge, Resources
from tutelage.types import Abstained, Group, Judgement, Pool, Row, Scored, Segment, Tokens, Verdict
from tutelage.weights import Precision, Pretrained, is_mixed, load_model


@dataclass(frozen=True, slots=True)
class LikelihoodJudge:
    """Mean log-probability of the candidate's tokens given its prefix, in nats a token [I; not in the paper].

    ``score(c) = (1/|c|) Σ log p(c_t | prefix, c_<t)``. The scale is the raw mean: 0 at best, ``-ln V`` (about -10) for
    guessing, lower for nonsense; differences inside a pool are what counts, so set ``weight`` when it is summed with
    axes in ``[0, 1]``. Repetition is very likely text: put a ``Guard`` around it, its floor well below -10.
    """

    path: str
    """Folder of a causal language model and its tokenizer, or a hub name."""
    tokenizer: str | None = None
    """Folder of its tokenizer where that is another. Text is tokenised anew where it is not the policy's."""
    weight: float = 1.0
    """Factor in the sum over axes."""
    axis: str = "likelihood"
    """Name of what it scores."""
    batch_tokens: int = 8192
    """Most tokens that go through the model together; a pool larger than that goes by itself."""
    precision: Precision = "float32"
    """Of the reference model."""
    device: str = "auto"
    """``auto`` takes the first GPU where there is one."""

    def build(self, resources: Resources) -> Judge:
        """The working judge, its model loaded.

        Raises:
            ValueError: no model or tokenizer at ``path``, or a tokenizer with more ids than the model has.
        """
        place = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        home = str(Path(self.tokenizer or self.path).expanduser())
        codec = Tokenizer(home).build("LikelihoodJudge.tokenizer" if self.tokenizer else "LikelihoodJudge.path")
        device = torch.device(place)
        spec = Pretrained(self.path, self.precision)
        model = load_model(spec, codec, seed=0, device=device, field="LikelihoodJudge.path")
        policy = Policy(model.requires_grad_(False), mixed=is_mixed(self.precision, device))
        return ReferenceLikelihood(self, policy, codec, _opening(home), resources.codec)


def _opening(path: str) -> Tokens:
    """What the tokenizer itself puts before a text: begin-of-text for the models that were trained with one."""
    tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    ids: list[int] = tokenizer("")["input_ids"]
    return Tokens([token for token in ids if token == tokenizer.bos_token_id][:1])


class ReferenceLikelihood:
    """``LikelihoodJudge`` at work: a pool is one tree, its prefix computed once."""

    def __init__(
        self, spec: LikelihoodJudge, model: Policy, codec: HFCodec, opening: Tokens, written_by: Codec
    ) -> None:
        self._spec = spec
        self._model = model
        self._codec = codec
        self._opening = opening
        self._policy_codec = written_by
        self._same = codec.fingerprint == written_by.fingerprint

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool."""
        rows = [[self._row(pool, c.tokens) for c in pool.candidates] for pool in pools]
        scores = self._means([[row for row in mine if isinstance(row, Row)] for mine in rows])
        judgements: list[tuple[Judgement, ...]] = []
        for mine, values in zip(rows, scores, strict=True):
            left = iter(values)
            verdicts = tuple(row if isinstance(row, Abstained) else _verdict(next(left)) for row in mine)
            judgements.append((Judgement(self._spec.axis, verdicts, self._spec.weight, calls=len(values)),))
        return judgements

    def _row(self, pool: Pool, candidate: Tokens) -> Row | Abstained:
        """Prefix and candidate in the reference's tokens, the prefix shortened from the left to its context."""
        prefix, target = self._tokens(pool.chunk.prefix, candidate)
        if not len(target):
            return Abstained("no token to score")
        limit = self._model.context_length
        start = self._opening if len(self._opening) or len(prefix) else Tokens([self._codec.eos])
        room = None if limit is None else limit - len(target) - len(start)
        if room is not None and room < 0:
            return Abstained(f"candidate of {len(target)} tokens exceeds the context of {limit}")
        shown = prefix if room is None else prefix[len(prefix) - min(room, len(prefix)) :]
        before = Tokens.join([start, shown])
        if not len(before):
            return Abstained(f"candidate of {len(target)} tokens fills the context of {limit}")
        return Row((Segment(before), Segment(target, trained=True)))

    def _tokens(self, prefix: Tokens, candidate: Tokens) -> tuple[Tokens, Tokens]:
        if self._same:
            return prefix, candidate
        written_by = self._policy_codec
        before, text = self._codec.encode(written_by.decode(prefix)), written_by.decode(candidate)
        behind = self._codec.encode_after(before, text)
        target = self._codec.encode(text) if behind is None else behind
        ends = len(candidate) and candidate[-1] == written_by.eos
        return before, Tokens.join([target, Tokens([self._codec.eos])]) if ends else target

    @torch.no_grad()
    def _means(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]:
        """Mean log-probability of every row; pools go through by length, so that little is padding."""
        found: list[list[float]] = [[] for _ in groups]
        order = sorted((i for i, rows in enumerate(groups) if rows), key=lambda i: _size(groups[i]))
        batches = collate(
            [Group(tuple(groups[i])) for i in order],
            max_tokens=self._spec.batch_tokens,
            layout=self._model.layout,
            tree_limit=self._model.tree_limit,
        )
        for batch in batches:
            means = iter(self._batch_means(batch))
            for number in batch.items:
                found[order[number]] = [next(means) for _ in groups[order[number]]]
        return found

    def _batch_means(self, batch: Batch) -> list[float]:
        logprobs = self._model.score(batch).logprobs.double().cpu().numpy()
        row = batch.row.numpy()
        sums = np.bincount(row, weights=logprobs, minlength=batch.num_rows)
        return (sums / np.bincount(row, minlength=batch.num_rows)).tolist()


def _size(rows: Sequence[Row]) -> int:
    return sum(row.length for row in rows)


def _verdict(mean: float) -> Verdict:
    return Scored(mean) if np.isfinite(mean) else Abstained(f"the mean log-probability is {mean}")
