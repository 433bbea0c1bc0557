"""The study of the world of signed sums: what its jobs are, and one of every kind run to a report."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tutelage.config import from_plain
from tutelage.correction import Collect, Exam
from tutelage.correction.outcomes import Outcomes
from tutelage.evidence.score.choosing import ChooseTrial, TrainChosen, choose
from tutelage.evidence.score.claims import CLAIMS
from tutelage.evidence.score.figures import ScoreFigures
from tutelage.evidence.score.imitating import TrainOnTraces
from tutelage.evidence.score.report import ScoreEvidenceReport, ScoreReport, spent_by
from tutelage.evidence.score.settings import DEMO_SEEDS, KLS, RATES, SEEDS, Setting
from tutelage.evidence.score.work import TrainAndExamine
from tutelage.objectives import StageTwo
from tutelage.phases import Steps, StepsOfRun, WhenAbove
from tutelage.recipes import score_evidence, score_world
from tutelage.recipes.score_book import Book
from tutelage.recipes.score_world import evidence_study, selected, trials_of, world_study
from tutelage.run import Run
from tutelage.study import Study, Train, Work, _plans  # pyright: ignore[reportPrivateUsage]
from tutelage.trackers import read_metrics
from tutelage.weights import FromConfig
from tutelage.worlds.signed_sum import SignedSumWorld

TINY = Setting(
    world=SignedSumWorld(numbers=2, modulus=5, validation=0.2, test=0.3),
    base_steps=60,
    steps=3,
    problems=3,
    episodes=4,
    test_episodes=2,
    vote_problems=4,
)
SHAPE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def shrunk(study: Study) -> Study:
    """The same with bases that are made in no time, and without their own exams."""

    def small(work: Any) -> Any:
        if isinstance(work, Train) and isinstance(work.run.model, FromConfig):
            phase = replace(work.run.phases[0], documents_per_step=32)
            model = FromConfig("llama", SHAPE | {"max_position_embeddings": 64})
            return Train(replace(work.run, model=model, phases=(phase,), evaluations=()))
        return work

    return replace(study, jobs=tuple(replace(job, work=small(job.work)) for job in study.jobs), workers=1)


def run_of(work: Any) -> Run:
    return work.run


def test_every_arm_of_rl_makes_equal_steps_and_samples_equal_episodes():
    s = Setting()
    for name in (name for arm, names in trials_of(s).items() for name in names if arm not in ("base", "self_refine")):
        work = Book(s, 1).arm(name).work
        if isinstance(work, TrainOnTraces):
            assert work.problems * work.rounds * work.task.episodes == s.steps * s.problems * s.episodes, name
            assert run_of(work).phases[0].until == Steps(s.steps), "what is examined is as many updates from the base"
            continue
        phases = run_of(work).phases
        assert {phase.documents_per_step * phase.task.episodes for phase in phases} == {s.problems * s.episodes}  # pyright: ignore
        assert phases[-1].until in (StepsOfRun(s.steps), type(phases[-1].until)(s.steps)), name


def test_stage_one_ends_by_a_rule_on_delta():
    for name in ("score_kl_0.1", "no_shaping_kl_0.1", "offline_only_kl_0.1"):
        first, second = run_of(Book(Setting(), 1).arm(name).work).phases
        assert isinstance(first.until, WhenAbove) and first.until.metric == "correction/delta"
        alpha = 0.0 if name.startswith("no_shaping") else 5.0
        assert second.objective == StageTwo(alpha=alpha, beta1=0.1)


def test_every_arm_has_equally_many_trials_and_every_arm_of_a_claim_has_some():
    trials = trials_of(Setting())
    unshaped = {"naive_multi_turn", "no_shaping"}
    assert {len(names) for arm, names in trials.items() if arm not in {"base", "self_refine", *unshaped}} == {3}
    assert {trials[arm][3:] for arm in unshaped} == {(f"{arm}_kl_0.0167",) for arm in unshaped}, "0.1 / (1 + 5)"
    assert len(KLS) == len(RATES) == 3 and len(SEEDS) >= 5 and not set(SEEDS) & {0, *DEMO_SEEDS}
    named = {arm for claim in CLAIMS for arm in claim.arms}
    assert named <= set(trials) | {name for names in trials.values() for name in names}
    assert [claim.id for claim in CLAIMS] == [f"R{i}" for i in range(1, 9)]
    assert set(trials) == {arm.partition("_kl_")[0] for arm in named}, "every arm serves a claim"


def test_a_trial_is_chosen_by_its_figure_on_validation_and_of_equals_the_first():
    told = {"a1": 1.0, "a2": 3.0, "b1": 2.0, "b2": 2.0}
    assert choose({"a": ("a1", "a2"), "b": ("b1", "b2")}, told.__getitem__) == {"a": "a2", "b": "b1"}


def test_a_claim_alone_trains_its_own_arms():
    names = {job.name for job in score_evidence(("R4",)).jobs}
    assert {"naive_multi_turn_kl_0.01-21", "score_kl_0.1-25", "base-25", "pretrained-21", "report"} <= names
    assert not any(name.startswith(("star", "pair", "single", "collected")) for name in names)
    with pytest.raises(ValueError, match=r"^there is no claim 'R9'; the claims are R1, R2, "):
        selected(["R9"])


def test_test_problems_are_neither_trained_nor_chosen_by():
    for job in score_world().jobs:
        work: Any = job.work
        if isinstance(work, TrainAndExamine | TrainOnTraces):
            assert not isinstance(work, TrainOnTraces) or work.task.problems.split == "train"  # pyright: ignore
            splits = {phase.task.problems.split for phase in work.run.phases if hasattr(phase.task, "problems")}
            assert splits <= {"train"}
            watched = {one.evaluator.task.problems.split for one in work.run.evaluations}
            assert watched == {"validation"}
            assert work.exams["validation"].task.problems.split == "validation"
        if isinstance(work, Collect) and "fixed" not in job.name:
            assert work.task.problems.split == "train"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of arm, of the tiniest models, on one seed."""
    folder = tmp_path_factory.mktemp("world")
    arms = ("base", "self_refine", "star_plus_rate_0.006", "pair_sft_plus_rate_0.006", "single_turn_kl_0.1")
    arms = (*arms, "naive_multi_turn_kl_0.01", "score_kl_0.01", "offline_only_kl_0.1")
    shown = {arm.partition("_kl_")[0].partition("_rate_")[0]: arm for arm in arms}
    study = shrunk(world_study("tiny", TINY, (1,), arms, ScoreReport((1,), shown)))
    plans = _plans(study, folder)
    for job in study.jobs:  # here and not in processes, which would take seconds to start
        (folder / job.name).mkdir()
        assert from_plain(Work, plans[job.name]).execute(folder / job.name, folder)
    return folder


