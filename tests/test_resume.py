"""A run that was killed ends as if it had not been: weights, metrics and samples bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import Outcome, outcome, resumable_run, tiny_phase, tiny_run, train_all

from tutelage import state
from tutelage.loop import train
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.ranks import OneRank
from tutelage.record import Ring
from tutelage.run import Checkpointing, Run
from tutelage.samples import SampleWriter
from tutelage.session import RunSession
from tutelage.signals import asking
from tutelage.sources import PolicyRollouts
from tutelage.trackers import JsonLines
from tutelage.types import Judgement, Pool, Scored
from tutelage.worlds.facts.judge import Oracle


@pytest.fixture(scope="module")
def uninterrupted(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    directory = tmp_path_factory.mktemp("uninterrupted")
    train_all(resumable_run(tiny_tokenizer), directory)
    return outcome(directory)


@pytest.fixture(scope="module")
def queued(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The same with pools judged while the next ones are sampled."""
    directory = tmp_path_factory.mktemp("queued")
    train_all(resumable_run(tiny_tokenizer, depth=1), directory)
    return outcome(directory)


def test_the_run_that_is_killed_below_exercises_everything(uninterrupted: Outcome):
    names = {name for row in uninterrupted.metrics for name in row}
    assert {"loss/dpo", "loss/ntp", "loss/nll", "evaluation/held_out_nll", "chosen/rollout", "dpo/margin"} <= names
    roles = {row["role"] for row in uninterrupted.samples}
    sources = {row["source"] for row in uninterrupted.samples}
    assert roles == {"", "chosen", "rejected"} and sources == {"suffix", "rewrite", "rollout"}
    assert [row["step"] for row in uninterrupted.metrics] == list(range(1, 17))
    written = {row["step"] for row in uninterrupted.samples if row["text"] is not None}
    assert written < {2, 4, 6, 8, 10, 12, 14, 16} and max(written) > 6, "the budget of text ends within the run"


def test_the_run_with_a_queue_that_is_killed_below_drops_a_proposal_at_the_end_of_a_phase(queued: Outcome):
    ages = [row["rollout/staleness"] for row in queued.metrics]
    assert ages == [0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1], "the seventh step is the second phase's first"
    assert [row["step"] for row in queued.metrics if "dpo/nll" in row] == list(range(1, 7))


class Killed(BaseException):
    """Stands for the end of the process."""


SLOW = pytest.mark.slow
CRASHES = [
    pytest.param(Ring, "put", 1, marks=SLOW),
    (Ring, "put", 5),
    pytest.param(JsonLines, "log", 5, marks=SLOW),
    (SampleWriter, "flush", 2),
    (state, "save_file", 5),
    pytest.param(state, "_remove", 4, marks=SLOW),
    pytest.param(Ring, "keep", 3, marks=SLOW),
    (RunSession, "_leave", 1),
    pytest.param(Policy, "save_hf", 1, marks=SLOW),
]


QUEUED_CRASHES = [
    pytest.param(Ring, "put", 2, marks=SLOW),
    (Ring, "put", 4),  # what is pending as the first checkpoint begins
    pytest.param(Ring, "put", 5, marks=SLOW),
    pytest.param(Oracle, "judge", 1, marks=SLOW),
    (Oracle, "judge", 6),  # in the background, and the last that is not dropped
    pytest.param(Oracle, "judge", 3, marks=SLOW),
    pytest.param(PolicyRollouts, "propose", 6, marks=SLOW),
    pytest.param(SampleWriter, "flush", 2, marks=SLOW),
    (state, "save_file", 5),
    pytest.param(state, "save_file", 8, marks=SLOW),
    pytest.param(state, "_remove", 4, marks=SLOW),
    pytest.param(Ring, "keep", 3, marks=SLOW),
    pytest.param(RunSession, "_leave", 1, marks=SLOW),
]


@pytest.mark.parametrize(("holder", "name", "call"), CRASHES)
def test_a_run_that_breaks_off_anywhere_goes_on_to_the_same_end(
    holder: Any,
    name: str,
    call: int,
    tiny_tokenizer: Path,
    tmp_path: Path,
    uninterrupted: Outcome,
    monkeypatch: pytest.MonkeyPatch,
):
    break_off(resumable_run(tiny_tokenizer), tmp_path, holder, name, call, monkeypatch)
    train_all(resumable_run(tiny_tokenizer), tmp_path)
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize(("holder", "name", "call"), QUEUED_CRASHES)
def test_a_run_with_a_queue_that_breaks_off_anywhere_goes_on_to_the_same_end(
    holder: Any,
    name: str,
    call: int,
    tiny_tokenizer: Path,
    tmp_path: Path,
    queued: Outcome,
    monkeypatch: pytest.MonkeyPatch,
):
    break_off(resumable_run(tiny_tokenizer, depth=1), tmp_path, holder, name, call, monkeypatch)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("judges")] == []
    train_all(resumable_run(tiny_tokenizer, depth=1), tmp_path)
    assert outcome(tmp_path) == queued


