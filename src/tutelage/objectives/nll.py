"""Likelihood objectives: NTP (the control), SFT on one source, and reward-filtered NLL."""

from dataclasses import dataclass
from typing import Literal

from tutelage.collate import Batch
from tutelage.maths.ranges import require
from tutelage.metrics import Mean
from tutelage.objectives.lesson import (
    Counts,
    Lesson,
    Loss,
    anchor_only,
    candidate_row,
    choose,
    entropy_metric,
    nll_terms,
    ntp_terms,
    token_counts,
)
from tutelage.scoring import Scores
from tutelage.types import Group, JudgedPool, Row, Segment, Tokens


def _nll_loss(policy: Scores, batch: Batch) -> Loss:
    """NLL on the trained tokens plus the anchor; shared by all objectives of this module."""
    totals, metrics = nll_terms(policy, batch, 1.0)
    anchors, anchor_metrics = ntp_terms(policy, batch)
    return Loss(totals | anchors, metrics | anchor_metrics | entropy_metric(policy, batch))


def _parts(text: Tokens, covered: int) -> tuple[Segment, Segment]:
    """What an earlier cut trains of a text, and what is left."""
    known = max(0, covered)
    return Segment(text[:known]), Segment(text[known:], trained=True)


@dataclass(frozen=True, slots=True)
class NTP:
    """Plain next-token prediction: the control that every method is measured against.

    L = −Σ_t log π(x_t | x_<t), a mean over all trained tokens of the step.

    ``on="suffix"`` trains the original suffix given its prefix, which is the papers' control [P, from scratch; I,
    continued]; ``on="document"`` trains prefix and suffix alike, as ordinary pretraining does: where a document has
    several cuts, every token of it once.
    """

    on: Literal["document", "suffix"] = "document"
    """Which tokens are trained: the whole chunk, or the suffix alone."""

    @property
    def needs_reference(self) -> bool:
        """No."""
        return False

    def lesson(self, judged: JudgedPool) -> Lesson:
        """The document itself, of several cuts each token once; candidates and judges are not looked at."""
        chunk = judged.pool.chunk
        if self.on == "suffix":
            return Lesson(Group((Row((Segment(chunk.prefix), Segment(chunk.suffix, trained=True))),)))
        parts = (*_parts(chunk.prefix, chunk.covered), *_parts(chunk.suffix, chunk.covered - len(chunk.prefix)))
        row = Row(tuple(part for part in parts if len(part.tokens)))
        return Lesson(Group((row,)) if any(part.trained for part in row.segments) else None)

    def counts(self, batch: Batch) -> Counts:
        """Tokens."""
        return token_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """Σ over tokens of −log π."""
        return _nll_loss(policy, batch)


@dataclass(frozen=True, slots=True)
class SFT:
    """Likelihood of one source's candidate, unjudged: SFT(rewrite), SFT(1 rollout) of Table 6 [P].

    L = −log π(c_source | prefix), a mean over tokens.
    """

    source: str = "rewrite"
    """Whose candidate is trained: ``suffix``, ``rewrite``, ``rollout``, or a name of the user's."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix."""

    def __post_init__(self) -> None:
        require(self, "ntp_weight", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """No."""
        return False

    def lesson(self, judged: JudgedPool) -> Lesson:
        """The first candidate of ``source``; a pool without one is counted and trains its anchor alone."""
        pool = judged.pool
        found = next((c for c in pool.candidates if c.source == self.source and len(c.tokens)), None)
        metrics = {"pool/taught": Mean(float(found is not None), 1)}
        if found is None:
            return Lesson(anchor_only(pool.chunk, self.ntp_weight), metrics)
        return Lesson(Group((candidate_row(pool.chunk, found, self.ntp_weight),)), metrics)

    def counts(self, batch: Batch) -> Counts:
        """Tokens."""
        return token_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """Σ over tokens of −log π."""
        return _nll_loss(policy, batch)


@dataclass(frozen=True, slots=True)
class RFNLL:
    """Reward-filtered NLL: likelihood of the highest-scored candidate (2601.21343 §1.1.2) [P].

    L = −log π(c⁺ | prefix) with c⁺ = argmax over the pool of the summed scores; a mean over tokens.

    Deviation: a pool whose candidates all score the same is skipped [C]: there is nothing to filter by.
    """

    min_comparisons: int = 1
    """A candidate compared more rarely takes no part; axes that do not compare set no limit."""
    min_gap: float = 0.0
    """Best and worst must differ by at least this; a tie is never taught."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix."""

    def __post_init__(self) -> None:
        require(self, "min_comparisons", "min_gap", "ntp_weight", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """No."""
        return False

    def lesson(self, judged: JudgedPool) -> Lesson:
        """The best candidate, or the anchor alone."""
        chosen, metrics = choose(judged, min_comparisons=self.min_comparisons, min_gap=self.min_gap)
        chunk = judged.pool.chunk
        if chosen is None:
            return Lesson(anchor_only(chunk, self.ntp_weight), metrics)
        return Lesson(Group((candidate_row(chunk, chosen[0], self.ntp_weight),)), metrics)

    def counts(self, batch: Batch) -> Counts:
        """Tokens."""
        return token_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """Σ over tokens of −log π."""
        return _nll_loss(policy, batch)
