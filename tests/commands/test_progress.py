import io

from rich.console import Console

from tutelage.commands.progress import (
    Display,
    RunStatus,
    StudyProgress,
    duration,
    run_line,
    run_picture,
    study_line,
    study_picture,
)
from tutelage.study_status import JobStatus, StudyStatus

RUNNING = JobStatus(
    "taught", "running", 0.5, {"step": 7, "loss/total": 1.25, "chosen/rollout": 0.6, "chosen/suffix": 0.4}
)
STATUS = StudyStatus((JobStatus("base", "done", 1.0), RUNNING, JobStatus("report", "waiting", 0.0)), 0.4, 65.0, 130.0)
RUN = RunStatus(
    "mine", 1, 2, {"step": 9, "run/share": 0.75, "loss/total": 2.0, "chosen/rewrite": 1.0}, 60.0, 0.25, 1234.0
)


def printed(picture: object, *, terminal: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=terminal, markup=False).print(picture)
    return out.getvalue()


def test_a_study_is_shown_with_a_line_a_job_and_who_wins():
    lines = printed(study_picture(STATUS)).splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["base", "taught", "report"]
    assert "50%" in lines[1] and "step 7" in lines[1] and "loss 1.250" in lines[1]
    assert "1 of 3 jobs · 1:05 · to go 2:10" in lines[4]
    assert lines[5].strip() == "wins: rollout 60%, suffix 40%"


def test_a_study_too_long_for_the_screen_shows_what_runs():
    done = tuple(JobStatus(f"done-{i}", "done", 1.0) for i in range(30))
    waiting = tuple(JobStatus(f"later-{i}", "waiting", 0.0) for i in range(30))
    text = printed(study_picture(StudyStatus((*done, RUNNING, *waiting), 0.5, 1.0, None), height=12))
    assert "taught" in text and "later-0" in text and "54 more" in text
    assert len(text.splitlines()) <= 12


def test_a_study_is_told_in_one_line():
    assert study_line(STATUS) == (
        "40% · 1 of 3 jobs · 1:05 · to go 2:10 | taught: 50% · step 7 · loss 1.250 | wins: rollout 60%, suffix 40%"
    )


def test_a_job_before_its_first_step_is_told_without_a_figure():
    status = StudyStatus((JobStatus("taught", "running", 0.5),), 0.5, 1.0, None)
    assert study_line(status) == "50% · 0 of 1 jobs · 0:01 · to go … | taught: …"
    assert "%" not in printed(study_picture(status)).splitlines()[0]


def test_a_run_tells_its_phase_speed_and_time_to_go():
    told = "mine: 75% · phase 1 of 2 · step 9 · loss 2.000 · 1,234 tokens/s · 1:00 · to go 0:30 | wins: rewrite 100%"
    assert run_line(RUN) == told
    assert "phase 1 of 2" in printed(run_picture(RUN))


def test_names_cannot_steer_the_terminal():
    odd = JobStatus("a\x1b[2J", "running", 0.1, {"chosen/\x1b]0;": 1.0})
    status = StudyStatus((odd,), 0.1, 1.0, None)
    assert "\x1b" not in study_line(status) + printed(study_picture(status))


def test_off_a_terminal_lines_come_every_ten_seconds_and_when_a_job_ends():
    out, now = io.StringIO(), [0.0]
    console = Console(file=out, width=300)
    with Display(console, clock=lambda: now[0]) as display:
        progress = StudyProgress(console, display)
        for second in range(25):
            now[0] = float(second)
            progress(STATUS)
        assert len(out.getvalue().splitlines()) == 3  # at 0, 10 and 20
        finished = StudyStatus(tuple(JobStatus(job.name, "done", 1.0) for job in STATUS.jobs), 1.0, 70.0, 0.0)
        progress(finished)
        assert "3 of 3 jobs" in out.getvalue().splitlines()[3]


def test_on_a_terminal_the_picture_is_redrawn_in_place():
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    with Display(console) as display:
        StudyProgress(console, display)(STATUS)
    assert "\x1b[" in out.getvalue() and "taught" in out.getvalue()


def test_durations_are_read_at_a_glance():
    assert [duration(s) for s in (None, 0, 59.6, 3723)] == ["…", "0:00", "1:00", "1:02:03"]
