"""``tutelage label``: labels that rewriters and judges in training read, suspicious words, shared n-grams."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.stream.corpora import write_jsonl
from tests.tiny import WORLD, tiny_phase, tiny_run

from tutelage.cli import main
from tutelage.commands import label
from tutelage.commands.failing import UsageError
from tutelage.commands.label import Order, label_command
from tutelage.protocols import Cursor
from tutelage.rewrites import Header, Part, Row, append_part, write_header, write_rows
from tutelage.run import save_run
from tutelage.stream import Corpus, Splits, TextStream
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


def test_what_was_found_is_kept_and_gone_on_from(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    judged = label.label_suffixes

    def until_killed(chunks: Any, judges: Any, axis: str) -> Any:
        asked.append(len(chunks))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return judged(chunks, judges, axis)

    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ["--documents", "150", "--samples", "2"]
    assert main(["label", str(file), str(whole), *words]) == 0
    monkeypatch.setattr(label, "label_suffixes", until_killed)
    with pytest.raises(KeyboardInterrupt):
        label_command(Order(what=str(file), out=out, documents=150, samples=2), ())
    part = out / "documents.part.jsonl"
    assert len(rows(part)) == 1 + 64 and not (out / "documents.jsonl").exists()
    with part.open("a") as torn:
        torn.write('{"document": "ha')
    with pytest.raises(UsageError, match="begun with other settings"):
        label_command(Order(what=str(file), out=out, documents=150, samples=3), ())
    label_command(Order(what=str(file), out=out, documents=150, samples=2), ())
    assert asked == [64, 64, 64, 22]
    for name in ("documents.jsonl", "labels.jsonl"):
        assert (out / name).read_text() == (whole / name).read_text()
    assert json.loads((out / "counts.json").read_text()) == json.loads((whole / "counts.json").read_text())
    assert not part.exists()


def test_a_corpus_is_narrowed_by_its_own_tags_and_by_how_many_words_are_met(tiny_tokenizer: Path, tmp_path: Path):
    texts = [
        "fool fool and so on it goes",
        "fool fool and so on it was",
        "fool and so on it went",
        "well and so on it is",
    ]
    tags = [["adult"], [], ["adult", 7], ["adult"]]
    lines = [{"text": text, "id": text[-2:], "ut1": tag} for text, tag in zip(texts, tags, strict=True)]
    corpus = write_jsonl(tmp_path / "a.jsonl", lines)
    stream = TextStream(
        (Corpus(str(corpus), id_column="id", tags_column="ut1"),),
        splits=Splits(policy=0.0, judge=1.0, validation=0.0, test=0.0),
        min_prefix=1,
        min_suffix=1,
        deduplicate=None,
    )
    save_run(replace(tiny_run(tiny_tokenizer, tiny_phase()), stream=stream), tmp_path / "run.yaml")
    (tmp_path / "words.txt").write_text("fool\n")
    words = ["--documents", "4", "--axis", "none", "--words", str(tmp_path / "words.txt"), "--least-words", "2"]
    assert main(["label", str(tmp_path / "run.yaml"), str(tmp_path / "out"), *words, "--tagged"]) == 0
    found = {row["document"]: row for row in rows(tmp_path / "out" / "documents.jsonl")}
    assert found["nt"]["tags"] == ["adult", "7"] and "tags" not in found["as"]
    assert [name for name, row in found.items() if row["suspicious"]] == ["es"]
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert (counts["tagged"], counts["suspicious"]) == (3, 1)


def test_evaluation_sets_are_read_once_and_tables_are_compared(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = "Is it true that the quick brown fox has jumped over the very lazy dog today?"
    read: list[Path] = []

    def sets(data: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
        read.append(data)
        return {"mine": [asked]}, {}

    monkeypatch.setattr(label, "evaluation_texts", sets)
    table = tmp_path / "table"
    header = Header("t", 1, "p", "m", "c", ("c",), 0, "policy", 1, 8, {})
    table.mkdir()
    write_header(table, header)
    rest = {"chunk": 1, "reading": 1, "corpus": "c", "document": "d", "epoch": 0, "cut": 0, "prompt": "p", "model": "m"}
    written = [Row(**rest, tokens=(1,), text=asked, reason=None), Row(**rest, tokens=None, text=None, reason="no")]
    digest, size = write_rows(table, 0, written)
    append_part(table, 0, Part(0, digest, size, 2, 2, 1, Cursor(0, ()), Cursor(2, ()), True))
    (tmp_path / "one.jsonl").write_text(json.dumps({"text": "nothing"}) + "\n")
    words = ["label", str(file), str(tmp_path / "out"), "--documents", "5", "--axis", "none", "--overlap", "data"]
    assert main([*words, "--texts", str(table), "--texts", str(tmp_path / "one.jsonl")]) == 0
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert counts["overlap of table"]["mine"] == {"texts": 1, "sharing": 1, "items": 1, "met": 1}
    assert counts["overlap of one.jsonl"]["mine"]["sharing"] == 0 and counts["overlap"]["mine"]["texts"] == 5
    assert len(read) == 1
    (tmp_path / "bad.jsonl").write_text('{"said": "x"}\n')
    assert main([*words, "--texts", str(tmp_path / "bad.jsonl")]) == 1


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
        (["--tagged"], "name a list of --words"),
        (["--overlap", "nowhere", "--least-words", "0"], "must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    words: list[str], told: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["label", str(file), str(tmp_path / "out"), "--documents", "3", *words]) in (1, 2)
    assert told in capsys.readouterr().err
