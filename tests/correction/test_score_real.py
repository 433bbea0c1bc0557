"""Recipes on real problems: the paper's settings, and the pipeline with a small model on a few problems."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.correction.parts import Digits

from tutelage.config import from_plain
from tutelage.correction import Collect, FirstAttempts
from tutelage.correction.wording import REFINE
from tutelage.evidence.score.models import ExamineModels
from tutelage.exporting import HELD_OUT, REWARD, ExportBest
from tutelage.lora import LoRA
from tutelage.phases import StepsOfRun
from tutelage.problems import Joined, JsonLines
from tutelage.recipes import maths_rlvr, score_baselines, score_code, score_math
from tutelage.recipes.maths_rlvr import study_of
from tutelage.recipes.real_problems import Book, Domain, WriteSolutions, domain
from tutelage.study import Job, Study, Train, Work, _plans  # pyright: ignore[reportPrivateUsage]
from tutelage.verifiers import Maths
from tutelage.weights import Pretrained


def runs_of(study: Study) -> dict[str, Any]:
    return {job.name: getattr(job.work, "run", None) for job in study.jobs}


@pytest.mark.parametrize(
    ("recipe", "steps", "batch", "rate", "beta2"),
    [(score_math, 3000, 512, 5e-6, 0.1), (score_code, 1500, 128, 1e-5, 0.25)],
)
def test_a_named_model_is_trained_with_the_papers_settings(
    recipe: Any, steps: int, batch: int, rate: float, beta2: float
):
    study = recipe("models/instruct", lora=True)
    assert [job.name for job in study.jobs] == ["score", "by_reward", "by_held_out", "report"]
    run = runs_of(study)["score"]
    first, second = run.phases
    assert run.model == Pretrained("models/instruct", "auto", lora=LoRA())
    assert {phase.documents_per_step * phase.task.episodes for phase in run.phases} == {batch}
    assert first.learning_rate.peak == rate and second.until == StepsOfRun(steps)
    assert first.objective.beta2 == beta2 and (second.objective.alpha, second.objective.beta1) == (10.0, 0.01)
    assert run.checkpoint.keep_every == run.evaluations[0].every == steps // 15
    assert [(limit.metric, limit.stops) for limit in run.limits] == [("correction/change_rate", False)]


def test_checkpoints_are_chosen_by_training_reward_and_beside_it_by_held_out_problems():
    works = {job.name: job.work for job in score_math().jobs}
    assert works["by_reward"] == ExportBest("@score/", REWARD, 20)
    assert works["by_held_out"] == ExportBest("@score/", HELD_OUT, 1)
    report = works["report"]
    assert isinstance(report, ExamineModels)
    assert list(report.models) == ["base", "by_reward", "by_held_out"]
    assert list(report.exams) == ["math500_greedy", "math500_avg2", "gsm8k_greedy", "gsm8k_avg2"]


def test_all_baselines_sample_as_many_episodes_as_score():
    study = score_baselines("models/instruct", steps=30)
    names = {"score", "no_stage_1", "no_shaping", "star_in_stage_2", "offline_only", "single_turn", "naive_multi_turn"}
    supervised = {"star", "star_plus", "pair_sft", "pair_sft_plus"}
    assert {job.name for job in study.jobs} == names | supervised | {"collected", "report"}
    for job in study.jobs:
        work: Any = job.work
        if job.name in supervised:
            assert work.problems * work.rounds * work.task.episodes == 30 * 512
            assert work.run.phases[0].until.count == 30 and work.epochs == (3.0 if "star" in job.name else 1.0)
        elif job.name in names:
            assert work.run.phases[-1].until.count == 30
    (report,) = (job.work for job in study.jobs if job.name == "report")
    assert next(iter(report.models)) == "base" and set(report.models) == {"base", *names, *supervised}  # type: ignore


def test_the_base_is_sampled_once_for_all_that_imitate_it_or_correct_it():
    jobs = {job.name: job for job in score_baselines("models/instruct", steps=30).jobs}
    (collect,) = [job.work for job in jobs.values() if isinstance(job.work, Collect)]
    assert collect.problems == collect.kinds["pair_sft"] == 30 * 64 and collect.kinds["star_plus"] == 10 * 64
    for name in ("star", "star_plus", "pair_sft", "pair_sft_plus"):
        work: Any = jobs[name].work
        assert work.collected == f"@collected/{name}.npz" and "collected" in jobs[name].after
    offline: Any = jobs["offline_only"].work
    first = {phase.task.first_attempts for phase in offline.run.phases}
    assert (
        first == {FirstAttempts("@collected/attempts.jsonl", share=1.0)} and "collected" in jobs["offline_only"].after
    )


def test_every_arm_that_corrects_warns_of_a_collapse_and_none_is_stopped_by_it():
    runs = {name: run for name, run in runs_of(score_baselines("models/instruct")).items() if run is not None}
    alarmed = {name for name, run in runs.items() if run.limits}
    assert alarmed == {"score", "no_stage_1", "no_shaping", "star_in_stage_2", "offline_only", "naive_multi_turn"}
    assert not any(limit.stops for run in runs.values() for limit in run.limits)


def test_self_refine_is_the_base_asked_for_feedback_and_a_better_answer():
    (report,) = (job.work for job in score_baselines("models/instruct").jobs if job.name == "report")
    assert isinstance(report, ExamineModels)
    refined = report.refined["self_refine"]
    exam = refined.sits(report.exams["math500_greedy"])
    assert refined.model == "models/instruct" and exam.task.turns == 4 and exam.temperature == 0.0
    assert exam.task.format.instruction == REFINE and exam.task.problems == report.exams["math500_greedy"].task.problems  # pyright: ignore
    (alone,) = (job.work for job in score_math("models/instruct").jobs if job.name == "report")
    assert alone.refined == {}  # pyright: ignore


def test_joined_problems_are_those_of_all_sources():
    assert len(Joined((Digits(3), Digits(2, broken=1))).read().problems) == 6
    with pytest.raises(ValueError, match="name at least one source"):
        Joined(())


def sums(path: Path, count: int, start: int = 0) -> JsonLines:
    rows = [
        {"id": f"s{i}", "question": f"{i} + 1 ?", "key": str(i + 1), "solution": f"one more than {i}\n#### {i + 1}"}
        for i in range(start, start + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonLines(str(path))


def shrunk(job: Job) -> Job:
    """A model of a few numbers that is hardly trained."""
    work: Any = job.work
    if isinstance(work, WriteSolutions):
        return replace(job, work=replace(work, vocab_size=300))
    if isinstance(work, Train) and job.name == "start":
        shape = work.run.model.settings | {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}  # type: ignore
        phase = replace(work.run.phases[0], until=type(work.run.phases[0].until)(2))  # type: ignore
        return replace(
            job, work=Train(replace(work.run, model=replace(work.run.model, settings=shape), phases=(phase,)))
        )  # type: ignore
    return job


def few_sums(folder: Path) -> Domain:
    return replace(
        domain("math", "nowhere"),
        train=sums(folder / "train.jsonl", 9),
        held_out=sums(folder / "held.jsonl", 3, 20),
        tests={"sums": sums(folder / "test.jsonl", 3, 30)},
        verifier=Maths(workers=1),
        question="{question} End by Final Answer: $...$",
    )


def test_models_are_compared_before_and_after_the_same_rl(tmp_path: Path):
    study = maths_rlvr(("runs/base/hf", "runs/thought_sft-1/hf"), data=str(tmp_path))
    assert [job.name for job in study.jobs] == ["base_rlvr", "thought_sft-1_rlvr", "report"]
    runs = runs_of(study)
    one, other = (runs[f"{name}_rlvr"].phases for name in ("base", "thought_sft-1"))
    assert one == other and one[0].until.count == 1000 and one[0].task.turns == 1
    assert not one[0].objective.std and one[0].objective.constant_length == one[0].task.max_new_tokens
    report: Any = study.jobs[-1].work
    assert report.models["thought_sft-1"] == "runs/thought_sft-1/hf"
    assert report.models["base_rlvr"] == "@base_rlvr/hf" and len(report.models) == 4
    assert {(exam.task.episodes, exam.task.turns, exam.temperature) for exam in report.exams.values()} == {(16, 1, 0.6)}
    with pytest.raises(ValueError, match="would be called alike"):
        maths_rlvr(("a/base/hf", "b/base"))


def test_rl_on_maths_runs_from_data_to_a_table_with_a_model_made_on_the_spot(tmp_path: Path):
    book = Book("math", few_sums(tmp_path), None, lora=False, steps=2, seed=0, longest=64, turns=1)
    study = study_of({"made_here": book}, 2)
    jobs = tuple(shrunk(job) for job in study.jobs)
    study = replace(study, jobs=jobs)
    for job, plan in zip(study.jobs, _plans(study, tmp_path).values(), strict=True):
        (tmp_path / job.name).mkdir()
        assert from_plain(Work, plan).execute(tmp_path / job.name, tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())["sums"]
    assert found.keys() == {"made_here", "made_here_rlvr"} and found["made_here"]["episodes"] == 16


def test_the_pipeline_runs_from_data_to_a_table_with_a_model_made_on_the_spot(tmp_path: Path):
    own = few_sums(tmp_path)
    book = Book("math", own, None, lora=False, steps=2, seed=0, longest=64)
    jobs = [*book.start(), Job("score", Train(book.run("score", book.arms()["score"])), book.after)]
    jobs += [book.collected(), *(job for job in book.supervised() if job.name == "star")]
    jobs += [Job("by_reward", ExportBest("@score/", REWARD, 20), ("score",))]
    models = {"base": book.base, "by_reward": "@by_reward/hf", "star": "@star/hf"}
    jobs += [book.report(models, ("by_reward", "star"), refined=True)]
    study = Study(name="spot", jobs=tuple(shrunk(job) for job in jobs), workers=1)
    for job, plan in zip(study.jobs, _plans(study, tmp_path).values(), strict=True):
        (tmp_path / job.name).mkdir()
        assert from_plain(Work, plan).execute(tmp_path / job.name, tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == {"sums_greedy", "sums_avg2"}
    assert set(found["sums_avg2"]) == {"base", "by_reward", "star", "self_refine"}
    assert found["sums_avg2"]["base"]["episodes"] == 2 and "Δ" in (tmp_path / "tables.md").read_text()
    assert (found["sums_avg2"]["self_refine"]["turns"], found["sums_avg2"]["base"]["turns"]) == (4, 2)
    assert json.loads((tmp_path / "by_reward" / "chosen.json").read_text())["metric"] == "accuracy/turn2"
