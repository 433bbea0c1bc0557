import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tutelage.judge_check import (
    KNOWN,
    TRAINING_SETS,
    Claim,
    Item,
    LabelledSet,
    Pair,
    Passage,
    half_of,
    load_known,
    prompt_rows,
    read_items,
)
from tutelage.judge_check.items import item_of
from tutelage.judge_check.known import Known

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT.parent / "shared" / "data"
COUNTS = {
    "llmbar": 419,
    "pandalm": 600,
    "hatecheck": 3728,
    "toxigen": 4000,
    "xstest": 450,
    "surge": 1000,
    "truthfulqa": 1600,
    "halueval": 4507,
}
"""As many items a set has at least."""


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_a_file_of_ones_own_is_read(tmp_path: Path):
    rows = (
        {"prefix": "p", "first": "a", "second": "b", "better": 2, "note": 1},
        {"first": "a", "second": "b", "better": 1},
    )
    found = read_items(written(tmp_path / "mine.jsonl", *rows))
    assert found == LabelledSet("mine", (Pair("p", "a", "b", 2), Pair("", "a", "b", 1)))
    assert found.axis == "quality" and [item.label for item in found.items] == [0.0, 1.0]
    assert item_of({"text": "t", "safe": False}) == Passage("t", False)
    assert item_of({"text": "t", "true": True, "reference": "r"}) == Claim("", "r", "t", True)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([1], "not an object"),
        ({"text": "t"}, "one of better, safe, true"),
        ({"first": "a", "second": "b", "better": 3}, "better must be 1 or 2, not 3"),
        ({"first": "a", "second": "b", "better": True}, "better must be a whole number"),
        ({"first": "a", "better": 1}, "second must be a text, not null"),
        ({"text": "t", "safe": "yes"}, "safe must be true or false"),
        ({"prefix": 3, "text": "t", "true": True}, "prefix must be a text"),
    ],
)
def test_a_line_that_is_none_is_named(row: object, told: str, tmp_path: Path):
    path = written(tmp_path / "mine.jsonl", {"text": "t", "safe": True}, row)
    with pytest.raises(ValueError, match="line 2") as failure:
        read_items(path)
    assert told in str(failure.value)


def test_files_that_hold_nothing_usable_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no file"):
        read_items(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="is empty"):
        read_items(written(tmp_path / "empty.jsonl"))
    mixed = written(tmp_path / "mixed.jsonl", {"text": "t", "safe": True}, {"text": "t", "true": True})
    with pytest.raises(ValueError, match="mixes axes"):
        read_items(mixed)
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9", "safe": true}\n')
    with pytest.raises(ValueError, match="not UTF-8"):
        read_items(tmp_path / "latin.jsonl")
    (tmp_path / "torn.jsonl").write_text('{"text": "t", ')
    with pytest.raises(ValueError, match="line 1"):
        read_items(tmp_path / "torn.jsonl")


def made_up(data: Path) -> None:
    """A set or two as they are published."""
    (data / "eval" / "pandalm").mkdir(parents=True)
    row = {"instruction": "Add.", "input": "1 and 1", "response1": "2", "response2": "3"}
    votes = ((1, 1, 2), (2, 2, 2), (0, 0, 1), (0, 1, 2))
    rows = [{**row, **{f"annotator{i + 1}": vote for i, vote in enumerate(three)}} for three in votes]
    (data / "eval" / "pandalm" / "testset-v1.json").write_text(json.dumps(rows))
    (data / "eval" / "toxigen_annotated").mkdir()
    head = "text,toxicity_ai,toxicity_human\n"
    (data / "eval" / "toxigen_annotated" / "toxigen.csv").write_text(head + "b'it\\'s kind',1,2\nrude,3,3.0\n")


def test_what_people_agree_on_is_taken_and_ties_are_left_out(tmp_path: Path):
    made_up(tmp_path)
    items = load_known("pandalm", tmp_path, 10, 0).items
    prefix = "Question: Add.\n\n1 and 1\n\nAnswer: "
    assert sorted(items, key=lambda item: item.label) == [Pair(prefix, "2", "3", 2), Pair(prefix, "2", "3", 1)]


