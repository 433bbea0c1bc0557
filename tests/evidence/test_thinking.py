"""The study of thinking: what each arm gets, and what its report makes of the answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tutelage.evidence.claims import Claim
from tutelage.evidence.thinking import CLAIMS, ThinkingSetting, thinking_study
from tutelage.evidence.thinking.arms import PRACTISED, RLVR, all_arms
from tutelage.evidence.thinking.report import LEARNED, ThinkingReport
from tutelage.evidence.thinking.work import AsCostly, TrainAndAnswer, costs, names_alone
from tutelage.phases import TrainedTokens
from tutelage.study import execute
from tutelage.thinking.probing import KINDS
from tutelage.worlds.steps import StepsWorld

TINY = ThinkingSetting(
    world=StepsWorld(fewest=3, most=4),
    base_steps=2,
    reasoner_tokens=400,
    tokens=600,
    documents_per_step=4,
    groups_per_step=2,
    group=2,
    rlvr_steps=1,
    questions=3,
    probed=4,
    augmented=2,
)


def test_arms_that_are_compared_train_on_as_much():
    arms = all_arms(ThinkingSetting())
    ends = {name: [phase.until for phase in arms[name].phases] for name in LEARNED}
    whole = {name: sum(u.count for u in untils if isinstance(u, TrainedTokens)) for name, untils in ends.items()}
    whole.pop("compute_matched_sft")
    assert set(whole.values()) == {1_200_000}
    needed = frozenset().union(*(claim.arms for claim in CLAIMS))
    assert needed <= {*arms, *KINDS}
    assert all(f"{name}{RLVR}" in arms for name in arms if not name.endswith(RLVR))


def test_tied_groups_are_paid_for_at_equal_compute():
    setting = ThinkingSetting()
    assert setting.sampled_a_step == 16 * (15 + 16 * (14 + 4))
    step = {"tokens/trained": 300.0, "tokens/sampled": 200.0}
    tied = {"tokens/trained": 0.0, "tokens/sampled": 200.0}
    supervised = [{"tokens/trained": 1000.0}]
    assert costs(setting, supervised) == 1000
    assert costs(setting, [*supervised, step]) == round(1300 + setting.sampled_a_step / 3)
    assert costs(setting, [*supervised, step, tied, tied]) == round(1300 + setting.sampled_a_step)


def test_the_compute_matched_arm_waits_for_what_it_is_matched_with():
    (job,) = (job for job in thinking_study(TINY, (1,)).jobs if job.name == "compute_matched_sft-1")
    assert isinstance(job.work, AsCostly) and job.after == ("base-1", f"{PRACTISED}-1")
    assert job.work.other == f"@{PRACTISED}-1/metrics.jsonl"


def test_in_the_place_of_practice_stands_as_much_rl_with_verifiable_reward():
    arms = all_arms(ThinkingSetting())
    ours, theirs = arms[PRACTISED].phases, arms["rlvr_instead"].phases
    assert ours[0] == theirs[0] and ours[1].until == theirs[1].until
    (after,) = arms["rlvr_instead_rlvr"].phases
    assert replace(theirs[1], until=after.until) == after
    required = {contrast.weights for contrast in claim("T3").tests if contrast.required}
    assert ((PRACTISED, 1.0), ("rlvr_instead", -1.0)) in required


def claim(name: str) -> Claim:
    return next(one for one in CLAIMS if one.id == name)


def test_the_thought_that_fits_every_chain_states_nothing():
    world = StepsWorld()
    words = names_alone(world).split()
    for i in range(50):
        assert set(words) <= set(world.chain("train", i).names)
    assert len(words) == world.fewest + 1


def test_the_halves_of_imitation_and_practice_are_the_same_streams_other_use():
    imitate, practise = (phase.stream for phase in all_arms(ThinkingSetting())[PRACTISED].phases)
    assert replace(imitate, use="rl") == practise  # pyright: ignore


def written(study: Path, values: dict[str, float], seeds: tuple[int, ...], questions: int) -> None:
    """Answers by arms that are right as often as told, each question alike."""
    for arm in all_arms(TINY):
        for seed in seeds:
            folder = study / f"{arm}-{seed}"
            folder.mkdir(parents=True)
            right = np.zeros((questions, 10), np.bool_)
            right[:, : round(10 * values.get(arm, 0.1))] = True
            np.savez(folder / "answers.npz", right=right, thought=np.full((questions, 10), 3))
            if arm == PRACTISED:
                kinds = {"own": 1.0, "swapped": 0.2, "blank": 0.0, "generic": 1.0}
                np.savez(folder / "probe.npz", **{k: np.full(3 + seed, v) for k, v in kinds.items()})
    (study / "augment").mkdir()
    (study / "augment" / "augment.json").write_text('{"documents": 2, "characters_lost": 0}')


def test_the_report_reads_answers_and_judges_by_the_rules(tmp_path: Path):
    values = {"thought_sft": 0.4, "thought_sft_rl": 0.6, "compute_matched_sft": 0.6, "raw_sft": 0.2}
    values |= {"thought_sft_rlvr": 0.5, "thought_sft_rl_rlvr": 0.8, "reasoner": 0.9, "reasoner_thought_sft": 0.4}
    written(tmp_path, values, (1, 2), 5)
    report = ThinkingReport(replace(TINY, questions=5), (1, 2), tuple(all_arms(TINY)))
    assert report.execute(tmp_path / "report", tmp_path)
    rows = {row["claim"]: row for row in json.loads((tmp_path / "thinking.json").read_text())}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "T1": "reproduced",
        "T2": "not reproduced",
        "T3": "reproduced",
        "T4": "reproduced",
        "T5": "not reproduced",
    }
    assert rows["T1"]["ours"] == pytest.approx({"mean": 0.2, "low": 0.2, "high": 0.2, "seeds": 2})
    assert "compute_matched_sft is 0.000" in rows["T2"]["why"] and "own − generic" in rows["T5"]["why"]
    learned = json.loads((tmp_path / "learned_thinking.json").read_text())
    assert learned["claims"]["T2"] == {"verdict": "not reproduced", "why": rows["T2"]["why"]}
    assert set(learned) == {"seeds", "thinking", "claims", "probe", "augment"} and set(learned["thinking"]) == set(
        LEARNED
    )
    assert learned["thinking"]["thought_sft_rl"]["after_rlvr"]["mean"] == pytest.approx(0.8)
    assert learned["probe"]["swapped"]["mean"] == pytest.approx(0.2)
    assert set(learned["thinking"]["raw_sft"]) == {"before_rlvr", "after_rlvr"}


@pytest.mark.slow
def test_the_study_runs_from_end_to_end(tmp_path: Path):
    # As little as it takes for some thoughts to end and some results to be right: else the gate stops practice.
    learnt = {"base_steps": 40, "tokens": 100_000, "sft_share": 0.97, "documents_per_step": 32}
    study = thinking_study(replace(TINY, **learnt, group=4, groups_per_step=4), (1,))
    execute(study, tmp_path, lambda status: None)
    rows = json.loads((tmp_path / "thinking.json").read_text())
    assert [row["claim"] for row in rows] == ["T1", "T2", "T3", "T4", "T5"]
    done = (tmp_path / "raw_sft-1" / "done.json").stat().st_mtime_ns
    execute(study, tmp_path, lambda status: None)
    assert (tmp_path / "raw_sft-1" / "done.json").stat().st_mtime_ns == done


def test_an_arm_keeps_what_the_report_needs_and_no_checkpoints():
    job = next(job for job in thinking_study(TINY, (1,)).jobs if job.name == f"{PRACTISED}-1")
    assert isinstance(job.work, TrainAndAnswer) and job.work.probed and job.work.run.limits
