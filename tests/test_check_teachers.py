"""The one command that measures what is claimed of teachers: what it writes, leaves out and calls missed."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import teachers

ROW = {"name": "adaptive", "candidates": 16, "trials": 20_000, "budget": 0.2, "calls_share": 0.19}
GAPS = ((1.0, 0.9), (2.0, 0.97), (4.0, 0.99))
SOUND: dict[str, Any] = {
    "faults": {"calls": 10_000, "fault_rate": 0.2, "wrong": 0, "lost": 0, "double": 0, "peak_mb": 40.0},
    "injection": {"texts": 300, "obeyed_fenced": 0, "obeyed_unfenced": 200},
    "schedules": [ROW | {"sharpness": sharpness, "gap_share": gap} for sharpness, gap in GAPS],
    "client": {"saturation": 0.95, "speedup_32": 20.0, "calls_per_second": 700.0},
    "vllm": {"judged": 9, "rewritten": 3, "abstained": 0, "weights_pushed": 2},
}


def test_what_holds_passes_and_is_written_as_it_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(teachers, "MEASURES", {part: lambda out, part=part: SOUND[part] for part in teachers.PARTS})
    assert teachers.main(["--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text()) == SOUND


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("faults", {"lost": 1}, "faults: answers were wrong, lost or came twice"),
        ("faults", {"fault_rate": 0.1}, "faults: too few calls or faults"),
        ("faults", {"peak_mb": 900.0}, "faults: memory grew"),
        ("injection", {"obeyed_fenced": 1}, "injection: a fenced text was obeyed"),
        ("injection", {"obeyed_unfenced": 100}, "injection: too few are obeyed"),
        ("client", {"saturation": 0.8}, "client: saturation under 0.9"),
        ("client", {"calls_per_second": 499.0}, "client: calls_per_second under 500"),
        ("vllm", {"weights_pushed": 0}, "vllm: something was never done"),
        ("vllm", {"abstained": 1}, "vllm: more than 2% of verdicts are missing"),
    ],
)
def test_a_bar_that_is_missed_is_named(part: str, change: dict[str, float], words: str):
    assert teachers.missed(SOUND) == []
    (line,) = teachers.missed(SOUND | {part: SOUND[part] | change})
    assert line.startswith(words)


def test_one_schedule_has_to_hold_at_every_sharpness():
    rows = SOUND["schedules"]
    assert teachers.finds(rows, 0.2, (0.82, 0.92, 0.98))
    assert not teachers.finds(rows, 0.18, (0.82, 0.92, 0.98))
    mixed = [*rows[:2], rows[2] | {"name": "another"}]
    assert not teachers.finds(mixed, 0.2, (0.82, 0.92, 0.98))


def test_without_vllm_its_key_is_left_out_and_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TUTELAGE_VLLM", str(tmp_path / "nowhere"))
    assert teachers.main(["--out", str(tmp_path), "--only", "vllm"]) == 1
    assert json.loads((tmp_path / "summary.json").read_text()) == {}
    assert "make peers, or name a Python in TUTELAGE_VLLM" in capsys.readouterr().err


def test_without_wrk_the_saturation_is_left_out_and_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    found = {"speedup_32": 20.0, "calls_per_second": 700.0, "cores": 2}
    monkeypatch.setattr("benchmarks.endpoints.measure", lambda calls: found)
    told = teachers.client(tmp_path)
    assert told == {"speedup_32": 20.0, "calls_per_second": 700.0}
    assert "apt-get install wrk" in capsys.readouterr().out
    assert teachers.missed({"client": told}) == ["client: saturation under 0.9"]


def test_what_was_measured_before_is_kept_where_some_parts_are_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(teachers, "MEASURES", {part: lambda out, part=part: SOUND[part] for part in teachers.PARTS})
    for only in (["vllm"], ["injection", "client"]):
        assert teachers.main(["--out", str(tmp_path), "--only", *only]) == 0
    assert list(json.loads((tmp_path / "summary.json").read_text())) == ["injection", "client", "vllm"]
