"""Runs that correct: on the loop, the recorder and the ranks of every other run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.correction.parts import (
    OPENED,
    Digits,
    NextDigit,
    correcting,
    correction_run,
    resumable_correction,
    task,
)
from tests.test_ranks import same_as_one
from tests.test_resume import break_off, kill
from tests.tiny import outcome, train_all

from tutelage import state
from tutelage.cli import main
from tutelage.codec import Tokenizer
from tutelage.commands.planning import Rates, plan_run
from tutelage.commands.replay import SHOWN, Trainer, takes
from tutelage.config import from_plain, to_plain
from tutelage.correction import CorrectionExperience, FirstAttempts, HeldOutCorrections
from tutelage.evaluate import Evaluation
from tutelage.logbook import ResumeRefused
from tutelage.objectives import GRPO, NTP, PairSFT, SingleTurn, StageOne, StageTwo, STaR
from tutelage.phases import Initial, Limit, Phase, Steps, StepsOfRun, WhenAbove, nothing_taught
from tutelage.record import Ring
from tutelage.run import Checkpointing, Run, load_run, save_run
from tutelage.samples import read_samples
from tutelage.sources import SuffixSource
from tutelage.stream import Corpus, TextStream
from tutelage.trackers import read_metrics
from tutelage.update import RunStopped
from tutelage.weights import FromConfig

TELEMETRY = {
    "accuracy/turn1",
    "accuracy/turn2",
    "correction/delta",
    "correction/i_to_c",
    "correction/c_to_i",
    "correction/change_rate",
    "correction/edit_distance",
    "kl/turn1",
    "kl/turn2",
    "entropy/turn1",
    "truncated/turn1",
    "truncated/turn2",
    "episodes/all_zero",
    "rollout/staleness",
    "tokens/sampled",
    "pool/taught",
}


@pytest.fixture(scope="module")
def whole(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    run = resumable_correction(digits)
    train_all(replace(run, checkpoint=Checkpointing(every=100, replay_steps=100)), directory)
    return directory


@pytest.fixture(scope="module")
def queued(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with steps sampled while the verifier looks at those before."""
    directory = tmp_path_factory.mktemp("queued")
    train_all(resumable_correction(digits, depth=1), directory)
    return directory


def test_a_run_tells_all_that_is_to_be_watched(whole: Path):
    rows = read_metrics(whole / "metrics.jsonl")
    assert len(rows) == 9 and all(row.keys() >= TELEMETRY for row in rows[:6])
    assert {"accuracy/turn3", "truncated/turn3"} <= rows[6].keys()
    first = [row["policy/beta2"] for row in rows[:3]]
    assert first[0] == 0.1 and len(set(first)) > 1, "the leash follows the drift"
    assert (whole / "hf" / "model.safetensors").exists()


def test_samples_hold_every_attempt_and_can_be_read(whole: Path, capsys: pytest.CaptureFixture[str]):
    rows = read_samples(whole / "samples", 2)
    assert len(rows) == 4 * 6 * 2 and {row["source"] for row in rows} == {"turn1", "turn2"}
    assert {row["role"] for row in rows if row["source"] == "turn2"} <= {"trained", ""}
    assert all(set(json.loads(row["verdicts"])) == {"verifier"} for row in rows)
    assert main(["show", str(whole), "--step", "2", "--limit", "1"]) == 0
    told = capsys.readouterr().out
    assert "turn1" in told and "verifier" in told and "next" in told


def test_every_step_can_be_replayed_to_the_same_numbers(whole: Path, capsys: pytest.CaptureFixture[str]):
    recorded = read_metrics(whole / "metrics.jsonl")
    trainer = Trainer.at(load_run(whole / "run.yaml", ("tests.correction.parts",)), whole, 0)
    for row, take in zip(recorded, takes(whole, len(recorded)), strict=True):
        metrics = trainer.learn(take).metrics
        assert {k: v for k, v in metrics.items() if k.startswith(SHOWN)} == {
            k: v for k, v in row.items() if k.startswith(SHOWN)
        }
    told = ["replay", str(whole), "--step", "8", "--import", "tests.correction.parts"]
    assert main(told) == 0
    out = capsys.readouterr().out
    assert "[turn 2 " in out and "the same" in out and "advantage" in out