@pytest.mark.slow
@pytest.mark.parametrize("call", [4, 5, 11, 14])
def test_a_run_with_a_deeper_queue_goes_on_to_the_same_end(
    call: int, tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = resumable_run(tiny_tokenizer, depth=3)
    train_all(run, tmp_path / "whole")
    break_off(run, tmp_path / "killed", Ring, "put", call, monkeypatch)
    train_all(run, tmp_path / "killed")
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def break_off(run: Run, directory: Path, holder: Any, name: str, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a function is called for the ``call``-th time, and end there."""
    real, seen = getattr(holder, name), [0]

    def breaking(*positional: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == call:
            raise Killed
        return real(*positional, **named)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, breaking)
        with pytest.raises(Killed):
            train_all(run, directory)


def kill(tokenizer: Path, folder: Path, jobs: list[dict[str, Any]], depth: int) -> list[int]:
    """Run the jobs in order in a process of their own; how each ended."""
    (folder / "jobs.json").write_text(
        json.dumps([{**job, "directory": str(folder / job["directory"]), "depth": depth} for job in jobs])
    )
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.resume_worker", str(tokenizer), str(folder / "jobs.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("depth", [0, 1])
def test_a_run_killed_in_a_checkpoint_and_again_ends_bit_equal(depth: int, tiny_tokenizer: Path, tmp_path: Path):
    jobs: list[dict[str, Any]] = [
        {"directory": "whole"},
        {"directory": "killed", "call": "tutelage.state.save_file", "number": 8},
        {"directory": "killed", "after": 0.4},
        {"directory": "killed"},
    ]
    assert kill(tiny_tokenizer, tmp_path, jobs, depth) == [0, -9, -9, 0]
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


POINTS = ("state.save_file", "state._sync_and_digest", "state._sync_folder", "state.prune", "record.write_atomically")


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1])
def test_runs_killed_at_random_points_and_again_end_bit_equal(depth: int, tiny_tokenizer: Path, tmp_path: Path):
    dice = random.Random(20260)
    jobs: list[dict[str, Any]] = [{"directory": "whole"}]
    names = [f"killed-{i}" for i in range(16)]
    for i, name in enumerate(names):
        point = {"call": f"tutelage.{dice.choice(POINTS)}", "number": dice.randint(1, 12)}
        kills = [{"after": dice.random()}, {"after": 0.7 * dice.random()} if i % 2 else point]
        jobs += [{"directory": name, **death} for death in kills] + [{"directory": name}]
    ends = kill(tiny_tokenizer, tmp_path, jobs, depth)
    assert ends[0] == 0 and ends[3::3] == [0] * len(names)
    assert ends.count(-9) >= len(names)
    whole = outcome(tmp_path / "whole")
    assert [name for name in names if outcome(tmp_path / name) != whole] == []


@pytest.mark.parametrize("depth", [0, 1])
def test_a_request_to_stop_writes_a_checkpoint_and_the_run_goes_on_from_there(
    depth: int, tiny_tokenizer: Path, tmp_path: Path, request: pytest.FixtureRequest
):
    run = resumable_run(tiny_tokenizer, depth)
    before = signal.getsignal(signal.SIGTERM)
    session = RunSession(run, tmp_path, OneRank())
    steps: list[int] = []
    with asking(session.stop) as seen:
        for report in train(session):
            steps.append(report.progress.step)
            if report.progress.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
    assert seen == [signal.SIGTERM] and signal.getsignal(signal.SIGTERM) == before
    assert steps == [1, 2, 3, 4, 5] and not session.is_complete and not (tmp_path / "hf").exists()
    assert state.steps(tmp_path / "checkpoints")[-1] == 5
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("judges")] == []
    session, reports = train_all(run, tmp_path)
    assert session.is_complete and reports[0].progress.step == 6
    assert outcome(tmp_path) == request.getfixturevalue("queued" if depth else "uninterrupted")


def test_a_run_stopped_before_its_first_step_can_be_resumed(
    tiny_tokenizer: Path, tmp_path: Path, uninterrupted: Outcome
):
    session = RunSession(resumable_run(tiny_tokenizer), tmp_path, OneRank())
    session.stop()
    assert list(train(session)) == [] and state.steps(tmp_path / "checkpoints") == [0]
    train_all(resumable_run(tiny_tokenizer), tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_training_a_finished_run_again_changes_nothing(tiny_tokenizer: Path, tmp_path: Path, uninterrupted: Outcome):
    train_all(resumable_run(tiny_tokenizer), tmp_path)
    session, reports = train_all(resumable_run(tiny_tokenizer), tmp_path)
    assert session.is_complete and reports == [] and outcome(tmp_path) == uninterrupted


ASKED: list[int] = []


@dataclass(frozen=True)
class FickleJudge:
    """Answers otherwise whenever it is asked."""

    def build(self, resources: Resources) -> "FickleJudge":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        ASKED.append(len(pools))
        dice = random.Random(len(ASKED))
        return [(Judgement("whim", tuple(Scored(dice.random()) for _ in pool.candidates)),) for pool in pools]


def fickle(tokenizer: Path, depth: int = 0) -> Any:
    phase = tiny_phase(judges=(FickleJudge(),), steps=6, queue_depth=depth)
    return tiny_run(tokenizer, phase, checkpoint=Checkpointing(every=4))


def test_recorded_verdicts_are_replayed_and_the_judge_is_not_asked_again(
    tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ASKED.clear()
    train_all(fickle(tiny_tokenizer), tmp_path / "whole")
    assert len(ASKED) == 6
    ASKED.clear()
    session = RunSession(fickle(tiny_tokenizer), tmp_path / "killed", OneRank())
    for report in train(session):
        if report.progress.step == 3:
            break
    session.close()
    assert len(ASKED) == 3 and not (tmp_path / "killed" / "checkpoints").exists()
    train_all(fickle(tiny_tokenizer), tmp_path / "killed")
    assert len(ASKED) == 6
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_verdicts_that_were_pending_at_a_checkpoint_are_part_of_it(tiny_tokenizer: Path, tmp_path: Path):
    ASKED.clear()
    run = fickle(tiny_tokenizer, depth=1)
    train_all(run, tmp_path / "whole")
    assert len(ASKED) == 6
    ASKED.clear()
    session = RunSession(run, tmp_path / "killed", OneRank())
    steps = train(session)
    for report in steps:
        if report.progress.step == 4:
            break
    assert state.steps(tmp_path / "killed" / "checkpoints") == [4]
    steps.close()
    assert Ring(tmp_path / "killed" / "ring", 0).get(4) is not None and len(ASKED) == 5
    train_all(run, tmp_path / "killed")
    assert len(ASKED) == 6
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("depth", [0, 1])
def test_a_torn_record_is_drawn_again(depth: int, tiny_tokenizer: Path, tmp_path: Path, request: pytest.FixtureRequest):
    run = resumable_run(tiny_tokenizer, depth)
    session = RunSession(run, tmp_path, OneRank())
    for report in train(session):
        if report.progress.step == 5:
            break
    session.close()
    record = Ring(tmp_path / "ring", 0).path(4)
    record.write_bytes(record.read_bytes()[:-10])
    train_all(run, tmp_path)
    assert outcome(tmp_path) == request.getfixturevalue("queued" if depth else "uninterrupted")
    assert "redrawn" not in (tmp_path / "events.jsonl").read_text()


def test_a_torn_record_of_what_was_pending_is_drawn_by_the_policy_as_it_is_and_told(
    tiny_tokenizer: Path, tmp_path: Path
):
    run = resumable_run(tiny_tokenizer, depth=1)
    session = RunSession(run, tmp_path, OneRank())
    for report in train(session):
        if report.progress.step == 3:
            break
    session.close()
    Ring(tmp_path / "ring", 0).path(3).unlink()
    _, reports = train_all(run, tmp_path)
    assert [r.metrics["rollout/staleness"] for r in reports] == [0, 1, 1, 0, *[1] * 8]
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "redrawn"] == [3]


def test_what_does_not_decide_what_is_learnt_may_change_on_resume(
    tiny_tokenizer: Path, tmp_path: Path, uninterrupted: Outcome
):
    session = RunSession(resumable_run(tiny_tokenizer), tmp_path, OneRank())
    for report in train(session):
        if report.progress.step == 7:
            break
    session.close()
    changed = replace(resumable_run(tiny_tokenizer), name="other", checkpoint=Checkpointing(every=5, keep_every=5))
    train_all(changed, tmp_path)
    assert outcome(tmp_path) == uninterrupted and state.steps(tmp_path / "checkpoints") == [10, 15, 16]
