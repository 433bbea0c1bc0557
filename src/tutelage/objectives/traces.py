"""The baselines of SCoRe that are supervised: STaR and Pair-SFT, as data made of episodes and trained by plain NLL.

``star_rows`` and ``pair_rows`` are pure: what is collected once from the base and what an objective makes of every
step's episodes is made by the same functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage import rng
from tutelage.collate import Batch
from tutelage.episodes import Episode, EpisodeGroup, Turn
from tutelage.metrics import Mean
from tutelage.objectives.lesson import Counts, Lesson, Loss, entropy_metric, nll_terms, token_counts
from tutelage.objectives.turns import rewards_of
from tutelage.scoring import Scores
from tutelage.types import Group, Row, Scored, Segment, Tokens


def star_rows(group: EpisodeGroup, *, plus: bool, both: bool = False) -> list[Row]:
    """Traces in which a wrong first attempt became a right last one, §4.1 of arXiv:2409.12917 [P].

    Args:
        group: episodes of one problem; of three attempts, the first and the last decide.
        plus: also those that were right and stayed so: D⁺ [P].
        both: whether all attempts are trained, and not the last alone; the paper does not say [I].
    """
    wanted = {(0.0, 1.0), (1.0, 1.0)} if plus else {(0.0, 1.0)}
    found: list[Row] = []
    for episode in group.episodes:
        rewards = rewards_of(episode)
        if len(rewards) > 1 and (rewards[0], rewards[-1]) in wanted:
            found.append(_trace(episode, [turn.completion for turn in episode.turns], both=both))
    return found


def pair_rows(group: EpisodeGroup, *, plus: bool) -> list[Row]:
    """Wrong first attempts, each with a random right attempt of the same problem behind it (after Welleck 2023) [P].

    The right one is drawn by key from all first and later attempts of the group, and trained alone. With ``plus`` right
    first attempts get another right one as well: D⁺ [P]. The paper draws from all samples of the problem; a group is
    those of one epoch.
    """
    right = [turn for episode in group.episodes for turn in episode.turns if _is(turn, 1.0)]
    found: list[Row] = []
    for episode in group.episodes:
        first = episode.turns[0]
        others = [turn for turn in right if turn is not first]
        if len(episode.turns) > 1 and others and (_is(first, 0.0) or (plus and _is(first, 1.0))):
            key = ("pair", group.epoch, group.problem.id, episode.draw)
            chosen = others[rng.below(len(others), *key)].completion
            found.append(_trace(episode, [first.completion, chosen], both=False))
    return found


def _is(turn: Turn, value: float) -> bool:
    return isinstance(turn.reward, Scored) and turn.reward.value == value


def _trace(episode: Episode, attempts: Sequence[Tokens], *, both: bool) -> Row:
    """The attempts behind the episode's own prompts; the last is trained, or all."""
    segments: list[Segment] = []
    for number, attempt in enumerate(attempts, 1):
        prompt = episode.turns[number - 1].prompt
        if len(prompt):
            segments.append(Segment(prompt))
        segments.append(Segment(attempt, trained=both or number == len(attempts), turn=number))
    return Row(tuple(segments))


def _lesson(rows: Sequence[Row]) -> Lesson:
    metrics = {"pool/taught": Mean(float(bool(rows)), 1), "traces/kept": Mean(float(len(rows)), 1)}
    return Lesson(Group(tuple(rows)) if rows else None, metrics)


def _nll(policy: Scores, batch: Batch) -> Loss:
    totals, metrics = nll_terms(policy, batch, 1.0)
    return Loss(totals, metrics | entropy_metric(policy, batch))


@dataclass(frozen=True, slots=True)
class STaR:
    """Likelihood of the policy's own traces that end right (STaR, ReST-EM; §4.1 of 2409.12917), a mean over tokens.

    Deviation: the traces are those of the step, hence of the policy as it is; the paper collects and trains in three
    rounds [P]. In Stage II it is the ablation "STaR instead of REINFORCE" [P].
    """

    plus: bool = False
    """Also traces that were right and stayed so."""
    both: bool = False
    """Train all attempts of a trace, not the last alone [I]."""

    @property
    def needs_reference(self) -> bool:
        """No."""
        return False

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """The traces that are kept."""
        return _lesson(star_rows(group, plus=self.plus, both=self.both))

    def counts(self, batch: Batch) -> Counts:
        """Tokens."""
        return token_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """Σ over tokens of −log π."""
        return _nll(policy, batch)


@dataclass(frozen=True, slots=True)
class PairSFT:
    """Likelihood of a right attempt behind a wrong one that it was not written for (§4.1 of 2409.12917) [P].

    Deviation: pairs are made of the step's episodes; the paper makes them once of the base model's [P].
    """

    plus: bool = False
    """Also behind right first attempts."""

    @property
    def needs_reference(self) -> bool:
        """No."""
        return False

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """The pairs."""
        return _lesson(pair_rows(group, plus=self.plus))

    def counts(self, batch: Batch) -> Counts:
        """Tokens."""
        return token_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """Σ over tokens of −log π."""
        return _nll(policy, batch)
