import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.commands import parts
from tests.tiny import plain_run, tiny_phase, tiny_run

from tutelage import state
from tutelage.cli import main
from tutelage.commands import train as train_commands
from tutelage.config import dump_yaml, to_plain
from tutelage.run import Run, save_run
from tutelage.study import Job, Study, Train
from tutelage.trackers import read_metrics

WORDS = ["--import", parts.NAME, "--import", "tests.tiny"]
ROOT = Path(__file__).resolve().parents[2]


def steps_of(directory: Path) -> list[int]:
    return [row["step"] for row in read_metrics(directory / "metrics.jsonl")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_a_checkpoint_and_the_same_command_goes_on(
    number: signal.Signals, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tiny_run(tokenizer, tiny_phase(steps=5), trackers=(parts.SignalAt(2, number),))
    save_run(run, tmp_path / "run.yaml")
    command = ["train", str(tmp_path / "run.yaml"), "--directory", str(tmp_path / "out"), *WORDS]
    before = signal.getsignal(number)
    assert main(command) == 128 + number
    assert signal.getsignal(number) is before
    told = capsys.readouterr().err
    assert "checkpoint of step 2" in told and "Resume with the same command" in told and "Traceback" not in told
    assert state.steps(tmp_path / "out" / "checkpoints") == [2]
    assert main(command) == 0
    assert "Going on from step 2" in capsys.readouterr().err
    assert steps_of(tmp_path / "out") == [1, 2, 3, 4, 5]
    assert (tmp_path / "out" / "hf" / "model.safetensors").is_file()


def test_a_directory_of_another_run_is_refused_naming_the_field(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["train", str(run_file), "--directory", str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--objective.beta", "0.7"]) == 1
    assert "objective.beta is 0.1, not 0.7" in capsys.readouterr().err
    assert main(command) == 0  # the lock is free again


def test_a_broken_limit_is_told_without_a_traceback(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from tutelage.phases import Limit

    save_run(plain_run(tokenizer, limits=(Limit("loss/total", below=100.0),)), tmp_path / "run.yaml")
    command = ["train", str(tmp_path / "run.yaml"), "--directory", str(tmp_path / "out")]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "below its limit" in told and "not foreseen" not in told


def test_a_run_without_a_directory_goes_to_runs_and_its_name(
    recipes: Callable[..., None], tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipes(small=parts.small)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "small", "--tokenizer", str(tokenizer), "--preset", "smaller"]) == 0
    assert steps_of(tmp_path / "runs" / "small-smaller") == [1, 2]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ((3, 1), "Going on in runs/both: 3 of 4 jobs are done, 1 was begun\n"),
        ((1, 0), "Going on in runs/both: 1 of 4 jobs is done\n"),
        ((0, 0), ""),
    ],
)
def test_a_study_says_from_where_it_goes_on(
    standing: tuple[int, int], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(train_commands, "found", lambda *_: standing)
    monkeypatch.setattr(train_commands, "execute", lambda *_: None)
    jobs = tuple(Job(f"job-{i}", parts.Write("x")) for i in range(4))
    train_commands.execute_study(Study(name="both", jobs=jobs), Path("runs/both"))
    assert capsys.readouterr().err == words


def started(words: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tutelage", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def endless(run: Run) -> Run:
    return replace(run, phases=(replace(run.phases[0], until=tiny_phase(steps=100_000).until),))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "to_group"),
    [(signal.SIGTERM, False), pytest.param(signal.SIGINT, True, marks=pytest.mark.slow)],
    ids=["terminate", "ctrl-c"],
)
def test_a_signal_ends_a_study_whose_workers_write_their_checkpoints(
    number: signal.Signals, to_group: bool, tokenizer: Path, tmp_path: Path
):
    jobs = tuple(Job(name, Train(endless(plain_run(tokenizer, name=name)))) for name in ("one", "two"))
    (tmp_path / "study.yaml").write_text(dump_yaml(to_plain(Study(name="both", jobs=jobs))))
    out = tmp_path / "out"
    process = started(["train", str(tmp_path / "study.yaml"), "--directory", str(out)])
    try:
        wait_for(lambda: all(lines_of(out / name / "metrics.jsonl") >= 3 for name in ("one", "two")))
        workers = children_of(process.pid)
        # A terminal's Ctrl-C goes to every process of the group: workers must not be asked twice.
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Resume with the same command" in told and "Traceback" not in told
    assert all(state.steps(out / name / "checkpoints") for name in ("one", "two"))
    assert len(workers) >= 2
    wait_for(lambda: not any(is_alive(worker) for worker in workers), 10.0)


@pytest.mark.slow
def test_a_study_ends_with_all_its_jobs_done(tokenizer: Path, tmp_path: Path):
    (tmp_path / "study.yaml").write_text(dump_yaml(to_plain(parts.several(str(tokenizer)))))
    command = ["train", str(tmp_path / "study.yaml"), "--directory", str(tmp_path / "out"), *WORDS]
    process = started([*command, "--text", "written"])
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "3 of 3 jobs" in told and "Done." in told
    assert (tmp_path / "out" / "note" / "note.txt").read_text() == "written"
    assert steps_of(tmp_path / "out" / "taught") == [1, 2, 3]


@pytest.mark.slow
def test_two_ranks_train_under_torchrun_and_one_of_them_speaks(tokenizer: Path, tmp_path: Path):
    save_run(plain_run(tokenizer, 3), tmp_path / "run.yaml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tutelage"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [*command, "train", str(tmp_path / "run.yaml"), "--directory", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("Done. The model is in") == 1
    assert steps_of(tmp_path / "out") == [1, 2, 3]
    assert json.loads((tmp_path / "out" / "events.jsonl").read_text().splitlines()[-1])["event"] == "finished"
