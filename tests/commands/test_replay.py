import hashlib
import os
import shutil
from pathlib import Path

import pytest
from tests.tiny import LengthJudge, tiny_phase, tiny_run, train_all

from tutelage.cli import main
from tutelage.commands.replay import SHOWN, Trainer, takes
from tutelage.loop import StepReport
from tutelage.phases import WhenAbove
from tutelage.record import Ring, read_record, record_files
from tutelage.run import Checkpointing, load_run
from tutelage.trackers import read_metrics


def digests(directory: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(f): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in files}


def replayed(directory: Path, step: int) -> StepReport:
    took = takes(directory, step)
    trainer = Trainer.at(load_run(directory / "run.yaml"), directory, step - len(took))
    return [trainer.learn(take) for take in took][-1]


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith(SHOWN)}


def test_a_replayed_step_gives_what_was_recorded_and_writes_nothing(finished: Path, capsys: pytest.CaptureFixture[str]):
    before = digests(finished)
    assert main(["replay", str(finished), "--step", "6", "--limit", "2"]) == 0
    told = capsys.readouterr()
    assert "Replaying 1 steps from the checkpoint of step 4" in told.err
    assert "loss/total" in told.out and "policy/gradient_norm" in told.out
    lines = [line for line in told.out.splitlines() if "│" in line]
    assert len(lines) > 8 and all("the same" in line for line in lines)
    assert "chosen" in told.out and "rejected" in told.out and "2 of 4 pools" in told.out
    assert digests(finished) == before


def test_steps_are_replayed_in_order_over_phases_references_and_plain_documents(phased: Path):
    recorded = read_metrics(phased / "metrics.jsonl")
    trainer = Trainer.at(load_run(phased / "run.yaml"), phased, 0)
    assert len(recorded) > 10
    for row, take in zip(recorded, takes(phased, len(recorded)), strict=True):
        report = trainer.learn(take)
        assert numbers(dict(report.metrics)) == numbers(row)
        assert report.progress.step == row["step"]
    assert trainer.progress.phase == 1


def test_a_measured_rule_does_not_see_the_phase_before(tokenizer: Path, tmp_path: Path):
    rule = WhenAbove("pool/taught", 0.0, window=2, at_most=50)
    phases = (tiny_phase(judges=(LengthJudge(),), until=rule), tiny_phase(judges=(LengthJudge(),), until=rule))
    run = tiny_run(tokenizer, *phases)
    _, reports = train_all(run, tmp_path)
    trainer = Trainer.at(run, tmp_path, 0)
    replayed = [trainer.learn(take) for take in takes(tmp_path, 4)]
    assert [r.progress for r in replayed] == [r.progress for r in reports]


def test_show_and_replay_mean_the_same_step(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(finished), "--step", "5", "--limit", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()[0].split(" · ")[1]
    assert main(["replay", str(finished), "--step", "5", "--limit", "1"]) == 0
    assert f"{shown}: a pair" in capsys.readouterr().out


def test_the_records_of_all_ranks_make_one_step(finished: Path, tmp_path: Path):
    alone = replayed(finished, 6)
    shutil.copytree(finished, tmp_path / "run")
    ring = tmp_path / "run" / "ring"
    for number in (4, 5):
        judged, plain, cursor, version = read_record(Ring(ring, 0).path(number))
        Ring(ring, 0, 2).put(number, (judged[:1], plain, cursor, version))
        Ring(ring, 1, 2).put(number, (judged[1:], plain, cursor, version))
        Ring(ring, 0).path(number).unlink()
    together = replayed(tmp_path / "run", 6)
    assert dict(together.metrics)["loss/total"] == pytest.approx(alone.metrics["loss/total"], rel=1e-5)
    Ring(ring, 1, 2).path(5).unlink()
    with pytest.raises(ValueError, match="record of step 6 is gone"):
        takes(tmp_path / "run", 6)


def test_of_several_numbers_of_ranks_those_that_recorded_last_are_replayed(finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    ring = tmp_path / "run" / "ring"
    judged, *rest = read_record(Ring(ring, 0).path(5))
    os.utime(Ring(ring, 0).path(5), (1, 1))
    for rank in (0, 1):
        Ring(ring, rank, 2).put(5, (judged[2 * rank + 1 : 2 * rank + 2], *rest))
    assert [len(take.judged) for take in takes(tmp_path / "run", 6)] == [4, 2]
    os.utime(Ring(ring, 0, 2).path(5), (0, 0))
    assert [len(take.judged) for take in takes(tmp_path / "run", 6)] == [4, 4]


def test_a_record_that_is_gone_or_torn_is_explained(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", str(finished), "--step", "9"]) == 1
    assert "record of step 7 is gone. What can be replayed: steps 1–6." in capsys.readouterr().err
    shutil.copytree(finished, tmp_path / "run")
    Ring(tmp_path / "run" / "ring", 0).path(4).write_bytes(b"torn")
    assert main(["replay", str(tmp_path / "run"), "--step", "6"]) == 1
    told = capsys.readouterr().err
    assert "record of step 5 cannot be read" in told and "What can be replayed: steps 1–4." in told
    assert main(["replay", str(tmp_path / "run"), "--step", "0"]) == 1
    assert "counted from 1" in capsys.readouterr().err


def test_a_checkpoint_that_is_gone_is_explained(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    Ring(tmp_path / "run" / "ring", 0).path(0).unlink()
    assert main(["replay", str(tmp_path / "run"), "--step", "6"]) == 1
    told = capsys.readouterr().err
    assert "no checkpoint before it is left" in told and "checkpoint.keep_last" in told
    assert "No step of this run can be replayed" in told  # the records that are left lead nowhere


def test_what_is_kept_of_a_finished_run_can_be_replayed(tokenizer: Path, tmp_path: Path):
    settings = Checkpointing(every=2, keep_last=1, replay_steps=3)
    train_all(tiny_run(tokenizer, tiny_phase(steps=8), checkpoint=settings), tmp_path)
    assert [file.step for file in record_files(tmp_path / "ring")] == [0, 1, 2]
    recorded = read_metrics(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        assert numbers(dict(replayed(tmp_path, step).metrics)) == numbers(recorded[step - 1])
    with pytest.raises(ValueError, match="What can be replayed: steps 1–3"):
        takes(tmp_path, 4)


def test_records_are_kept_behind_every_checkpoint_that_is_kept():
    settings = Checkpointing(every=10, keep_last=2, keep_every=100, replay_steps=2)
    assert settings.records([100, 120, 130], 132) == {0, 1, 100, 101, *range(120, 133)}
    assert settings.records([], 3) == {0, 1, 2, 3}
