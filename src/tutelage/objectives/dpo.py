"""Preference objectives: online DPO on best against worst, and its judge-free twin."""

from dataclasses import dataclass

from tutelage.collate import Batch
from tutelage.maths.logprobs import sum_by_row
from tutelage.maths.losses import dpo_loss
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
    ntp_terms,
    token_counts,
    zero,
)
from tutelage.scoring import Scores
from tutelage.types import Candidate, Chunk, JudgedPool, Pair


def _pair(chunk: Chunk, chosen: Candidate, rejected: Candidate, ntp_weight: float) -> Pair:
    """The trunk's anchor is written on the chosen row only, so that a shared prefix counts once."""
    return Pair(candidate_row(chunk, chosen, ntp_weight), candidate_row(chunk, rejected, 0.0))


def _dpo_loss(policy: Scores, reference: Scores | None, batch: Batch, spec: "OnlineDPO | JudgeFreeDPO") -> Loss:
    """The pairs' loss, the optional NLL on the chosen rows, and the anchor."""
    totals, metrics = ntp_terms(policy, batch)
    if not len(batch.pairs):
        return Loss(totals | {"dpo": zero(policy)}, metrics)
    assert reference is not None
    trained, rows = batch.trained, batch.row
    ours = sum_by_row(policy.logprobs[trained], rows[trained], batch.num_rows)
    theirs = sum_by_row(reference.logprobs[trained], rows[trained], batch.num_rows)
    chosen, rejected = batch.pairs.unbind(1)
    losses, margins = dpo_loss(
        ours[chosen], ours[rejected], theirs[chosen], theirs[rejected], spec.beta, spec.label_smoothing
    )
    count = float(len(batch.pairs))
    totals = totals | {"dpo": losses.sum()}
    if spec.nll_weight:
        nll = -ours[chosen].sum()
        totals = totals | {"nll": spec.nll_weight * nll}
        metrics = metrics | {"dpo/nll": Mean(float(nll.detach()), _dpo_counts(batch)["nll"])}
    shift = (ours - theirs).detach()
    metrics = metrics | entropy_metric(policy, batch)
    metrics |= {
        "loss/dpo": Mean(float(losses.detach().sum()), count),
        "dpo/margin": Mean(float(margins.detach().sum()), count),
        "dpo/accuracy": Mean(float((margins > 0).sum()), count),
        "dpo/chosen_shift": Mean(float(shift[chosen].sum()), count),
        "dpo/rejected_shift": Mean(float(shift[rejected].sum()), count),
    }
    return Loss(totals, metrics)


def _dpo_counts(batch: Batch) -> Counts:
    """Pairs for the preference loss, chosen tokens for the NLL term, anchored tokens for the anchor."""
    chosen = batch.pairs[:, 0]
    lengths = sum_by_row(batch.trained.float(), batch.row, batch.num_rows)
    return token_counts(batch) | {"dpo": float(len(batch.pairs)), "nll": float(lengths[chosen].sum())}


@dataclass(frozen=True, slots=True)
class OnlineDPO:
    """DPO on the best against the worst candidate of each pool (2601.21343 §1.1.2) [P].

    L = −log σ(β [log π(c⁺|p) − log π_ref(c⁺|p) − log π(c⁻|p) + log π_ref(c⁻|p)]), sums over the candidate's tokens, a
    mean over pairs; plus ``nll_weight`` · NLL(c⁺) and ``ntp_weight`` · NTP(prefix), each a mean over its tokens.

    Deviations: β is not in the paper; 0.1 is the default of the authors' framework [C]. Ties are skipped before any
    forward pass instead of contributing a zero loss [I].
    """

    beta: float = 0.1
    """β: how hard the policy is held to its reference; 0.1 [C]."""
    label_smoothing: float = 0.0
    """ε: how often a judge's preference is expected to be wrong, in ``[0, 0.5)``; the papers use none [I]."""
    nll_weight: float = 0.0
    """Weight of the NLL of the chosen candidate; the papers use none [C]."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix, free where the prefix is packed as trunk."""
    min_comparisons: int = 1
    """A candidate compared more rarely is neither chosen nor rejected; axes that do not compare set no limit."""
    min_gap: float = 0.0
    """Best and worst must differ by at least this; a tie is never taught."""

    def __post_init__(self) -> None:
        require(self, "beta", above=0)
        require(self, "label_smoothing", at_least=0, below=0.5)
        require(self, "nll_weight", "ntp_weight", at_least=0)
        require(self, "min_comparisons", "min_gap", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """Yes."""
        return True

    def lesson(self, judged: JudgedPool) -> Lesson:
        """Best against worst, or the anchor alone."""
        chosen, metrics = choose(judged, min_comparisons=self.min_comparisons, min_gap=self.min_gap)
        chunk = judged.pool.chunk
        if chosen is None:
            return Lesson(anchor_only(chunk, self.ntp_weight), metrics)
        return Lesson(_pair(chunk, *chosen, self.ntp_weight), metrics)

    def counts(self, batch: Batch) -> Counts:
        """Pairs, chosen tokens, anchored tokens."""
        return _dpo_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """The DPO loss with its optional terms."""
        return _dpo_loss(policy, reference, batch, self)


@dataclass(frozen=True, slots=True)
class JudgeFreeDPO:
    """DPO with a fixed preference of one source over another; no judge is asked (Table 6: rewrite over rollout) [P].

    The loss is ``OnlineDPO``'s. A pool in which either source is absent, or both wrote the same, is skipped.
    """

    chosen: str = "rewrite"
    """Source of the preferred candidate."""
    rejected: str = "rollout"
    """Source of the other one."""
    beta: float = 0.1
    """β: how hard the policy is held to its reference; 0.1 [C]."""
    label_smoothing: float = 0.0
    """ε: how often the preference is expected to be wrong, in ``[0, 0.5)`` [I]."""
    nll_weight: float = 0.0
    """Weight of the NLL of the chosen candidate."""
    ntp_weight: float = 0.0
    """Weight of the next-token loss on the prefix."""

    def __post_init__(self) -> None:
        require(self, "beta", above=0)
        require(self, "label_smoothing", at_least=0, below=0.5)
        require(self, "nll_weight", "ntp_weight", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """Yes."""
        return True

    def lesson(self, judged: JudgedPool) -> Lesson:
        """The first candidate of each source."""
        pool = judged.pool
        found = [
            next((c for c in pool.candidates if c.source == s and len(c.tokens)), None)
            for s in (self.chosen, self.rejected)
        ]
        better, worse = found
        usable = better is not None and worse is not None and better.tokens != worse.tokens
        metrics = {"pool/taught": Mean(float(usable), 1)}
        if better is None or worse is None or not usable:
            return Lesson(anchor_only(pool.chunk, self.ntp_weight), metrics)
        return Lesson(_pair(pool.chunk, better, worse, self.ntp_weight), metrics)

    def counts(self, batch: Batch) -> Counts:
        """Pairs, chosen tokens, anchored tokens."""
        return _dpo_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """The DPO loss with its optional terms."""
        return _dpo_loss(policy, reference, batch, self)
