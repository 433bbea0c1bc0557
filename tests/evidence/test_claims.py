"""The rules: which contrasts are asked, of which arms, and when they hold."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tutelage.evidence import costs, figures, plan
from tutelage.evidence.arms import Book
from tutelage.evidence.claims import Claim, Contrast, level, more, slope
from tutelage.evidence.controls import CLAIMS
from tutelage.evidence.every_arm import every_arm
from tutelage.evidence.settings import FEWER_SEEDS, SEEDS, VALIDATION_SEEDS, Setting
from tutelage.evidence.tuning import TRIALS, methods, trials
from tutelage.evidence.verdicts import holds, row
from tutelage.maths.statistics import Interval
from tutelage.report.answers import Prefixes
from tutelage.schedules import KnockOut
from tutelage.study import Study, Train
from tutelage.worlds.facts.start import MODEL

SETTING = Setting()
ARMS = every_arm(SETTING)


def test_all_twenty_three_claims_are_asked_in_their_order_and_each_needs_a_test():
    ids = [claim.id for claim in CLAIMS]
    assert ids[:23] == [*(f"S{i}" for i in range(1, 16)), *(f"C{i}" for i in range(1, 9))]
    assert len(set(ids)) == len(ids)
    assert all(any(test.required for test in claim.tests) for claim in CLAIMS)


def test_every_arm_that_a_claim_names_is_trained_or_decoded():
    names = {arm for claim in CLAIMS for arm in claim.arms}
    unknown = {name for name in names if name not in ARMS and name.partition(".")[2] not in plan.HOW}
    assert not unknown
    assert {name.partition(".")[0] for name in names} <= set(ARMS)


def test_every_arm_serves_a_claim():
    assert set(ARMS) <= set(plan.needed(ARMS, CLAIMS))


def test_no_setting_was_chosen_on_a_seed_of_the_evidence():
    assert not set(SEEDS) & {0, 1, 2, 3, *VALIDATION_SEEDS}
    assert set(FEWER_SEEDS) < set(SEEDS) and len(SEEDS) >= 5


def test_every_method_is_tuned_by_the_same_number_of_different_trials():
    for name, tried in methods().items():
        assert len(tried) == len(set(tried)) == TRIALS, name
    assert len(list(trials(Book(SETTING)))) == TRIALS * len(methods())


def test_a_claim_alone_needs_the_runs_of_its_arms_and_what_they_start_from():
    study = plan.evidence_study(plan.select(["C4"]), SETTING)
    names = {job.name for job in study.jobs}
    assert {"online_dpo.hostile-11", "online_dpo-11", "base-11", "reader", "tokenizer", "report"} <= names
    assert not any(name.startswith(("map-", "scratch", "noise")) for name in names)


def test_an_unknown_claim_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"^there is no claim 'S99'; the claims are S1, S2, "):
        plan.select(["S99"])


def test_seeds_of_an_arm_differ_in_nothing_but_the_seed_and_their_base():
    jobs = {job.name: job for job in plan.evidence_study(plan.select(["S1"]), SETTING).jobs}
    one, two = (jobs[f"online_dpo-{seed}"].work for seed in SEEDS[:2])
    same = {"name": "any", "seed": 0, "model": MODEL}
    assert replace(one.run, **same) == replace(two.run, **same)  # type: ignore[union-attr]
    assert one.run.seed == SEEDS[0] and one.run.model.path == f"@base-{SEEDS[0]}/hf"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("expect", "low", "high", "held"),
    [
        ("above", 0.01, 0.2, True),
        ("above", -0.01, 0.2, False),
        ("below", -0.2, -0.01, True),
        ("below", -0.2, 0.01, False),
        ("not_above", -0.01, 0.2, True),
        ("not_above", 0.01, 0.2, False),
    ],
)
def test_a_contrast_holds_where_its_whole_interval_lies_on_the_named_side(expect, low, high, held):
    assert holds(Contrast("", "m", (("a", 1.0),), expect), Interval((low + high) / 2, low, high)) is held


def test_a_slope_is_the_least_squares_slope():
    test = slope("m", {"a": 0.0, "b": 1.0, "c": 3.0})
    values = {"a": 1.0, "b": 4.0, "c": 5.0}
    wanted = np.polyfit([0.0, 1.0, 3.0], list(values.values()), 1)[0]
    assert sum(weight * values[arm] for arm, weight in test.weights) == pytest.approx(wanted)


class Made(figures.Figures):
    """Figures that are given, three seeds of an arm and two of another."""

    def cell(self, arm: str, seed: int) -> dict[str, np.ndarray]:
        item = self.draws(1).items["natural"]
        spread = item[:, :1] - 1  # moves with the prefixes drawn, not with the arm
        return {"m": {"a": 3.0, "b": 1.0, "nothing": math.nan}[arm] + seed / 100 + 0.1 * spread[:, 0]}


def made() -> Made:
    return Made(SETTING.world, Path(), {"a": (1, 2, 3), "b": (1, 2), "nothing": (1,)}, Prefixes((), (), ()))


def test_a_contrast_is_paired_by_seed_and_prefix_over_the_seeds_that_both_have():
    found = made()
    assert found.count(more("m", "a", "b")) == 2
    assert made().contrast(more("m", "a", "b")) == pytest.approx(2.0)  # what both share is gone from every resample
    assert float(found.contrast(level("m", "a", 0.0))[0]) == pytest.approx(3.02)
    assert found.contrast(level("m", "a", 0.0)).std() > 0


def test_a_claim_reproduces_if_all_that_is_required_holds_and_says_what_did_not():
    claim = Claim("S1", "", "", (more("m", "a", "b"), more("m", "b", "a", also=True)))
    assert row(claim, made(), "train {id}")["verdict"] == "reproduced"
    failed = row(replace(claim, tests=(*claim.tests, more("m", "b", "a"))), made(), "train {id}")
    assert failed["verdict"] == "not reproduced"
    assert failed["why"] == "m: b − a is -2.000 [-2.000, -2.000], not above 0"
    assert failed["ours"] == {
        "mean": pytest.approx(2.0),
        "low": pytest.approx(2.0),
        "high": pytest.approx(2.0),
        "seeds": 2,
    }


def test_a_figure_that_is_not_defined_reproduces_nothing():
    found = row(Claim("S1", "", "", (level("m", "nothing", 0.0, expect="not_above"),)), made(), "train {id}")
    assert found["verdict"] == "not reproduced" and found["why"] == "m of nothing is not defined"


def test_equal_compute_costs_the_same_and_counts_teachers_where_asked():
    s = SETTING
    hero = costs.per_document(s, s.online_dpo.objective)
    budget = s.tokens / hero.trained
    for method in (s.ntp, s.sft, s.rf_nll, s.grpo):
        one = costs.per_document(s, method.objective)
        tokens = costs.equal_compute_tokens(s, method.objective)
        spent = tokens / one.trained * one.forwards(teachers=False)
        assert spent == pytest.approx(budget * hero.forwards(teachers=False), rel=1e-4)
    with_teachers = costs.equal_compute_tokens(s, s.ntp.objective, teachers=True)
    assert with_teachers * 3 == pytest.approx(budget * hero.forwards(teachers=True), rel=1e-4)
    sft = costs.equal_compute_tokens(s, s.sft.objective, teachers=True)
    assert 3 * sft < with_teachers * 3 - sft  # its rewriter is paid for, of whom pretraining has none
    few = costs.per_document(s, s.online_dpo.objective, KnockOut())
    tokens = costs.equal_compute_tokens(s, s.online_dpo.objective, teachers=True, schedule=KnockOut())
    assert tokens / few.trained * few.forwards(teachers=True) == pytest.approx(costs.budget(s, teachers=True), rel=1e-4)
    assert costs.equal_compute_steps(s, 1.0, teachers=True) == costs.equal_compute_steps(s, 1.0)
    assert costs.equal_compute_steps(s, 1.0) == round(budget / s.online_dpo.documents_per_step)
    assert costs.equal_compute_steps(s, 0.25) > costs.equal_compute_steps(s, 0.5)


@pytest.mark.parametrize(
    ("during_name", "after_name"), [("share-25", "after"), ("share-25", "after_rate"), ("share_all-25", "after_all")]
)
def test_acting_after_asks_the_judge_as_often_as_acting_during(during_name: str, after_name: str):
    during, after = ARMS[during_name].phases[0], ARMS[after_name].phases
    assert sum(phase.until.count for phase in after) == during.until.count  # type: ignore[union-attr]
    asked = after[1].until.count * after[1].documents_per_step  # type: ignore[union-attr]
    wanted = during.taught_share * during.until.count * during.documents_per_step  # type: ignore[union-attr]
    assert asked == pytest.approx(wanted, rel=0.01)


def test_a_study_of_everything_is_sound_and_every_run_is_named_after_its_arm_and_seed():
    study = plan.evidence_study(CLAIMS, SETTING)
    assert isinstance(study, Study) and study.jobs[-1].name == "report"
    trained = [job for job in study.jobs if hasattr(job.work, "run") and not isinstance(job.work, Train)]
    assert all(job.work.run.name == job.name for job in trained)  # type: ignore[attr-defined]
