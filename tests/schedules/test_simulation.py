"""How much of all pairs' gap the schedules find, by the benchmark's own simulation."""

import json
from pathlib import Path

import pytest
from benchmarks.schedules import PAGE, RESULTS, Row, compare, filled, main, read, tables

from tutelage.schedules import Adaptive, KnockOut, Pivot

TARGETS = {0.2: {1.0: 0.82, 2.0: 0.92, 4.0: 0.98}, 0.3: {1.0: 0.90, 2.0: 0.96, 4.0: 0.98}}
"""Least share of all pairs' gap by share of their calls and sharpness of the judge, among 16 candidates."""


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in rows}


def test_a_pivot_loses_and_an_adaptive_schedule_all_but_equals_all_pairs() -> None:
    rows = by_name(compare({"pivot": Pivot(), "knock-out": KnockOut(), "adaptive": Adaptive()}, 16, 2.0, 300))
    assert rows["pivot"].gap_share < 0.55 and rows["pivot"].calls_share == 0.125
    assert rows["adaptive"].gap_share > 0.95 and rows["adaptive"].calls_share <= rows["adaptive"].budget == 0.3
    assert 0.88 < rows["knock-out"].gap_share < rows["adaptive"].gap_share


def test_the_command_writes_a_row_a_schedule_and_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path / "new" / "rows.json"), "--trials", "20", "--candidates", "5"])
    rows = json.loads((tmp_path / "new" / "rows.json").read_text("utf-8"))
    wanted = {"name", "budget", "candidates", "sharpness", "trials", "calls_share", "gap_share"}
    assert all(wanted <= row.keys() and row["trials"] == 20 and row["candidates"] == 5 for row in rows)
    names = [(row["name"], row["sharpness"]) for row in rows]
    assert len(names) == len(set(names)) == len(capsys.readouterr().out.splitlines())
    assert {sharpness for _, sharpness in names} == {1, 2, 4}


def test_the_page_holds_the_committed_results() -> None:
    rows, page = read(RESULTS), PAGE.read_text("utf-8")
    assert filled(page, tables(rows)) == page, "run python -m benchmarks.schedules --fill"
    assert all(row.trials >= 20_000 for row in rows)
    for budget, least in TARGETS.items():
        for sharpness, share in least.items():
            held = [r for r in rows if (r.name, r.candidates) == (f"adaptive, {budget:.0%}".replace("%", " %"), 16)]
            (row,) = (r for r in held if r.sharpness == sharpness)
            assert row.gap_share >= share and row.calls_share <= budget


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [1.0, 2.0, 4.0])
def test_one_setting_reaches_its_share_of_the_gap_for_every_judge(sharpness: float) -> None:
    schedules = {str(budget): Adaptive(budget=budget) for budget in TARGETS} | {"pivot": Pivot()}
    rows = by_name(compare(schedules, 16, sharpness, 20_000))
    for budget, least in TARGETS.items():
        row = rows[str(budget)]
        assert row.calls_share <= row.budget <= budget
        assert row.gap_share - 2 * row.error >= least[sharpness]
    assert rows["pivot"].gap_share < 0.6
