"""How far a run is, whether it moves, and what is wrong with its files."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.view.made import RUN, metrics, write_lines, write_samples

from tutelage.view import watching
from tutelage.view.watching import WatchedRun


def status(directory: Path) -> dict[str, Any]:
    return WatchedRun(directory, "run").status()


def test_a_run_in_progress_tells_its_step_share_and_phases(run: Path):
    told = status(run)
    assert told["state"] == "running" and told["step"] == 6 and told["share"] == 0.6
    assert told["phases"] == [{"objective": "OnlineDPO", "sources": ["SuffixSource"], "judges": []}]
    assert told["events"][0]["event"] == "phase" and told["events"][0]["facts"] == "phase 0, step 0"
    assert told["messages"] == []


def test_a_run_that_wrote_nothing_for_a_while_is_quiet(run: Path):
    before = time.time() - watching.QUIET_AFTER - 10
    for path in run.glob("*.*"):
        os.utime(path, (before, before))
    assert status(run)["state"] == "quiet"


def test_a_run_that_ended_is_finished_until_it_goes_on(run: Path):
    write_lines(run / "events.jsonl", [{"time": 1.8e9, "event": "finished", "step": 6}], "a")
    assert status(run)["state"] == "finished"
    write_lines(run / "events.jsonl", [{"time": 1.9e9, "event": "resumed", "step": 4}], "a")
    assert status(run)["state"] == "running"


def test_an_empty_directory_is_a_run_that_has_not_begun(tmp_path: Path):
    told = status(tmp_path)
    assert told["state"] == "waiting" and "no run.yaml yet" in told["messages"][0]
    assert WatchedRun(tmp_path, "run").samples()["why"].startswith("No samples are on disk yet")


def test_a_run_before_its_first_step_says_so_and_then_shows_it(tmp_path: Path):
    (tmp_path / "run.yaml").write_text(RUN)
    watched = WatchedRun(tmp_path, "run")
    assert watched.status()["messages"] == ["No step has been made yet: the curves begin with the first one."]
    write_lines(tmp_path / "metrics.jsonl", [metrics(1)])
    assert watched.status()["messages"] == [] and watched.status()["state"] == "running"


@pytest.mark.parametrize(
    ("text", "said"), [("phases: [", "line"), ("- 1\n", "describes no run"), ("", "describes no run")]
)
def test_settings_that_cannot_be_read_are_told(run: Path, text: str, said: str):
    (run / "run.yaml").write_text(text)
    told = status(run)
    assert said in told["messages"][0] and told["phases"] == [] and told["step"] == 6


@pytest.mark.parametrize(
    "phases", ["phases: 3\n", "phases:\n  - 3\n  - sources: 4\n", "phases:\n  - judges: [1, {}]\n"]
)
def test_settings_of_another_shape_break_nothing(run: Path, phases: str):
    (run / "run.yaml").write_text(phases)
    assert WatchedRun(run, "run").status()["step"] == 6
    assert WatchedRun(run, "run").samples()["count"] == 72


def test_a_run_without_sources_has_no_samples_to_wait_for(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("phases:\n  - sources: []\n")
    assert "no sources, so nothing is sampled" in WatchedRun(tmp_path, "run").samples()["why"]


def test_samples_that_are_not_written_yet_say_when_they_will_be(tmp_path: Path):
    (tmp_path / "run.yaml").write_text(RUN + "checkpoint:\n  every: 50\n")
    assert "every 50 steps" in WatchedRun(tmp_path, "run").samples()["why"]


def test_samples_tell_steps_sources_axes_and_the_last_step_with_text(run: Path):
    told = WatchedRun(run, "run").samples()
    assert told["steps"] == [[1, 6]] and told["count"] == 72 and told["last_told"] == 6
    assert told["sources"] == ["rewrite", "rollout", "suffix"] and told["axes"] == ["quality", "safety"]
    assert told["torn"] == [] and told["why"] == ""


def test_torn_samples_are_named_and_where_all_are_it_is_said(run: Path):
    paths = sorted((run / "samples").iterdir())
    paths[0].write_bytes(b"PAR1")
    told = WatchedRun(run, "run").samples()
    assert told["steps"] == [[4, 6]] and paths[0].name in told["torn"][0]
    paths[1].write_bytes(b"PAR1")
    assert WatchedRun(run, "run").samples()["why"] == "None of the files of samples can be read."


def test_a_run_that_went_back_says_so(run: Path):
    watched = WatchedRun(run, "run")
    watched.status()
    write_lines(run / "new", map(metrics, (1, 2)))
    os.replace(run / "new", run / "metrics.jsonl")
    told = watched.status()
    assert told["step"] == 2 and "went back to a checkpoint" in told["messages"][0]


def test_marks_change_with_what_is_written_and_tell_samples_apart(run: Path):
    watched = WatchedRun(run, "run")
    before = watched.marks()
    assert watched.marks() == before
    write_lines(run / "metrics.jsonl", [metrics(7)], "a")
    after = watched.marks()
    assert after["status"] != before["status"] and after["samples"] == before["samples"]
    write_samples(run, [{"step": 7}])
    assert watched.marks()["samples"] != before["samples"]


def test_events_that_are_torn_are_passed_over(run: Path):
    with (run / "events.jsonl").open("a") as file:
        file.write(
            '{"time": 1}\n[]\n\x00\n' + json.dumps({"time": 2.0, "event": "checkpoint", "step": 3}) + '\n{"time"'
        )
    assert [event["event"] for event in status(run)["events"]] == ["phase", "checkpoint"]
