import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.commands import parts

from tutelage.cli import main
from tutelage.report.table import SHOWN
from tutelage.study import Study

FIGURE = {"mean": 0.9, "low": 0.85, "high": 0.95}
ARM: dict[str, Any] = {name: FIGURE for name, _ in SHOWN} | {"trained_tokens": 1000, "seconds": 3.0}
SUMMARY: dict[str, Any] = {
    "seeds": [4, 5],
    "arms": {"base": ARM, "online_dpo": ARM},
    "bars": [{"name": "a low bar", "passed": True}, {"name": "a high bar", "passed": False}],
    "gain": {
        "online_dpo": {
            "vs_base": {"factuality": FIGURE | {"mean": 0.4}, "safety": FIGURE | {"mean": 0.2}},
            "ceiling_share": {"factuality": FIGURE | {"mean": 0.8}, "safety": FIGURE | {"mean": 0.95}},
        }
    },
}


@pytest.fixture
def pretended(recipes: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """A proving ground that is over at once; gives the seeds it was asked for."""
    from tutelage.commands import demo

    asked: list[tuple[int, ...]] = []

    def proving_ground(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
        """Stand in."""
        asked.append(seeds)
        return parts.several()

    def execute(study: Study, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "summary.json").write_text(json.dumps(SUMMARY))
        (directory / "report.html").touch()

    recipes(proving_ground=proving_ground)
    monkeypatch.setattr(demo, "execute_study", execute)
    return asked


def test_the_demo_ends_with_a_table_a_report_and_what_to_do_next(
    pretended: list[tuple[int, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--seeds", "4", "5", "--directory", str(tmp_path / "demo")]) == 0
    told = capsys.readouterr().out
    assert pretended == [(4, 5)]
    assert "Online DPO" in told and "90.0" in told and "1 of 2 bars hold; missed: a high bar" in told
    assert "closes 80% of the gap in factuality and 95% of the gap in safety" in told
    assert "factuality +40.0%, safety +20.0%." in told
    assert str(tmp_path / "demo" / "report.html") in told and "tutelage show" in told


def test_the_demo_asks_for_no_seeds_of_its_own(pretended: list[tuple[int, ...]], tmp_path: Path):
    assert main(["demo", "--directory", str(tmp_path)]) == 0
    assert pretended == [(0, 1, 2)]


def test_a_report_that_was_not_written_is_told(
    pretended: list[tuple[int, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    from tutelage.commands import demo

    monkeypatch.setattr(demo, "execute_study", lambda study, directory: None)
    assert main(["demo", "--directory", str(tmp_path)]) == 1
    assert "holds no summary.json" in capsys.readouterr().err
