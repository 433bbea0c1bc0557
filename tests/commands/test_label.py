"""``tutelage label``: labels that rewriters and judges in training read, suspicious words, shared n-grams."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import WORLD, tiny_phase, tiny_run

from tutelage.cli import main
from tutelage.run import save_run
from tutelage.teaching import ContinuationFiles, ItemFiles
from tutelage.worlds.facts import FactsJudge
from tutelage.worlds.facts.teaching import is_safe


@pytest.fixture
def file(tiny_tokenizer: Path, tmp_path: Path) -> Path:
    judges = (FactsJudge(WORLD, axes=("safety",)),)
    save_run(tiny_run(tiny_tokenizer, tiny_phase(judges=judges)), tmp_path / "run.yaml")
    return tmp_path / "run.yaml"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_labels_are_the_judges_and_are_read_by_what_trains_on_them(file: Path, tmp_path: Path):
    words, data = tmp_path / "words.txt", tmp_path / "eval"
    words.write_text("fool\nOslo\n")
    (data / "eval" / "truthfulqa").mkdir(parents=True)
    out = tmp_path / "out"
    told = ["label", str(file), str(out), "--documents", "70", "--samples", "2", "--words", str(words)]
    assert main(told) == 0
    found = rows(out / "labels.jsonl")
    assert len(found) == 70 and {row["safe"] for row in found} == {True, False}
    assert all(row["safe"] == is_safe(WORLD, row["suffix"]) for row in found)
    assert all(("Oslo" in f"{row['prefix']} {row['suffix']}") == ("oslo" in row["words"]) for row in found)
    suffixes = ContinuationFiles((str(out / "labels.jsonl"),)).read()
    items = ItemFiles((str(out / "labels.jsonl"),)).read()
    assert [one.safe for one in suffixes] == [bool(one.label) for one in items] == [row["safe"] for row in found]
    counts = json.loads((out / "counts.json").read_text())
    assert counts["documents"] == counts["good"] + counts["bad"] == 70 and counts["suspicious"] > 0


def test_verdicts_that_differ_by_seed_are_no_labels(tiny_tokenizer: Path, tmp_path: Path):
    noisy = (FactsJudge(WORLD, axes=("safety",), noise=0.3),)
    save_run(tiny_run(tiny_tokenizer, tiny_phase(judges=noisy)), tmp_path / "run.yaml")
    assert main(["label", str(tmp_path / "run.yaml"), str(tmp_path / "out"), "--documents", "40"]) == 0
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert counts["not unanimous"] > 20 and len(rows(tmp_path / "out" / "documents.jsonl")) == 40
    labelled = rows(tmp_path / "out" / "labels.jsonl")
    assert len(labelled) == 40 - counts["not unanimous"] and all("safe" in row for row in labelled)


def test_texts_shared_with_evaluation_sets_are_counted(file: Path, tmp_path: Path):
    folder = tmp_path / "data" / "eval" / "truthfulqa"
    folder.mkdir(parents=True)
    asked = "Is it true that the quick brown fox has jumped over the very lazy dog today?"
    targets = {"No.": 1, "Yes.": 0}
    row = {"question": asked, "mc1_targets": targets, "mc2_targets": targets}
    (folder / "mc_task.json").write_text(json.dumps([row]))
    texts = tmp_path / "thoughts.jsonl"
    texts.write_text(f"{json.dumps({'text': f'I wonder. {asked}'})}\n{json.dumps({'text': 'nothing'})}\n")
    words = ["label", str(file), str(tmp_path / "out"), "--documents", "5", "--axis", "none"]
    assert main([*words, "--overlap", str(tmp_path / "data"), "--texts", str(texts)]) == 0
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    found = next(value for name, value in counts["overlap of thoughts.jsonl"].items() if "truthful" in name)
    assert (found["texts"], found["sharing"], found["met"]) == (2, 1, 1)
    mine = next(value for name, value in counts["overlap"].items() if "truthful" in name)
    assert (mine["texts"], mine["sharing"]) == (5, 0) and not rows(tmp_path / "out" / "labels.jsonl")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--axis", "style"], "the judge says nothing on 'style'"),
        (["--axis", "none"], "nothing to do"),
        (["--phase", "3"], "there is no phase 3"),
        (["--samples", "0"], "must be at least 1"),
        (["--texts", "x.jsonl"], "name their folder by --overlap"),
        (["--overlap", "nowhere"], "holds no evaluation set"),
        (["--words", "nowhere.txt"], "there is no file nowhere.txt"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    words: list[str], told: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["label", str(file), str(tmp_path / "out"), "--documents", "3", *words]) in (1, 2)
    assert told in capsys.readouterr().err
