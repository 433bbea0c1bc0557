"""The study of learned teachers, end to end and tiny: every figure that the committed file has is there."""

import json
from pathlib import Path

import pytest

from tutelage import recipes
from tutelage.study import execute


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
    assert found["pipeline"].keys() == {"ntp", "oracle", "learned"}
    assert all({"factuality", "safety"} <= arm.keys() for arm in found["pipeline"].values())
    assert found["kept"].keys() == {"factuality", "safety"}
    (curve,) = found["over_optimisation"]
    assert len(curve["step"]) == len(curve["judge"]) == len(curve["truth"]) >= 1
