"""``docs/evidence.md`` says what the committed results say."""

import json

from docs import write_evidence
from tutelage.evidence.controls import CLAIMS
from tutelage.evidence.tuning import TRIALS, methods


def test_the_pages_hold_the_committed_results():
    pages = [page.read_text("utf-8") for page in write_evidence.PAGES]
    assert [write_evidence.filled(page) for page in pages] == pages, "run docs/write_evidence.py"
    blocks = [m["name"] for page in pages for m in write_evidence.BLOCK.finditer(page)]
    assert sorted(blocks) == sorted(write_evidence.BLOCKS)


def test_committed_rows_are_of_claims_as_the_code_states_them():
    known = {claim.id: claim for claim in CLAIMS}
    for row in write_evidence.rows():
        if row["claim"] in known:
            claim = known[row["claim"]]
            assert row["text"] == claim.text and row["theirs"] == claim.theirs
            rules = [(test["text"], test["expect"], test["bound"], test["required"]) for test in row["tests"]]
            assert rules == [(t.text, t.expect, t.bound, t.required) for t in claim.tests]


def test_settings_are_those_that_the_tuning_chose():
    path = write_evidence.RESULTS / "tuning.json"
    if not path.is_file():
        return
    from tutelage.evidence.settings import Setting

    tuning = json.loads(path.read_text("utf-8"))
    for name, tried in methods().items():
        chosen, number = tuning["chosen"][name].rsplit("-", 1)
        assert chosen == name and getattr(Setting(), name) == tried[int(number)], name
        assert sum(trial.rsplit("-", 1)[0] == name for trial in tuning["trials"]) == TRIALS


def test_rows_of_a_study_replace_those_of_the_same_claims_and_leave_others(tmp_path, monkeypatch):
    monkeypatch.setattr(write_evidence, "RESULTS", tmp_path)
    old = [{"claim": name, "verdict": "old"} for name in ("S2", "S10", "C1")]
    (tmp_path / "pretraining.json").write_text(json.dumps(old))
    study = tmp_path / "study"
    study.mkdir()
    fresh = [{"claim": name, "verdict": "new"} for name in ("S10", "X1")]
    (study / "pretraining.json").write_text(json.dumps(fresh))
    (study / "arms.json").write_text(json.dumps({"ntp": {}}))
    write_evidence.take_over(study)
    found = [(row["claim"], row["verdict"]) for row in write_evidence.rows()]
    assert found == [("S2", "old"), ("S10", "new"), ("C1", "old"), ("X1", "new")]
    assert write_evidence.arms() == {"ntp": {}}
