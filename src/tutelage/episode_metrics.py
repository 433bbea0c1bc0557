"""What is counted of episodes: who is right at which turn, what a correction changes, what was cut off or not read."""

from collections.abc import Sequence

from tutelage.episodes import VERIFIER, Episode, EpisodeGroup, Turn
from tutelage.maths.edit_distance import edit_ratio
from tutelage.metrics import Mean, Metric, Sum, merge
from tutelage.types import Abstained, Scored

RIGHT = 0.5
"""A reward above this counts as right."""


def episode_metrics(groups: Sequence[EpisodeGroup]) -> dict[str, Metric]:
    """Accuracy, truncation and lengths by turn, what a correction does, and groups in which nothing is right.

    ``correction/…`` compares the first attempt with the last one and needs a verdict on both; ``i_to_c`` and ``c_to_i``
    are shares of all such episodes, as in 2409.12917 §3 [P]. ``change_rate`` goes by final answers: one that could not
    be read is an answer like another.
    """
    parts = [_turn(turn, number) for g in groups for e in g.episodes for number, turn in enumerate(e.turns, 1)]
    parts += [_episode(episode) for group in groups for episode in group.episodes]
    parts += [_group(group) for group in groups]
    return merge(parts)


def _turn(turn: Turn, number: int) -> dict[str, Metric]:
    place, asked = f"turn{number}", turn.finish == "stop"
    part: dict[str, Metric] = {
        f"truncated/{place}": Mean(float(not asked), 1),
        f"length/{place}": Mean(len(turn.completion), 1),
        f"unparsed/{place}": Mean(float(turn.answer is None), 1),
        f"abstained/{VERIFIER}": Mean(float(isinstance(turn.reward, Abstained)), 1),
    }
    if isinstance(turn.reward, Scored):
        part[f"accuracy/{place}"] = Mean(turn.reward.value, 1)
    if len(turn.logprobs):
        part["attempts/sampled"] = Sum(1)
        part["tokens/sampled"] = Sum(len(turn.completion))
        part["policy/surprise"] = Mean(-float(turn.logprobs.array.sum()), len(turn.completion))
    return part


def _episode(episode: Episode) -> dict[str, Metric]:
    part: dict[str, Metric] = {
        "episodes/sampled": Sum(1),
        "episodes/offline": Mean(float(episode.first_attempt_by != "policy"), 1),
    }
    if len(episode.turns) < 2:
        return part
    first, last = episode.turns[0], episode.turns[-1]
    part["correction/change_rate"] = Mean(float(first.answer != last.answer), 1)
    texts = first.completion.tolist(), last.completion.tolist()
    part["correction/edit_distance"] = Mean(edit_ratio(*texts), 1)
    if isinstance(first.reward, Scored) and isinstance(last.reward, Scored):
        before, after = first.reward.value, last.reward.value
        part["correction/delta"] = Mean(after - before, 1)
        part["correction/i_to_c"] = Mean(float(before <= RIGHT < after), 1)
        part["correction/c_to_i"] = Mean(float(after <= RIGHT < before), 1)
    return part


def _group(group: EpisodeGroup) -> dict[str, Metric]:
    values = [t.reward.value for e in group.episodes for t in e.turns if isinstance(t.reward, Scored)]
    if not values:
        return {}
    return {
        "episodes/all_zero": Mean(float(max(values) <= RIGHT), 1),
        "episodes/all_right": Mean(float(min(values) > RIGHT), 1),
    }


def episode_staleness(groups: Sequence[EpisodeGroup], version: int) -> dict[str, Metric]:
    """``rollout/staleness``: updates that the policy, now at ``version``, has had since it wrote an episode, mean."""
    ages = [version - episode.policy_version for group in groups for episode in group.episodes]
    return {"rollout/staleness": Mean(float(sum(ages)), len(ages))} if ages else {}


def first_silence(groups: Sequence[EpisodeGroup]) -> str | None:
    """One reason that the verifier gave for not answering, for the message that stops a run."""
    for group in groups:
        for episode in group.episodes:
            for turn in episode.turns:
                if isinstance(turn.reward, Abstained):
                    return turn.reward.reason
    return None
