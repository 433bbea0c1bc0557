"""The arms get the same number of the judge's calls, and the curves are counted in them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.tiny import WORLD, tiny_phase, tiny_run, train_all

from tutelage.evidence import judge_calls, plan
from tutelage.evidence.costs import most_calls
from tutelage.evidence.judge_calls import LONG, SCHEDULES, CallsSetting, all_arms, calls_study, curve
from tutelage.evidence.settings import Setting
from tutelage.phases import Steps
from tutelage.schedules import Seat, Swiss
from tutelage.study import execute
from tutelage.trackers import read_metrics
from tutelage.worlds.facts import FactsJudge

SETTING = CallsSetting()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num", [4, 5, 16])
def test_a_pool_takes_as_many_calls_as_are_counted_on(name: str, num: int):
    schedule, asked = SCHEDULES[name], 0
    played = schedule.begin([[Seat("rollout" if i else "suffix", i) for i in range(num)]])
    while (real := played.pairs[:, :, 0] >= 0).any():
        asked += int(real.sum())
        coin = np.random.default_rng(asked).integers(0, 2, real.shape)
        played = played.after(np.where(real, coin, 0.0), real.astype(float))
    most = most_calls(schedule, num)
    assert asked <= most if name == "adaptive" else asked == most


def test_calls_that_are_not_known_are_not_guessed():
    with pytest.raises(ValueError, match="the calls of Swiss are not known"):
        most_calls(Swiss(), 8)


def test_every_arm_makes_as_many_updates_as_the_calls_of_all_pairs_pay_for():
    arms = all_arms(SETTING)
    bill = 40 * 120
    for name, schedule in SCHEDULES.items():
        until = arms[name].phases[0].until
        assert isinstance(until, Steps)
        spent = until.count * most_calls(schedule, 16)
        assert spent <= bill < spent + most_calls(schedule, 16), name
    assert arms[LONG].phases[0].until == arms["adaptive"].phases[0].until


def test_arms_differ_in_schedule_and_length_alone():
    arms = all_arms(SETTING)

    def same(name: str) -> object:
        (phase,) = arms[name].phases
        (judge,) = phase.judges
        assert isinstance(judge, FactsJudge)
        return replace(phase, until=Steps(1), judges=(replace(judge, schedule=SCHEDULES["pivot"]),))

    assert len({repr(same(name)) for name in (*SCHEDULES, LONG)}) == 1
    assert all(arm.start == "base" for name, arm in arms.items() if name != "base")


def test_every_claim_is_about_arms_that_are_trained_on_seeds_that_chose_nothing():
    names = {job.name for job in calls_study(SETTING).jobs}
    wanted = {f"{arm}-{seed}" for claim in judge_calls.CLAIMS for arm in claim.arms for seed in SETTING.seeds}
    assert wanted <= names and len(SETTING.seeds) >= 3
    assert not set(SETTING.seeds) & set(plan.VALIDATION_SEEDS)


def test_a_curve_is_over_the_calls_that_a_run_really_made(tiny_tokenizer: Path, tmp_path: Path):
    judge = FactsJudge(WORLD, axes=("quality",), schedule=SCHEDULES["knock_out"])
    train_all(tiny_run(tiny_tokenizer, tiny_phase(steps=3, judges=(judge,))), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["calls/quality"] for row in rows] == [4 * most_calls(SCHEDULES["knock_out"], 5)] * 3
    for row, value in zip(rows, (0.1, None, 0.3), strict=True):
        row.pop(judge_calls.CURVE, None)
        row |= {} if value is None else {judge_calls.CURVE: value}
    other = [row | ({judge_calls.CURVE: 0.5} if judge_calls.CURVE in row else {}) for row in rows]
    assert curve([rows, other]) == {"calls": [24.0, 72.0], "quality": [pytest.approx(0.3), pytest.approx(0.4)]}


@pytest.mark.slow
def test_a_small_study_ends_in_rows_and_curves(tmp_path: Path):
    small = Setting(base_steps=20)
    setting = CallsSetting(setting=small, seeds=(1, 2), num_rollouts=2, all_pairs_updates=3, warmup=1)
    execute(calls_study(setting), tmp_path, lambda status: None)
    found = json.loads((tmp_path / "judge_calls.json").read_text("utf-8"))
    rows, arms = found["claims"], found["arms"]
    assert [row["claim"] for row in rows] == ["J1", "J2", "J3", "J4"] and all(row["tests"] for row in rows)
    assert arms["all_pairs"]["calls"] == 3 * 16 * 6 >= arms["pivot"]["calls"] == arms["pivot"]["updates"] * 16 * 3
    assert arms["pivot"]["curve"]["calls"][-1] == arms["pivot"]["calls"]
