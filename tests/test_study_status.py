"""How far a study is, and how long it has to go, by a clock that the test turns."""

import json
from pathlib import Path

import pytest

from tutelage.study import Job, Train
from tutelage.study_status import LEAST_SECONDS, Clock, StudyStatus


class Watched:
    """A study of two jobs of equal effort, whose metrics and time the test makes."""

    def __init__(self, directory: Path, run: Train) -> None:
        self.directory = directory
        self.time = 1000.0
        self.jobs = (Job("first", run, effort=10.0), Job("second", run, ("first",), effort=10.0))

    def begin(self) -> None:
        self.clock = Clock(self.jobs, self.directory, lambda: self.time)

    def write(self, steps: range, job: str = "first", checkpoint: int | None = None) -> None:
        """All of a job's metrics, at a hundredth of it a step."""
        (self.directory / job).mkdir(exist_ok=True)
        lines = [json.dumps({"step": step, "run/share": step / 100, "at": self.time}) + "\n" for step in steps]
        (self.directory / job / "metrics.jsonl").write_text("".join(lines))
        if checkpoint is not None:
            path = self.directory / job / "checkpoints" / f"step-{checkpoint:08d}"
            path.mkdir(parents=True)
            (path / "state.json").touch()

    def at(self, time: float, *, done: tuple[str, ...] = (), running: str = "first") -> StudyStatus:
        self.time = 1000.0 + time
        return self.clock.status(set(done), {running})


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    from tests.tiny import plain_run

    return Watched(tmp_path, Train(plain_run(tmp_path, 2)))


def test_the_time_to_go_is_by_real_steps_of_late_and_not_told_at_once(watched: Watched):
    watched.begin()
    assert watched.at(60.0).eta is None, "a minute of loading says nothing"
    for second in range(61, 101):
        watched.write(range(1, second - 59))  # a step a second
        status = watched.at(second)
        assert (status.eta is None) == (second - 61 < LEAST_SECONDS)
    assert status.share == pytest.approx(0.2)
    assert status.eta == pytest.approx(160.0, rel=1e-6), "160 steps, at a step a second"
    for second in range(101, 301):  # a step in ten seconds from here on
        watched.write(range(1, 41 + (second - 100) // 10))
        status = watched.at(second)
    assert status.eta == pytest.approx(1400.0, rel=0.1), "the fast steps are long past"


def test_a_resumed_job_counts_from_its_checkpoint_and_shows_nothing_before_its_first_step(watched: Watched):
    watched.write(range(1, 60), checkpoint=50)
    watched.begin()
    before = watched.at(1.0)
    assert before.share == pytest.approx(0.25) and not before.jobs[0].numbers, "the metrics of step 59 are not true yet"
    watched.write(range(1, 51))  # dropped after the checkpoint
    assert watched.at(30.0) == StudyStatus(before.jobs, before.share, 30.0, None)
    watched.write(range(1, 52))
    after = watched.at(31.0)
    assert after.share == pytest.approx(0.255) and after.jobs[0].numbers["step"] == 51 and after.eta is None
    watched.write(range(1, 82))
    assert watched.at(61.0).eta == pytest.approx(119.0), "neither the loading nor the old steps are in the pace"


def test_a_stopped_job_without_a_checkpoint_counts_from_nothing(watched: Watched):
    watched.write(range(1, 101))
    watched.begin()
    assert watched.at(1.0).share == 0.0
    watched.write(range(1, 3))
    assert watched.at(2.0).share == pytest.approx(0.01)


def test_a_job_that_was_done_before_does_not_count_for_the_pace(watched: Watched):
    watched.begin()
    assert watched.at(100.0, done=("first",), running="second").eta is None
    watched.write(range(1, 2), "second")
    watched.at(101.0, done=("first",), running="second")
    watched.write(range(1, 32), "second")
    assert watched.at(131.0, done=("first",), running="second").eta == pytest.approx(69.0)
