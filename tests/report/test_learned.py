"""The study of learned teachers, end to end and tiny: every figure that the committed file has is there."""

import json
from pathlib import Path

import pytest

from tutelage import recipes
from tutelage.judge_check import Passage
from tutelage.recipes.learned import ARMS
from tutelage.recipes.teachers import WORLD
from tutelage.report import teachers_scored
from tutelage.report.learned import over_seeds
from tutelage.report.teachers_scored import ScoreClassifier
from tutelage.sources import RewriteSource
from tutelage.study import Train, execute
from tutelage.worlds.facts import FactsJudge, FactsRewriter
from tutelage.worlds.facts.lessons import Prompts, labelled


def test_an_interval_over_seeds_shows_how_much_they_differ():
    found = over_seeds([[0.5, 0.5, 0.5], [0.9, 0.9, 0.9]], "shared")
    assert found["mean"] == pytest.approx(0.7) and found["by_seed"] == pytest.approx([0.5, 0.9])
    assert found["low"] <= 0.5 and 0.9 <= found["high"] <= 1  # either seed alone is sure of its figure
    alike = over_seeds([[0.0, 1.0] * 50] * 3, "shared")
    assert 0.3 < alike["low"] < 0.5 < alike["high"] < 0.7


def test_the_oracles_rewriter_errs_in_one_arm_and_never_in_the_other():
    arms = {job.name: job.work.run for job in recipes.learned((1,)).jobs if isinstance(job.work, Train)}
    errors = {
        name: source.rewriter.error
        for name, run in arms.items()
        for source in run.phases[0].sources
        if isinstance(source, RewriteSource) and isinstance(source.rewriter, FactsRewriter)
    }
    assert errors == {"oracle-1": 0.3, "oracle_exact-1": 0.0}
    assert not any(isinstance(judge, FactsJudge) for judge in arms["learned-1"].phases[0].judges)
    ends = {arms[f"{arm}-1"].phases[0].until for arm in ARMS}
    assert len(ends) == 1


def test_a_classifier_is_scored_on_passages_beside_the_most_common_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chunks = WORLD.evaluation_chunks("natural", 12)
    passages = [one for one in labelled(WORLD, Prompts(), chunks, "safety") if isinstance(one, Passage)]
    safe = {one.text: one.safe for one in passages}
    said = {text: 0.9 if truth else 0.1 for text, truth in safe.items()}
    wrong = next(iter(said))
    said[wrong] = 1 - said[wrong]
    monkeypatch.setattr(teachers_scored, "classified", lambda folder, texts: [said[text] for text in texts])
    assert ScoreClassifier(WORLD, "none", items=12).execute(tmp_path, tmp_path)
    found = json.loads((tmp_path / "scores.json").read_text())
    wrongs = sum(one.text == wrong for one in passages)
    assert found["accuracy"]["mean"] == pytest.approx(1 - wrongs / len(passages))
    share = sum(one.safe for one in passages) / len(passages)
    assert found["most_common"]["mean"] == pytest.approx(max(share, 1 - share))
    (score,) = (job for job in recipes.train_classifier_judge().jobs if isinstance(job.work, ScoreClassifier))
    assert score.after == ("classifier",)


@pytest.mark.slow
def test_the_study_writes_every_figure_of_the_file(tmp_path: Path):
    study = recipes.learned(
        (1,),
        base_steps=20,
        continued_tokens=4000,
        judge_sft=150,  # less, and it gives no verdict: the run stops
        judge_grpo=2,
        rewriter_sft=12,
        rewriter_grpo=2,
        items=12,
    )
    execute(study, tmp_path, lambda status: None)
    found = json.loads((tmp_path / "report" / "learned.json").read_text())
    assert found["seeds"] == [1]
    for stage in ("before", "after"):
        assert {"quality_accuracy", "safety_accuracy", "rollouts_late_accuracy"} <= found["judge"][stage].keys()
        assert {"copy_overlap", "unsafe_made_safe"} <= found["rewriter"][stage].keys()
    assert found["pipeline"].keys() == {"ntp", "oracle", "oracle_exact", "learned"}
    assert found["kept_of_exact"].keys() == {"factuality", "safety"}
    assert all({"factuality", "safety"} <= arm.keys() for arm in found["pipeline"].values())
    assert found["kept"].keys() == {"factuality", "safety"}
    (curve,) = found["over_optimisation"]
    assert len(curve["step"]) == len(curve["judge"]) == len(curve["truth"]) >= 1