CRASHES = [
    (Ring, "put", 4, 0),
    (state, "save_file", 5, 0),
    pytest.param(CorrectionExperience, "_verify", 5, 0, marks=pytest.mark.slow),
    (CorrectionExperience, "_verify", 5, 1),
    pytest.param(Ring, "put", 6, 1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("holder", "name", "call", "depth"), CRASHES)
def test_a_run_that_breaks_off_goes_on_to_the_same_end(
    holder: Any,
    name: str,
    call: int,
    depth: int,
    digits: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    run = resumable_correction(digits, depth)
    break_off(run, tmp_path / "killed", holder, name, call, monkeypatch)
    train_all(run, tmp_path / "killed")
    assert outcome(tmp_path / "killed") == outcome(request.getfixturevalue("queued" if depth else "whole"))


def test_a_run_that_is_killed_for_good_goes_on_to_the_same_end(digits: Path, tmp_path: Path):
    jobs: list[dict[str, Any]] = [
        {"directory": "whole", "task": "correction"},
        {"directory": "killed", "task": "correction", "call": "tutelage.state.save_file", "number": 8},
        {"directory": "killed", "task": "correction", "after": 0.4},
        {"directory": "killed", "task": "correction"},
    ]
    assert kill(digits, tmp_path, jobs, 0) == [0, -9, -9, 0]
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_two_ranks_take_the_step_of_one(digits: Path, tmp_path: Path):
    one, several = same_as_one("correction", digits, tmp_path)
    assert len(one) == 4 and [len(rank[0]["drawn"]) for rank in several] == [3, 2]


def test_phases_that_ask_the_same_problems_read_on_and_others_begin(digits: Path, tmp_path: Path):
    stages = (correcting(StageOne(), 2), correcting(StageTwo(), 1, problems=Digits(7)), correcting(StageTwo(), 1))
    _, reports = train_all(correction_run(digits, *stages), tmp_path)
    asked = [[g.problem.id for g in report.take.episodes] for report in reports]
    epochs = [{g.epoch for g in report.take.episodes} for report in reports]
    assert len({*asked[0], *asked[1]}) == 8 and epochs == [{0}, {0}, {0}, {0, 1}]
    assert not {*asked[0], *asked[1]} & set(asked[3][:2]), "the ten problems are read to their end first"


def test_the_reference_may_be_the_policy_as_the_run_began(digits: Path, tmp_path: Path):
    from tutelage.loop import train
    from tutelage.ranks import OneRank
    from tutelage.session import RunSession

    run = correction_run(digits, correcting(steps=2), correcting(steps=2, reference=Initial()), correcting(steps=1))
    session = RunSession(run, tmp_path, OneRank())
    base = {name: tensor.clone() for name, tensor in session.learner.policy.model.state_dict().items()}
    seen: list[bool] = []
    for _ in train(session):
        reference = session.reference()
        assert reference is not None
        seen.append(all(torch.equal(t, base[name]) for name, t in reference.model.state_dict().items()))
    assert seen[:4] == [True] * 4 and seen[4] is False, "the third phase's is the policy as that phase began"


def test_training_raises_what_is_rewarded(digits: Path, tmp_path: Path):
    phase = correcting(StageTwo(alpha=1.0, beta1=0.0), 25, verifier=NextDigit(even=True))
    _, reports = train_all(correction_run(digits, phase), tmp_path)
    for turn in ("accuracy/turn1", "accuracy/turn2"):
        before, after = (sum(r.metrics[turn] for r in some) / 5 for some in (reports[:5], reports[-5:]))
        assert after > before + 0.15, turn


@pytest.mark.parametrize("objective", [GRPO(), GRPO(std=False, length="constant", constant_length=8, kl_weight=0.01)])
def test_group_relative_rl_on_single_attempts_raises_what_is_rewarded(objective: Any, digits: Path, tmp_path: Path):
    phase = correcting(objective, 25, turns=1, verifier=NextDigit(even=True))
    _, reports = train_all(correction_run(digits, phase), tmp_path)
    before, after = (sum(r.metrics["accuracy/turn1"] for r in some) / 5 for some in (reports[:5], reports[-5:]))
    assert after > before + 0.15


@pytest.mark.parametrize("objective", [STaR(plus=True), PairSFT(), SingleTurn()])
def test_the_baselines_run_on_the_same_episodes(objective: Any, digits: Path, tmp_path: Path):
    _, reports = train_all(correction_run(digits, correcting(objective, 2)), tmp_path)
    assert len(reports) == 2 and reports[0].metrics["tokens/trained"] > 0


def test_a_stage_may_end_by_how_much_corrections_gain(digits: Path, tmp_path: Path):
    rule = WhenAbove("correction/delta", -1.0, window=3, at_most=50)
    _, reports = train_all(correction_run(digits, correcting(StageOne(), until=rule), correcting()), tmp_path)
    assert [report.progress.phase for report in reports] == [0, 0, 0, 1, 1, 1, 1]


def test_a_collapse_into_copies_stops_the_run(digits: Path, tmp_path: Path):
    alarm = Limit("correction/change_rate", below=1.1, window=2)
    with pytest.raises(RunStopped, match=r"correction/change_rate is .* below its limit.*a checkpoint of step 2"):
        train_all(correction_run(digits, limits=(alarm,)), tmp_path)


def test_a_collapse_may_be_told_and_the_run_goes_on(digits: Path, tmp_path: Path):
    alarm = Limit("correction/change_rate", below=1.1, window=2, why="copies", stops=False)
    session, _ = train_all(correction_run(digits, limits=(alarm,)), tmp_path)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (told,) = [event for event in events if event["event"] == "limit"]
    assert session.is_complete and told["step"] == 2 and told["told"].endswith("below its limit of 1.1: copies")


def test_rewards_that_are_all_zero_stop_the_run_with_advice(digits: Path, tmp_path: Path):
    hopeless = correcting(steps=10, max_new_tokens=1)
    run = correction_run(digits, hopeless, max_untaught=3)
    with pytest.raises(
        RunStopped, match=r"in 3 steps.*all rewards are zero: take easier problems.*were cut off"
    ) as stop:
        train_all(run, tmp_path)
    assert "held no answer" in str(stop.value)


def test_rewards_that_are_all_one_get_other_advice():
    told = nothing_taught(correcting(), 7, {"episodes/all_zero": 0.5})
    assert "in 7 steps" in told and "take harder problems, or more episodes of each" in told


def test_a_verifier_that_fails_too_often_stops_the_run_before_it_learns(digits: Path, tmp_path: Path):
    phase = correcting(verifier=NextDigit(broken=True), max_new_tokens=20)
    with pytest.raises(RunStopped, match=r"the verifier abstained on \d+% of the attempts.*the sandbox is gone"):
        train_all(correction_run(digits, phase, max_abstained=0.3), tmp_path)
    assert Ring(tmp_path / "ring", 0).get(0) is None, "what was not verified is not recorded"


def test_an_abstention_now_and_then_does_not_stop_it(digits: Path, tmp_path: Path):
    phase = correcting(verifier=NextDigit(silent=("3", "4", "5")))
    _, reports = train_all(correction_run(digits, phase), tmp_path)
    assert len(reports) == 4 and 0 < sum(report.metrics["abstained/verifier"] for report in reports) < 1.2


def test_problems_left_out_are_told(digits: Path, tmp_path: Path):
    session, _ = train_all(correction_run(digits, correcting(problems=Digits(broken=3), steps=1)), tmp_path)
    assert session.stream_counts() == {"problems_without_an_answer": 3}
    assert '"problems_without_an_answer": 3' in (tmp_path / "events.jsonl").read_text()


def test_verifiers_are_closed_at_the_end_of_every_phase(digits: Path, tmp_path: Path):
    OPENED.clear()
    train_all(correction_run(digits, correcting(steps=1), correcting(steps=1)), tmp_path)
    assert OPENED == ["open", "closed"] * 2


def test_a_run_survives_its_file(digits: Path, tmp_path: Path):
    run = resumable_correction(digits)
    save_run(run, tmp_path / "run.yaml")
    assert load_run(tmp_path / "run.yaml", ("tests.correction.parts",)) == run
    assert "NoDocuments" in (tmp_path / "run.yaml").read_text()


def test_a_phase_that_mixes_tasks_is_refused():
    rate: Any = correcting().learning_rate
    with pytest.raises(ValueError, match="leave sources out"):
        correcting(sources=(SuffixSource(),))
    with pytest.raises(ValueError, match="leave taught_share out"):
        correcting(taught_share=0.5)
    with pytest.raises(ValueError, match="NTP does not learn from episodes"):
        Phase(NTP(), Steps(1), rate, task=task())
    with pytest.raises(ValueError, match="StageTwo does not learn from judged pools"):
        Phase(StageTwo(), Steps(1), rate)


def test_a_run_without_documents_is_refused_where_a_phase_reads_them(digits: Path):
    plain = Phase(NTP(), Steps(1), correcting().learning_rate)
    with pytest.raises(ValueError, match="phase 1 reads documents, but there are none"):
        correction_run(digits, correcting(), plain)


def test_records_of_runs_from_before_there_were_episodes_are_replayed(digits: Path, tmp_path: Path):
    from tutelage.draws import record_of, replayed

    _, reports = train_all(correction_run(digits, correcting(steps=1)), tmp_path)
    take = reports[0].take
    assert replayed(*record_of(take)).episodes == take.episodes
    assert replayed(*record_of(take)[:4]).episodes == ()


def test_the_doctor_looks_at_problems_and_verifier(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "250")
    for changes, told in (({}, "10 to ask"), ({"problems": Digits(0, 2)}, "2 problems_without_an_answer")):
        save_run(correction_run(digits, correcting(**changes)), tmp_path / "run.yaml")
        main(["doctor", str(tmp_path / "run.yaml"), "--import", "tests.correction.parts"])
        out = capsys.readouterr().out
        assert told in out and "NextDigit can be started" in out


def test_a_plan_counts_attempts_their_tokens_and_the_verifiers_calls(digits: Path):
    rule = WhenAbove("correction/delta", 0.5, at_most=3)
    phases = (correcting(StageOne(), until=rule), correcting(until=StepsOfRun(10), episodes=5))
    run = correction_run(digits, *phases)
    plan = plan_run(run, run.tokenizer.build(), Rates({"rollout": 100.0}))
    roles = {role.role: role for role in plan.roles}
    attempts = 3 * 4 * 6 * 2 + 7 * 4 * 5 * 2  # updates × problems × episodes × turns
    assert (plan.steps, plan.documents) == (10, 40)
    assert roles["rollout"].calls == roles["verifier"].calls == attempts
    assert roles["rollout"].written == attempts * 8 and roles["rollout"].gpu_hours == attempts * 8 / 100 / 3600
    # "next 3", then of each episode two attempts of at most 8 tokens, the end of one that was cut off, and "again"
    assert roles["train"].written == 3 * 4 * (2 + 6 * 18) + 7 * 4 * (2 + 5 * 18)
    assert plan.notes == ("phase 0 ends by a measured rule; told are its 3 at most",)


def test_held_out_problems_are_measured_while_it_trains(digits: Path, tmp_path: Path):
    fixed = tmp_path / "attempts.jsonl"
    fixed.write_text("".join(json.dumps({"problem": f"digit-{i}", "attempt": f" {i}"}) + "\n" for i in range(10)))
    own = HeldOutCorrections(task(), problems=100)
    theirs = HeldOutCorrections(task(first_attempts=FirstAttempts(str(fixed), 1.0)), temperature=1.0, name="fixed")
    evaluations = (Evaluation(own, every=2), Evaluation(theirs, every=2))
    _, reports = train_all(correction_run(digits, correcting(steps=3), evaluations=evaluations), tmp_path / "run")
    assert "evaluation/held_out/correction/delta" not in reports[0].metrics
    for report in reports[1:]:
        assert report.metrics["evaluation/fixed/accuracy/turn1"] == 0.0, "a digit is not the next one"
        assert report.metrics["evaluation/fixed/episodes/offline"] == 1.0
        assert report.metrics["evaluation/held_out/episodes/offline"] == 0.0
        assert report.metrics["evaluation/held_out/accuracy/turn1"] * 10 % 1 == pytest.approx(0.0, abs=1e-9)


def test_a_file_of_first_attempts_that_changed_is_noticed_on_resume(digits: Path, tmp_path: Path):
    fixed = tmp_path / "attempts.jsonl"
    fixed.write_text('{"problem": "digit-1", "attempt": " 2"}\n')
    run = correction_run(digits, correcting(steps=1, first_attempts=FirstAttempts(str(fixed))))
    train_all(run, tmp_path / "run")
    fixed.write_text('{"problem": "digit-1", "attempt": " 3"}\n')
    with pytest.raises(ResumeRefused, match="first attempts of phase 0"):
        train_all(run, tmp_path / "run")


def test_files_from_before_there_were_tasks_still_load(digits: Path):
    run = Run(
        phases=(Phase(NTP(), Steps(1), correcting().learning_rate),),
        stream=TextStream((Corpus("somewhere"),)),
        tokenizer=Tokenizer(str(digits)),
        model=FromConfig(),
    )
    plain: Any = to_plain(run)
    for phase in plain["phases"]:
        assert phase.pop("task") == {"class": "tutelage.experience.SuffixTask"}
    assert from_plain(Run, plain) == run
