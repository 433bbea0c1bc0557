"""The study of the world of signed sums: what its jobs are, and one of every kind run to a report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tutelage.config import from_plain
from tutelage.correction import Collect, Exam
from tutelage.correction.outcomes import Outcomes
from tutelage.evidence.score.choosing import choose
from tutelage.evidence.score.claims import CLAIMS
from tutelage.evidence.score.report import ScoreEvidenceReport, ScoreReport
from tutelage.evidence.score.settings import DEMO_SEEDS, KLS, RATES, SEEDS, Setting
from tutelage.evidence.score.work import TrainAndExamine, TrainOnTraces
from tutelage.objectives import StageTwo
from tutelage.phases import StepsOfRun, WhenAbove
from tutelage.recipes import score_evidence, score_world
from tutelage.recipes.score_world import Book, evidence_study, selected, trials_of, world_study
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
    for name in (name for arm, names in trials_of().items() for name in names if arm not in ("base", "self_refine")):
        work = Book(s, 1).arm(name).work
        if isinstance(work, TrainOnTraces):
            own = work.problems * work.rounds if work.collected is None else s.steps * s.problems
            assert own * work.task.episodes == s.steps * s.problems * s.episodes, name
            assert sum(phase.until.count for phase in run_of(work).phases) * work.rounds == s.steps  # pyright: ignore
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
    trials = trials_of()
    assert {len(names) for arm, names in trials.items() if arm not in ("base", "self_refine")} == {3}
    assert len(KLS) == len(RATES) == 3 and len(SEEDS) >= 5 and not set(SEEDS) & {0, *DEMO_SEEDS}
    named = {arm for claim in CLAIMS for arm in claim.arms}
    assert named <= set(trials) | {name for names in trials.values() for name in names}
    assert [claim.id for claim in CLAIMS] == [f"R{i}" for i in range(1, 8)]
    assert set(trials) == {arm.partition("_kl_")[0] for arm in named}, "every arm serves a claim"


def test_a_trial_is_chosen_by_its_figure_on_validation_and_of_equals_the_first():
    told = {"a1": 1.0, "a2": 3.0, "b1": 2.0, "b2": 2.0}
    assert choose({"a": ("a1", "a2"), "b": ("b1", "b2")}, told.__getitem__) == {"a": "a2", "b": "b1"}


def test_a_claim_alone_trains_its_own_arms():
    names = {job.name for job in score_evidence(("R4",)).jobs}
    assert {"naive_multi_turn_kl_0.01-21", "score_kl_0.1-25", "base-21", "pretrained-21", "report"} <= names
    assert not any(name.startswith(("star", "pair", "single", "collected")) for name in names)
    with pytest.raises(ValueError, match=r"^there is no claim 'R9'; the claims are R1, R2, "):
        selected(["R9"])


def test_test_problems_are_neither_trained_nor_chosen_by():
    for job in score_world().jobs:
        work: Any = job.work
        if isinstance(work, TrainAndExamine | TrainOnTraces):
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
    report_of = ScoreEvidenceReport((1,), trials, ("R7",))
    assert report_of.execute(tmp_path, finished)
    (row,) = json.loads((finished / "score.json").read_text())
    assert row["claim"] == "R7" and row["command"].startswith("tutelage train score_evidence --only R7")
    told = json.loads((finished / "score_arms.json").read_text())
    assert told["chosen"]["score"] == "score_kl_0.01" and "t2_validation" in told["arms"]["base"]["figures"]


def test_an_exam_is_greedy_at_temperature_0_with_one_episode(finished: Path):
    assert Outcomes.load(finished / "base-1" / "greedy.npz").right.shape[1] == 1
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        Exam(Book(TINY, 1).task(), 1, -1.0)


def test_the_evidence_is_a_study_of_all_claims():
    study = evidence_study(CLAIMS, TINY, (1, 2))
    assert len(study.jobs) == 2 + 2 * (4 + 2 + 3 * 10)
