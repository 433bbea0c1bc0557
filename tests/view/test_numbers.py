"""Metrics that are still written: appended, half-written, damaged, replaced."""

import os
from pathlib import Path

import pytest
from tests.view.made import metrics, write_lines

from tutelage.view.numbers import Numbers
from tutelage.view.panels import arranged, figures


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_lines(tmp_path / "metrics.jsonl", (metrics(step) for step in range(1, 5)))
    return tmp_path / "metrics.jsonl"


def refreshed(path: Path) -> Numbers:
    numbers = Numbers(path)
    numbers.refresh()
    return numbers


def test_what_is_appended_is_taken_in(path: Path):
    numbers = refreshed(path)
    assert numbers.count == 4 and numbers.last()["dpo/margin"] == pytest.approx(0.4)
    write_lines(path, [metrics(5, **{"kl": 1.0})], "a")
    numbers.refresh()
    assert numbers.count == 5 and numbers.last()["step"] == 5 and numbers.rewound == 0
    assert numbers.curves(["kl"], 10)["kl"] == [None, None, None, None, 1.0]


def test_only_what_is_new_is_read(path: Path, monkeypatch: pytest.MonkeyPatch):
    numbers = refreshed(path)
    taken: list[bytes] = []
    monkeypatch.setattr(numbers, "_add", taken.append)
    write_lines(path, [{"step": 5}], "a")
    numbers.refresh()
    assert taken == [b'{"step": 5}\n']


def test_a_half_written_line_waits_until_it_is_whole(path: Path):
    numbers = refreshed(path)
    with path.open("a") as file:
        file.write('{"step": 5, "loss')
    numbers.refresh()
    assert numbers.count == 4 and numbers.damaged == 0
    with path.open("a") as file:
        file.write('/total": 0.5}\n')
    numbers.refresh()
    assert numbers.count == 5 and numbers.last()["loss/total"] == 0.5


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"loss": 1}', '{"step": "x"}', '{"step": 1.5}', "null", "\x00\xff", "[" * 99]
)
def test_a_damaged_line_is_counted_and_passed_over(path: Path, line: str):
    with path.open("a") as file:
        file.write(line + "\n")
    write_lines(path, [metrics(5)], "a")
    numbers = refreshed(path)
    assert numbers.count == 5 and numbers.damaged == 1


def test_a_run_that_resumes_replaces_the_file_and_it_is_read_anew(path: Path):
    numbers = refreshed(path)
    write_lines(path.with_name("new"), [metrics(1), metrics(2, **{"dpo/margin": 9.0}), *map(metrics, range(3, 9))])
    os.replace(path.with_name("new"), path)
    numbers.refresh()
    assert numbers.rewound == 1 and numbers.count == 8
    assert numbers.curves(["dpo/margin"], 10)["dpo/margin"][1] == 9.0


def test_a_file_that_was_rewritten_in_place_is_read_anew(path: Path):
    numbers = refreshed(path)
    write_lines(path, (metrics(step, **{"dpo/margin": 5.0}) for step in range(1, 9)))
    numbers.refresh()
    assert numbers.rewound == 1 and numbers.count == 8 and numbers.last()["dpo/margin"] == 5.0


def test_a_file_that_is_not_there_is_a_run_that_has_not_begun(tmp_path: Path):
    numbers = refreshed(tmp_path / "none")
    assert numbers.count == 0 and numbers.last() == {} and numbers.curves(["x"], 9) == {"step": [], "tokens": []}


def test_a_file_that_goes_is_forgotten(path: Path):
    numbers = refreshed(path)
    path.unlink()
    numbers.refresh()
    assert numbers.count == 0 and numbers.rewound == 1


def test_curves_are_means_of_bins_over_what_is_known(tmp_path: Path):
    lines = [metrics(step, a=float(step)) for step in range(1, 7)]
    lines[1].pop("a")
    lines[4] |= {"a": float("nan")}
    lines[5] |= {"a": float("inf")}
    write_lines(tmp_path / "metrics.jsonl", lines)
    found = refreshed(tmp_path / "metrics.jsonl").curves(["a", "none"], 3)
    assert found["step"] == [2, 4, 6] and found["tokens"] == [200, 400, 600]
    assert found["a"] == [1.0, 3.5, None] and "none" not in found


def test_every_metric_stands_in_one_panel():
    names = ["loss/total", "score/safety/rollout", "score/safety/suffix", "evaluation/nll", "calls/x", "calls/y", "odd"]
    names += ["seconds/train", "abstained/safety", "abstained/safety/rollout", "run/share"]
    found = arranged(names)
    placed = [name for _, _, mine in found for name in mine]
    assert sorted(placed) == sorted(name for name in names if name != "run/share")
    told = {panel.title: (section, mine) for panel, section, mine in found}
    assert told["Judge: safety"] == ("scores", ["score/safety/rollout", "score/safety/suffix"])
    assert told["calls"] == ("more", ["calls/x", "calls/y"]) and told["odd"] == ("more", ["odd"])
    assert told["nll"][0] == "evaluation" and told["Abstained, by axis"][1] == ["abstained/safety"]


def test_the_figures_of_several_runs_lie_over_each_other(path: Path, tmp_path: Path):
    write_lines(tmp_path / "other.jsonl", (metrics(step, **{"policy/kl": 1.0}) for step in range(1, 3)))
    found = figures({0: refreshed(path), 3: refreshed(tmp_path / "other.jsonl")})
    panels = {panel["title"]: panel for panel in found["panels"]}
    assert [(line["run"], len(line["y"])) for line in panels["Loss"]["series"]] == [(0, 4), (3, 2)]
    assert [line["run"] for line in panels["KL to the reference"]["series"]] == [3]
    assert found["x"][3] == {"step": [1, 2], "tokens": [100, 200]}
    assert {line["name"] for line in panels["Seconds, by role"]["series"]} == {"train", "judge.quality"}
