"""Jobs with dependencies: in order, once each, resumable, and stopped with words."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.study_works import Fail, Interrupt, Note
from tests.tiny import plain_run

from tutelage import study as studies
from tutelage.study import Job, Study, StudyStopped, Train, execute, found
from tutelage.study_status import StudyStatus, last_metrics

IMPORTS = ("tests",)


class HerePool(ProcessPoolExecutor):
    """Stands for the process pool: every job runs at once, in this process."""

    def __init__(self, workers: int, context: object, initializer: object, arguments: object) -> None: ...

    def submit(self, function: Callable[..., bool], *positional: Any) -> "Future[bool]":  # pyright: ignore[reportIncompatibleMethodOverride]
        future: Future[bool] = Future()
        try:
            future.set_result(function(*positional))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(studies, "ProcessPoolExecutor", HerePool)
    yield


def ran(directory: Path) -> list[str]:
    path = directory / "order.jsonl"
    return [json.loads(line)[0] for line in path.read_text().splitlines()] if path.exists() else []


def chain(**changes: Any) -> Study:
    jobs = (
        Job("last", Note("3", read="@middle/note.txt"), after=("middle", "first")),
        Job("middle", Note("2", read="@first/note.txt"), after=("first",), effort=3.0),
        Job("first", Note("1")),
    )
    return Study(**({"name": "chain", "jobs": jobs} | changes))


def watch(_: StudyStatus) -> None: ...


@pytest.mark.usefixtures("here")
def test_jobs_run_after_those_they_name_and_read_their_results(tmp_path: Path):
    seen: list[StudyStatus] = []
    execute(chain(), tmp_path, seen.append, IMPORTS)
    assert ran(tmp_path) == ["first", "middle", "last"]
    assert (tmp_path / "last" / "note.txt").read_text() == "123"
    assert seen[-1].share == 1.0 and {job.state for job in seen[-1].jobs} == {"done"}
    assert [round(status.share, 2) for status in seen] == sorted(round(status.share, 2) for status in seen)
    assert (tmp_path / "study.yaml").read_text().startswith("name: chain")


@pytest.mark.usefixtures("here")
def test_a_job_that_is_done_is_not_done_again_unless_it_was_asked_differently(tmp_path: Path):
    execute(chain(), tmp_path, watch, IMPORTS)
    execute(chain(), tmp_path, watch, IMPORTS)
    assert len(ran(tmp_path)) == 3
    jobs = (*chain().jobs[:2], Job("first", Note("one")))
    execute(chain(jobs=jobs), tmp_path, watch, IMPORTS)
    assert ran(tmp_path)[3:] == ["first", "middle", "last"], "those that came after it are of an earlier first job"


@pytest.mark.usefixtures("here")
def test_a_failing_job_stops_the_study_by_name_and_the_rest_stays_done(tmp_path: Path):
    jobs = (Job("first", Note("1")), Job("broken", Fail(), ("first",)), Job("last", Note("2"), ("broken",)))
    study = Study(name="s", jobs=jobs)
    with pytest.raises(StudyStopped, match=r"job broken failed in .*/broken: the wheel fell off"):
        execute(study, tmp_path, watch, IMPORTS)
    assert ran(tmp_path) == ["first"]
    (tmp_path / "mended").touch()
    execute(study, tmp_path, watch, IMPORTS)
    assert ran(tmp_path) == ["first", "last"]


@pytest.mark.usefixtures("here")
def test_an_interrupted_job_is_not_done(tmp_path: Path):
    study = Study(name="s", jobs=(Job("slow", Interrupt()),))
    with pytest.raises(StudyStopped, match="job slow was interrupted; run the same command to resume it"):
        execute(study, tmp_path, watch, IMPORTS)
    assert not (tmp_path / "slow" / "done.json").exists()


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ((Job("a", Note("")), Job("a", Note(""))), "two jobs of a study have the same name"),
        ((Job("a", Note(""), ("b",)),), "job 'a' comes after 'b', which is no job"),
        ((Job("c", Note("")), Job("a", Note(""), ("b",)), Job("b", Note(""), ("a", "c"))), "job 'a' waits for itself"),
    ],
)
def test_a_study_that_could_never_end_is_refused(jobs: tuple[Job, ...], words: str):
    with pytest.raises(ValueError, match=words):
        Study(name="s", jobs=jobs)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/tmp/a", "a b", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(name: str):
    with pytest.raises(ValueError, match="the name of a job must be a file name"):
        Job(name, Note(""))
    with pytest.raises(ValueError, match="the name of a study must be a file name"):
        chain(name=name)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("text", ["@@@", "@", "@nobody/note.txt", "@firsts", "@last", "mail@first/x"])
def test_text_that_names_no_earlier_job_stays_as_it_is(text: str, tmp_path: Path):
    study = Study(name="s", jobs=(Job("first", Note("1")), Job("last", Note(text), ("first",))))
    execute(study, tmp_path, watch, IMPORTS)
    assert (tmp_path / "last" / "note.txt").read_text() == text


@pytest.mark.usefixtures("here")
def test_a_reference_reaches_jobs_further_back_and_stays_inside_them(tmp_path: Path):
    def study(read: str) -> Study:
        jobs = (Job("a", Note("1")), Job("b", Note("2"), ("a",)), Job("c", Note("3", read=read), ("b",)))
        return Study(name="s", jobs=jobs)

    with pytest.raises(ValueError, match=r"job c: '@a/../b/note.txt' must stay inside its job"):
        execute(study("@a/../b/note.txt"), tmp_path / "s", watch, IMPORTS)
    assert not (tmp_path / "s").exists()
    execute(study("@a/note.txt"), tmp_path / "s", watch, IMPORTS)
    assert (tmp_path / "s" / "c" / "note.txt").read_text() == "13"


def test_a_study_needs_a_worker():
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        chain(workers=0)


@pytest.mark.usefixtures("here")
def test_a_run_is_a_job_like_any_other(tiny_tokenizer: Path, tmp_path: Path):
    study = Study(name="s", jobs=(Job("train", Train(plain_run(tiny_tokenizer, 2)), effort=2.0),))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    seen: list[StudyStatus] = []
    try:
        execute(study, tmp_path, seen.append, IMPORTS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (tmp_path / "train" / "hf" / "config.json").exists()
    assert last_metrics(tmp_path / "train" / "metrics.jsonl")["run/share"] == 1.0


@pytest.mark.usefixtures("here")
def test_what_is_done_and_what_was_begun_is_found_without_a_change(tmp_path: Path):
    study = Study(name="s", jobs=(Job("a", Note("1")), Job("b", Interrupt(), ("a",)), Job("c", Note("2"), ("b",))))
    assert found(study, tmp_path / "s") == (0, 0) and not (tmp_path / "s").exists()
    with pytest.raises(StudyStopped):
        execute(study, tmp_path / "s", watch, IMPORTS)
    assert found(study, tmp_path / "s") == (1, 0), "a job without a checkpoint begins again"
    checkpoint = tmp_path / "s" / "b" / "checkpoints" / "step-00000005"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").touch()
    assert found(study, tmp_path / "s") == (1, 1)


def test_two_workers_share_the_jobs(tmp_path: Path):
    jobs = (*(Job(f"note-{i}", Note("x")) for i in range(4)), Job("end", Note("y", "@note-3/note.txt"), ("note-3",)))
    execute(Study(name="s", jobs=jobs, workers=2), tmp_path, watch, IMPORTS)
    lines = [json.loads(line) for line in (tmp_path / "order.jsonl").read_text().splitlines()]
    assert sorted(name for name, _ in lines) == ["end", "note-0", "note-1", "note-2", "note-3"]
    assert len({process for _, process in lines}) <= 2
    assert (tmp_path / "end" / "note.txt").read_text() == "xy"


def test_the_last_whole_line_of_metrics_is_read(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    assert last_metrics(path) == {}
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "lo')
    assert last_metrics(path) == {"step": 2}
    path.write_text("")
    assert last_metrics(path) == {}
