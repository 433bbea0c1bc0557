"""What the page says of schedules is what was simulated, recorded and trained."""

import json
from pathlib import Path

import pytest

from docs import write_judge_calls
from tutelage.evidence.judge_calls import CLAIMS, SCHEDULES


def test_the_page_holds_the_committed_results():
    page = write_judge_calls.PAGE.read_text("utf-8")
    assert write_judge_calls.filled(page) == page, "run python -m docs.write_judge_calls"
    assert sorted(m["name"] for m in write_judge_calls.BLOCK.finditer(page)) == sorted(write_judge_calls.BLOCKS)


def test_committed_rows_are_of_claims_as_the_code_states_them():
    known = {claim.id: claim for claim in CLAIMS}
    for row in write_judge_calls.trained()["claims"]:
        rules = [(test["text"], test["expect"], test["bound"], test["required"]) for test in row["tests"]]
        assert rules == [(t.text, t.expect, t.bound, t.required) for t in known[row["claim"]].tests]
    assert set(write_judge_calls.trained()["arms"]) in (set(), {"base", "all_pairs_long", *SCHEDULES})


def test_claims_and_arms_stand_in_their_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(write_judge_calls, "RESULTS", tmp_path)
    assert write_judge_calls.arms() == write_judge_calls.claims() == "*Not run yet.*\n"
    cell = {"mean": 0.5, "low": 0.25, "high": 0.75}
    arm = {"updates": 133.0, "calls": 76608.0, "figures": {"quality": cell, "clean_nll": cell}}
    claim = {"claim": "J1", "text": "more", "ours": cell, "verdict": "not reproduced", "why": "less"}
    (tmp_path / "judge_calls.json").write_text(json.dumps({"claims": [claim], "arms": {"adaptive": arm}}))
    row = "| `adaptive` | 133 | 76,608 | .500 [.250, .750] | – [–, –] | – [–, –] | .500 |"
    assert write_judge_calls.arms().splitlines()[2:] == [row]
    assert write_judge_calls.claims().splitlines()[2:] == [
        "| J1 | more | .500 [.250, .750] | **does not hold** | less |"
    ]