def test_every_kind_of_arm_runs_and_is_examined_on_equal_problems(finished: Path):
    ids = {Outcomes.load(path).ids for path in finished.glob("*/test.npz")}
    assert len(ids) == 1 and len(list(finished.glob("*/test.npz"))) == 8
    assert Outcomes.load(finished / "self_refine-1" / "test.npz").turns == 4
    fixed = {Outcomes.load(path).right[..., 0].tobytes() for path in finished.glob("*/fixed.npz")}
    assert len(list(finished.glob("*/fixed.npz"))) == 7 and len(fixed) >= 1
    assert len(read_metrics(finished / "score_kl_0.01-1" / "metrics.jsonl")) == TINY.steps
    assert not (finished / "score_kl_0.01-1" / "checkpoints").exists()


def test_the_summary_has_the_form_that_was_asked_for(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    assert list(summary) == ["seeds", "arms", "arms_greedy", "scaling"]
    assert list(summary["arms"])[:2] == ["base", "self_refine"] and summary["seeds"] == [1]
    for entry in (*summary["arms"].values(), *summary["arms_greedy"].values()):
        assert list(entry) == ["t1", "t2", "delta", "i_to_c", "c_to_i", "change_rate"]
        assert all(set(value) == {"mean", "low", "high"} and value["mean"] is not None for value in entry.values())
    assert {len(values) for values in summary["scaling"].values()} == {4}
    page = (finished / "report.html").read_text()
    assert "naive multi-turn RL" in page and "<svg" in page and "SCoRe" in (finished / "table.md").read_text()


def test_first_attempts_of_others_are_the_bases_in_the_exam_on_fixed_ones(finished: Path):
    lines = (finished / "fixed_test-1" / "attempts.jsonl").read_text().splitlines()
    problems = {json.loads(line)["problem"] for line in lines}
    assert problems <= set(Outcomes.load(finished / "base-1" / "fixed.npz").ids)


def test_the_evidence_chooses_on_validation_and_writes_its_rows(finished: Path, tmp_path: Path):
    trials = {"base": ("base",), "score": ("score_kl_0.01",), "naive_multi_turn": ("naive_multi_turn_kl_0.01",)}
    report_of = ScoreEvidenceReport((1,), trials, ("R7",), (1,))
    assert report_of.execute(tmp_path, finished)
    (row,) = json.loads((finished / "score.json").read_text())
    assert row["claim"] == "R7" and row["command"].startswith("tutelage train score_evidence --only R7")
    told = json.loads((finished / "score_arms.json").read_text())
    assert told["chosen"]["score"] == "score_kl_0.01" and "t2_validation" in told["arms"]["base"]["figures"]


def test_an_exam_is_greedy_at_temperature_0_with_one_episode(finished: Path):
    assert Outcomes.load(finished / "base-1" / "greedy.npz").right.shape[1] == 1
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        Exam(Book(TINY, 1).task(), 1, -1.0)


def test_the_evidence_has_all_trials_on_two_seeds_and_on_the_others_what_was_chosen_or_is_named():
    jobs = {job.name: job for job in evidence_study(CLAIMS, TINY, (1, 2, 3)).jobs}
    trials = {name for names in trials_of(TINY).values() for name in names}
    assert {f"{name}-{seed}" for name in trials for seed in (1, 2)} <= set(jobs)
    third = {name.removesuffix("-3") for name in jobs if name.endswith("-3")}
    named = {f"{arm}_kl_{weight}" for arm in ("score", "naive_multi_turn") for weight in KLS}
    named |= {"naive_multi_turn_both_kl_0.01"}
    assert third & trials == named | {"base", "self_refine"}
    assert third - trials - {"pretrained", "fixed_test", "fixed_validation", "collected"} == (
        set(trials_of(TINY)) - {"base", "self_refine", "score"}
    )
    work = jobs["single_turn-3"].work
    assert isinstance(work, TrainChosen) and set(work.works) == set(trials_of(TINY)["single_turn"])
    assert {f"single_turn_kl_{weight}-2" for weight in KLS} <= set(jobs["chosen_single_turn"].after)
    read = from_plain(Work, _plans(evidence_study(CLAIMS, TINY, (1, 2, 3)), Path("/study"))["single_turn-3"])
    assert isinstance(read, TrainChosen) and read.chosen == "/study/chosen_single_turn/chosen.json"
    assert isinstance(read.works["single_turn_kl_0.1"], TrainAndExamine)
    light = jobs["naive_multi_turn-3"].work
    assert isinstance(light, TrainChosen) and set(light.works) == {"naive_multi_turn_kl_0.0167"}, "it has the others"


def test_the_evidence_takes_ninety_minutes_at_most_on_two_cores_by_its_own_estimates():
    assert sum(job.effort for job in score_evidence().jobs) / 2 / 60 <= 90


def test_a_later_seed_has_the_trial_that_was_chosen_and_is_reported_under_the_arms_name(tmp_path: Path):
    """Validation prefers the second trial, by its figures on the first two seeds alone."""
    for job, right in {"a_kl_1-1": 0.0, "a_kl_1-2": 0.5, "a_kl_2-1": 1.0, "a_kl_2-2": 0.0, "a-3": 1.0}.items():
        (tmp_path / job).mkdir()
        for exam in ("test", "validation"):
            outcomes_with(right).save(tmp_path / job / f"{exam}.npz")
    (tmp_path / "chosen").mkdir()
    assert ChooseTrial(("a_kl_1", "a_kl_2"), (1, 2)).execute(tmp_path / "chosen", tmp_path)
    told = json.loads((tmp_path / "chosen" / "chosen.json").read_text())
    assert told == {"chosen": "a_kl_2", "validation": {"a_kl_1": 25.0, "a_kl_2": 50.0}}
    figures = ScoreFigures(tmp_path, (1, 2, 3), {"a": "a_kl_2"})
    assert figures.by_seed("a", "t2") == [100.0, 0.0, 100.0]
    assert not figures.is_examined("a_kl_2", 3) and figures.job("a", 3) == "a-3" and figures.job("a", 1) == "a_kl_2-1"
    done: list[str] = []
    asked: Any = {"a_kl_1": Noted(done, "one"), "a_kl_2": Noted(done, "two")}
    assert TrainChosen(str(tmp_path / "chosen" / "chosen.json"), asked).execute(tmp_path, tmp_path) and done == ["two"]
    other: Any = {"a_kl_1": Noted(done, "one")}
    assert TrainChosen(str(tmp_path / "chosen" / "chosen.json"), other).execute(tmp_path, tmp_path) and done == ["two"]


def test_the_report_has_the_chosen_trials_on_all_seeds_and_the_others_where_they_were_tried(tmp_path: Path):
    """Naive RL's second trial is chosen on the seeds 1 and 2, and is the job ``naive_multi_turn-3`` on seed 3."""
    kls = {arm: (f"{arm}_kl_0.01", f"{arm}_kl_0.1") for arm in ("score", "naive_multi_turn")}
    right = {"base": 0.0, "score_kl_0.01": 0.5, "naive_multi_turn_kl_0.01": 0.25, "naive_multi_turn_kl_0.1": 1.0}
    jobs = {f"{name}-{seed}": value for name, value in right.items() for seed in (1, 2, 3)}
    jobs |= {"score_kl_0.1-1": 0.25, "score_kl_0.1-2": 0.25, "naive_multi_turn-3": 0.75}
    del jobs["naive_multi_turn_kl_0.1-3"]
    for job, value in jobs.items():
        (tmp_path / job).mkdir()
        for exam in ("test", "validation", "votes"):
            outcomes_with(value, episodes=16 if exam == "votes" else 4).save(tmp_path / job / f"{exam}.npz")
    report_of = ScoreEvidenceReport((1, 2, 3), {"base": ("base",), **kls}, ("R7",), (1, 2))
    assert report_of.execute(tmp_path, tmp_path)
    told = json.loads((tmp_path / "score_arms.json").read_text())
    assert told["chosen"] == {"base": "base", "score": "score_kl_0.01", "naive_multi_turn": "naive_multi_turn_kl_0.1"}
    assert {name: (one["seeds"], one["by_seed"]["t2"]) for name, one in told["arms"].items()} == {
        "base": ([1, 2, 3], [0.0, 0.0, 0.0]),
        "score_kl_0.01": ([1, 2, 3], [50.0, 50.0, 50.0]),
        "score_kl_0.1": ([1, 2], [25.0, 25.0]),
        "naive_multi_turn_kl_0.01": ([1, 2, 3], [25.0, 25.0, 25.0]),
        "naive_multi_turn_kl_0.1": ([1, 2, 3], [100.0, 100.0, 75.0]),
    }
    arms = json.loads((tmp_path / "summary.json").read_text())["arms"]
    assert arms["naive_multi_turn"]["t2"]["mean"] == pytest.approx(275 / 3)
    assert "- holds: SCoRe's t2 is above naive multi-turn RL's" in (tmp_path / "table.md").read_text(), "at .01 alike"


def test_bars_compare_trials_on_the_seeds_that_have_both(tmp_path: Path):
    """Where no claim names the trials they are on the first seeds; what was chosen stands in for none of them."""
    jobs = {"base-1": 0.0, "base-2": 0.0, "score_kl_0.01-1": 0.5, "score-2": 1.0, "naive_multi_turn-2": 1.0}
    for job, value in (jobs | {"naive_multi_turn_kl_0.01-1": 0.25}).items():
        (tmp_path / job).mkdir()
        for exam in ("test", "validation", "votes"):
            outcomes_with(value, episodes=16 if exam == "votes" else 4).save(tmp_path / job / f"{exam}.npz")
    trials = {"base": ("base",)} | {arm: (f"{arm}_kl_0.01",) for arm in ("score", "naive_multi_turn")}
    assert ScoreEvidenceReport((1, 2), trials, (), (1,)).execute(tmp_path, tmp_path)
    bar = next(line for line in (tmp_path / "table.md").read_text().splitlines() if "naive multi-turn RL's" in line)
    assert "(25.0 [" in bar, "and not the mean of 25 and 0"


def outcomes_with(right: float, problems: int = 4, episodes: int = 4, turns: int = 2) -> Outcomes:
    """Of every problem this share of the last attempts is right, each with an answer of its own."""
    flags = np.zeros((problems, episodes, turns), np.bool_)
    flags[:, : round(right * episodes), -1] = True
    shape = flags.shape
    answers = np.where(flags, 0, 1 + np.arange(flags.size).reshape(shape))
    ids = tuple(f"p{i}" for i in range(problems))
    return Outcomes(ids, flags, np.ones(shape, np.bool_), answers, np.zeros(shape, np.bool_), np.ones(shape, np.int64))


@dataclass(frozen=True)
class Noted:
    """Work that says that it was done."""

    done: list[str]
    name: str

    def execute(self, directory: Path, study: Path) -> bool:
        self.done.append(self.name)
        return True


def test_a_vote_of_two_is_no_part_of_what_sequential_samples_gain(tmp_path: Path):
    """At 2 samples the difference is Δ, and it is told beside."""
    (tmp_path / "a-1").mkdir()
    flags = outcomes_with(1.0, episodes=16)
    first = flags.right.copy()
    first[:, :2, -1] = False  # the votes of 2, 4 and 8 samples are lost
    told = replace(flags, right=first, answers=np.where(first, 0, flags.answers + 100))
    told.save(tmp_path / "a-1" / "votes.npz")
    figures = ScoreFigures(tmp_path, (1,))
    gains = [float(figures.mean("a", f"sequential_gain_{budget}")[0]) for budget in (2, 4, 8, 16)]
    assert gains == [0.0, 0.0, 0.0, 100.0] and float(figures.mean("a", "sequential_gain")[0]) == pytest.approx(100 / 3)


def test_every_arm_tells_the_episodes_and_the_attempts_that_it_sampled(finished: Path):
    """Supervised ones too, whoever shares what they imitate."""
    figures = ScoreFigures(finished, (1,))
    spent = {name: spent_by(figures, name) for name in ("star_plus_rate_0.006", "pair_sft_plus_rate_0.006")}
    spent |= {name: spent_by(figures, name) for name in ("score_kl_0.01", "single_turn_kl_0.1", "offline_only_kl_0.1")}
    assert {name: one and one["episodes"] for name, one in spent.items()} == dict.fromkeys(spent, 36.0)
    attempts = {name: one and one["attempts"] for name, one in spent.items()}
    assert attempts["single_turn_kl_0.1"] == 36.0 and attempts["score_kl_0.01"] == 72.0
    assert attempts["star_plus_rate_0.006"] == attempts["pair_sft_plus_rate_0.006"] == 72.0
    assert 36.0 <= (attempts["offline_only_kl_0.1"] or 0) < 72.0
    for name in ("star_plus_rate_0.006", "pair_sft_plus_rate_0.006"):
        one = spent[name]
        assert one is not None and one["sampled_tokens"] > 0 and one["seconds_by_role"]["rollout"] > 0
    assert "attempts sampled" in (finished / "report.html").read_text()
