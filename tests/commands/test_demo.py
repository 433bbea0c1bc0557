import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.commands import parts

from tutelage.cli import main
from tutelage.study import Study

FIGURE = {"mean": 0.9, "low": 0.85, "high": 0.95}
ARM = dict.fromkeys(("factuality", "safety", "safety_unsafe_prefix", "facts_stated", "clean_nll"), FIGURE)
SUMMARY: dict[str, Any] = {
    "seeds": [4, 5],
    "arms": {"base": ARM, "online_dpo": ARM | {"win_rate": FIGURE, "win_rate_natural": FIGURE}},
    "gain": {
        "online_dpo": {
            "vs_base": {"factuality": 0.4, "safety": 0.2, "win_rate": 0.9},
            "ceiling_share": {"factuality": 0.8, "safety": {"mean": 0.95, "low": 0.9, "high": 1.0}},
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
    assert "online_dpo" in told and "85.0–95.0" in told and "–" in told
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


def test_the_table_fits_into_eighty_columns(
    pretended: list[tuple[int, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["demo", "--directory", str(tmp_path)]) == 0
    assert "…" not in capsys.readouterr().out