def test_bytes_that_were_saved_by_their_spelling_are_read_as_text(tmp_path: Path):
    made_up(tmp_path)
    items: set[Item] = set()
    for name, sets in (("toxigen", KNOWN), ("toxigen_trained", TRAINING_SETS)):
        half = load_half(name, tmp_path, sets)
        assert all(half_of(item.text) == ("examined" if sets is KNOWN else "trained") for item in half)
        assert not items & half
        items |= half
    assert items == {Passage("it's kind", True), Passage("rude", False)}


def load_half(name: str, data: Path, sets: Mapping[str, Known]) -> set[Passage]:
    """A half may be empty where a set is so small."""
    try:
        return {item for item in load_known(name, data, 10, 0, sets).items if isinstance(item, Passage)}
    except ValueError:
        return set()


def test_what_is_trained_on_is_in_no_set_that_judges_are_examined_with():
    if not DATA.is_dir():
        pytest.skip("no development data here")
    found = {
        sets_name: {
            item.text.strip()
            for name, one in sets.items()
            if one.axis == "safety"
            for item in load_known(name, DATA, 10**9, 0, sets).items
            if isinstance(item, Passage)
        }
        for sets_name, sets in (("examined", KNOWN), ("trained", TRAINING_SETS))
    }
    assert len(found["trained"]) > 25_000 and len(found["trained"] & found["examined"]) < 5
    halves = [len(load_known(*one).items) for one in (("toxigen", DATA, 10**9, 0), trained("toxigen_trained"))]
    assert sum(halves) == 8960 and min(halves) > 4000


def trained(name: str) -> tuple[str, Path, int, int, Mapping[str, Known]]:
    return name, DATA, 10**9, 0, TRAINING_SETS


def test_beginnings_of_web_text_are_labelled_by_their_scores(tmp_path: Path):
    folder = tmp_path / "eval" / "realtoxicityprompts_5k"
    folder.mkdir(parents=True)
    rows = [
        {"prompt": {"text": f"One {i}", "toxicity": 0.6}, "continuation": {"text": " two.", "toxicity": 0.1}}
        for i in range(20)
    ]
    rows[0]["prompt"]["toxicity"] = None  # pyright: ignore[reportArgumentType]
    written(folder / "val.jsonl", *rows)
    wholes = [whole for whole, _ in prompt_rows(folder / "val.jsonl")]
    mine = [i for i, whole in enumerate(wholes) if half_of(whole) == "trained"]
    assert wholes[3] == "One 3 two." and 3 < len(mine) < 17
    found = load_known("realtoxicityprompts_trained", tmp_path, 99, 0, TRAINING_SETS).items
    assert {item for item in found if not item.label} == {Passage(f"One {i}", False) for i in mine if i}
    assert sum(item == Passage(" two.", True) for item in found) == len(mine)


def test_sets_that_are_unknown_absent_or_of_another_form_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="there are llmbar, pandalm"):
        load_known("llmbat", tmp_path, 5, 0)
    with pytest.raises(ValueError, match="--data"):
        load_known("llmbar", tmp_path, 5, 0)
    made_up(tmp_path)
    (tmp_path / "eval" / "pandalm" / "testset-v1.json").write_text('[{"instruction": "x"}]')
    with pytest.raises(ValueError, match="not of the form that pandalm has"):
        load_known("pandalm", tmp_path, 5, 0)


@pytest.mark.parametrize("name", KNOWN)
def test_the_public_sets_are_read_and_have_both_labels(name: str):
    if not DATA.is_dir():
        pytest.skip(f"the labelled sets are not there: no folder {DATA}")
    found = load_known(name, DATA, 100_000, 0)
    assert found.axis == KNOWN[name].axis and len(found.items) >= COUNTS[name]
    share = sum(item.label for item in found.items) / len(found.items)
    assert 0.05 < share < 0.95
    few, again, other = (load_known(name, DATA, 20, seed).items for seed in (0, 0, 1))
    assert few == again != other and len(few) == 20 and set(few) <= set(found.items)
