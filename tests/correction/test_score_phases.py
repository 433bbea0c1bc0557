"""Phases for recipes: equal effort, and what each arm is."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.correction.parts import RATE, correction_run, task
from tests.tiny import train_all

from tutelage.correction import Correction, FirstAttempts
from tutelage.objectives import MultiTurn, SingleTurn, StageOne, StageTwo, STaR
from tutelage.phases import Frozen, Initial, Phase, Steps, StepsOfRun, WhenAbove
from tutelage.recipes.score_phases import Effort, ablations, baselines, collapse_alarm, score, score_three_turns

EFFORT = Effort(steps=10, problems=4, rate=RATE, stage_one=0.4)


def most(phases: tuple[Phase, ...]) -> int:
    """Updates that the phases make, whenever a rule holds."""
    ends = [phase.until for phase in phases]
    if isinstance(ends[-1], StepsOfRun):
        assert all(isinstance(end, WhenAbove) and end.at_most < ends[-1].count for end in ends[:-1])
        return ends[-1].count
    return sum(end.count for end in ends if isinstance(end, Steps))


def test_every_arm_makes_as_many_updates_on_as_many_problems():
    offline = task(first_attempts=FirstAttempts("attempts.jsonl"))
    arms = {"score": score(offline, EFFORT), "three": score_three_turns(offline, EFFORT)}
    arms |= ablations(offline, EFFORT, StageOne(), StageTwo()) | baselines(offline, EFFORT, 0.05)
    assert len(arms) == 13
    for name, phases in arms.items():
        assert most(phases) == 10 and {phase.documents_per_step for phase in phases} == {4}, name


def test_score_is_stage_one_until_corrections_gain_and_stage_two_against_the_base():
    first, second = score(task(), EFFORT, StageOne(beta2=0.5), StageTwo(alpha=3.0))
    assert first.objective == StageOne(beta2=0.5) and isinstance(first.until, WhenAbove) and first.until.at_most == 4
    assert first.until.metric == "correction/delta" and first.reference == Frozen()
    assert second.objective == StageTwo(alpha=3.0) and second.reference == Initial() and second.until == StepsOfRun(10)


def test_three_turns_teach_the_second_attempt_then_the_third_then_all():
    one, two, all_of_them = score_three_turns(task(), EFFORT)
    turns = [phase.task.turns for phase in (one, two, all_of_them) if isinstance(phase.task, Correction)]
    assert turns == [2, 3, 3]
    assert one.objective == StageOne() and two.objective == StageOne(turn=3) and two.reference == Frozen()
    assert all_of_them.objective == StageTwo() and all_of_them.reference == Initial()


def test_ablations_take_one_part_away_each():
    plain = ablations(task(), EFFORT, StageOne(), StageTwo())
    assert set(plain) == {"no_stage_1", "no_shaping", "star_in_stage_2"}
    assert [phase.objective for phase in plain["no_stage_1"]] == [StageTwo()]
    assert plain["no_shaping"][1].objective == StageTwo(alpha=0.0)
    assert [type(phase.objective) for phase in plain["star_in_stage_2"]] == [StageOne, STaR]
    mixed = ablations(task(first_attempts=FirstAttempts("x", share=0.3)), EFFORT, StageOne(), StageTwo())
    assert {phase.task.first_attempts.share for phase in mixed["offline_only"]} == {1.0}  # pyright: ignore


def test_baselines_have_the_leash_that_they_are_given():
    arms = baselines(task(), EFFORT, 0.07)
    assert arms["naive_multi_turn"][0].objective == MultiTurn(beta1=0.07)
    assert arms["single_turn"][0].objective == SingleTurn(beta1=0.07)
    assert arms["single_turn"][0].task == replace(task(), turns=1)


@pytest.mark.parametrize("name", ["score", "three", "star_plus"])
def test_an_arm_runs(name: str, digits: Path, tmp_path: Path):
    effort = replace(EFFORT, steps=4)
    arms = {
        "score": score(task(), effort),
        "three": score_three_turns(task(), effort),
        **baselines(task(), effort, 0.1),
    }
    _, reports = train_all(correction_run(digits, *arms[name], limits=(collapse_alarm(0.0),)), tmp_path)
    assert 0 < len(reports) <= 4
