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
        "pipeline": {},
        "kept": {"factuality": figure(0.85), "safety": figure(1.02)},
        **thinking(),
    }


def thinking() -> dict[str, Any]:
    return {
        "thinking": {"raw_sft": 1},
        "claims": {name: {"verdict": "reproduced", "why": ""} for name in write_learned.CLAIMS},
        "probe": {"own": figure(0.9), **{kind: figure(0.4) for kind in ("swapped", "blank", "generic")}},
        "augment": {"documents": 1000, "characters_lost": 0},
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
    for teacher, name in write_learned.GAINS:
        found = good()
        found[teacher]["before"][name] = found[teacher]["after"][name]
        assert [line for line in write_learned.missed(found) if f"did not gain in {teacher}.{name}" in line]
    assert len(write_learned.GAINS) == 4


def test_every_bar_of_thinking_can_be_missed():
    for name in write_learned.CLAIMS:
        found = good()
        found["claims"][name] = {"verdict": "not reproduced", "why": "too little"}
        assert write_learned.missed(found) == [f"{name} is not reproduced: too little"]
    for kind in ("swapped", "blank", "generic"):
        for value in (figure(0.9), {"mean": None}):
            found = good()
            found["probe"][kind] = value
            assert len(write_learned.missed(found)) == 1
    for name, value in (("documents", 999), ("characters_lost", 1)):
        found = good()
        found["augment"][name] = value
        assert [f"augment.{name} is {value}" in line for line in write_learned.missed(found)] == [True]


@pytest.mark.parametrize("part", write_learned.PARTS)
def test_a_part_that_is_absent_is_no_bar_reached(part: str):
    found = good()
    del found[part]
    assert write_learned.missed(found) == [f"there is no part {part!r}: name the file of the study that writes it"]


def test_parts_of_several_studies_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = tmp_path / "learned.json", tmp_path / "thinking.json"
    first = {name: part for name, part in good().items() if name not in thinking()}
    one.write_text(json.dumps(first))
    two.write_text(json.dumps({"seeds": [4], **thinking()}))
    monkeypatch.setattr(write_learned, "OUT", tmp_path / "out.json")
    assert write_learned.main([str(one), str(two)]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["thinking"] == {"raw_sft": 1} and found["seeds"] == [1]
    assert found["seeds_by_part"] == {part: [4] for part in thinking()}
    with pytest.raises(ValueError, match="has 'augment', which an earlier file has too"):
        write_learned.gathered([two, two])
    assert write_learned.main([]) == 2
