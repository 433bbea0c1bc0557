"""What is counted of episodes, against numbers worked out by hand."""

from dataclasses import replace

import pytest
from tests.objectives.episodes import episode, group, turn

from tutelage.episode_metrics import episode_metrics, episode_staleness, first_silence
from tutelage.episodes import Episode
from tutelage.metrics import Mean, reduce
from tutelage.ranks import OneRank
from tutelage.types import Tokens


def numbers(*groups: object) -> dict[str, float]:
    return reduce(episode_metrics(groups), OneRank())  # pyright: ignore[reportArgumentType]


def test_a_correction_gains_and_loses():
    found = numbers(group((0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)))
    assert found["accuracy/turn1"] == pytest.approx(0.4) and found["accuracy/turn2"] == pytest.approx(0.6)
    assert found["correction/delta"] == pytest.approx(0.2)
    assert found["correction/i_to_c"] == pytest.approx(0.4) and found["correction/c_to_i"] == pytest.approx(0.2)


def test_of_three_attempts_the_first_and_the_last_are_compared():
    found = numbers(group((0.0, 1.0, 1.0), (0.0, 1.0, 0.0)))
    assert found["accuracy/turn3"] == 0.5 and found["correction/delta"] == 0.5 and found["correction/i_to_c"] == 0.5


def test_an_episode_without_a_verdict_is_in_no_comparison():
    found = numbers(group((0.0, 1.0), ("hung", 1.0), (1.0, "hung")))
    assert found["correction/delta"] == 1.0 and found["accuracy/turn1"] == 0.5
    assert found["abstained/verifier"] == pytest.approx(2 / 6)
    assert first_silence([group((0.0, 1.0)), group((0.0, "it hung"))]) == "it hung"
    assert first_silence([group((0.0, 1.0))]) is None


def test_whether_an_answer_changed_goes_by_what_the_verifier_read():
    def answered(first: str | None, second: str | None) -> Episode:
        return Episode((turn(0, 0.0, answer=first), turn(1, 0.0, answer=second)), 0, 0)

    found = numbers(group(answered("5", "5"), answered("5", "6"), answered(None, "5"), answered(None, None)))
    assert found["correction/change_rate"] == 0.5
    assert found["unparsed/turn1"] == 0.5 and found["unparsed/turn2"] == 0.25


def test_how_far_attempts_are_apart_is_counted_in_tokens():
    same = episode(0.0, 0.0, attempts=[Tokens([5, 6, 7]), Tokens([5, 6, 7])])
    other = episode(0.0, 0.0, attempts=[Tokens([5, 6, 7]), Tokens([5, 8, 7])])
    assert numbers(group(same, other))["correction/edit_distance"] == pytest.approx((0 + 1 / 6) / 2)


def test_groups_in_which_all_or_nothing_is_right_are_counted():
    found = numbers(group((0.0, 0.0)), group((1.0, 1.0)), group((0.0, 1.0)), group(("hung", "hung")))
    assert found["episodes/all_zero"] == pytest.approx(1 / 3) and found["episodes/all_right"] == pytest.approx(1 / 3)


def test_lengths_truncation_and_tokens_are_of_what_the_policy_wrote():
    cut = replace(turn(1, 0.0), finish="length")
    made = Episode((turn(0, 0.0), cut), 0, 0)
    found = numbers(group(made, episode(0.0, 0.0, offline=True)))
    assert found["truncated/turn1"] == 0 and found["truncated/turn2"] == 0.5
    assert found["length/turn1"] == 2 and found["length/turn2"] == 3
    assert found["tokens/sampled"] == 2 + 3 + 3 and found["episodes/offline"] == 0.5
    assert found["attempts/sampled"] == 3 and found["episodes/sampled"] == 2


def test_an_episode_of_one_attempt_has_no_correction():
    found = numbers(group((0.0,), (1.0,)))
    assert found["accuracy/turn1"] == 0.5 and not any(name.startswith("correction/") for name in found)


def test_the_age_of_episodes_is_counted_in_updates():
    assert episode_staleness([group((0.0, 1.0), (0.0, 0.0))], 3) == {"rollout/staleness": Mean(6.0, 2)}
    assert episode_staleness([], 3) == {} and episode_metrics([]) == {}
