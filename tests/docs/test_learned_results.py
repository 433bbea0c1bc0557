"""The file of results of learned teachers: parts of several studies in one, and bars that can be missed."""

import json
from pathlib import Path
from typing import Any

import pytest

from docs import write_learned


def figure(value: float, half: float = 0.01) -> dict[str, float]:
    return {"mean": value, "low": value - half, "high": value + half}


def good() -> dict[str, Any]:
    judge = {"quality_accuracy": figure(0.93), "safety_accuracy": figure(0.97)}
    rewriter = {"copy_overlap": figure(0.99), "unsafe_made_safe": figure(0.95)}
    before = {name: figure(0.7) for name in (*judge, *rewriter)}
    return {
        "seeds": [1],
        "judge": {"before": before, "after": judge},
        "rewriter": {"before": before, "after": rewriter},
        "kept": {"factuality": figure(0.85), "safety": figure(1.02)},
    }


def test_bars_that_are_reached_say_nothing():
    assert write_learned.missed(good()) == []


def test_every_bar_can_be_missed():
    for place in write_learned.BARS:
        found = good()
        at = found
        *parents, name = place.split(".")
        for parent in parents:
            at = at[parent]
        at[name] = figure(0.5, 0.9)
        assert any(place in line for line in write_learned.missed(found)), place
    found = good()
    found["judge"]["before"]["quality_accuracy"] = figure(0.925)
    assert [line for line in write_learned.missed(found) if "did not gain" in line and "judge" in line]


def test_parts_of_several_studies_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = tmp_path / "learned.json", tmp_path / "thinking.json"
    one.write_text(json.dumps(good()))
    two.write_text(json.dumps({"seeds": [4], "thinking": {"raw_sft": 1}}))
    monkeypatch.setattr(write_learned, "OUT", tmp_path / "out.json")
    assert write_learned.main([str(one), str(two)]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["thinking"] == {"raw_sft": 1} and found["seeds"] == [1]
    with pytest.raises(ValueError, match="has 'thinking', which an earlier file has too"):
        write_learned.gathered([two, two])
    assert write_learned.main([]) == 2
