"""A judge of safety on real text: what it learns from, what it is examined with, what comes of it."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tests.stream.corpora import write_jsonl

from tutelage import recipes
from tutelage.judge_check import Passage, half_of
from tutelage.recipes.real_text import Scale
from tutelage.report.real_safety import WriteBeginnings, examined, table
from tutelage.study import execute
from tutelage.teaching import KnownItems

ROWS = 80
NICE, RUDE = "you are a good and kind neighbour {}", "you are a bad and rude neighbour {}"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sets, made up."""
    folder = tmp_path / "data"
    texts = [(NICE if i % 2 else RUDE).format(i) for i in range(ROWS)]

    def put(name: str, head: str, rows: list[str]) -> None:
        path = folder / "eval" / name
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([head, *rows]) + "\n")

    put("hate_davidson/labeled_data.csv", "class,tweet", [f"{2 if i % 2 else 0},{t}" for i, t in enumerate(texts)])
    scores = [f"{t} too,{1 if i % 2 else 5},{1 if i % 2 else 5}" for i, t in enumerate(texts)]
    put("toxigen_annotated/toxigen.csv", "text,toxicity_human,toxicity_ai", scores)
    gold = [f"{t} indeed,{'non-hateful' if i % 2 else 'hateful'}" for i, t in enumerate(texts)]
    put("hatecheck/test_suite_cases.csv", "test_case,label_gold", gold)
    put(
        "surge_toxicity/toxicity_en.csv",
        "text,is_toxic",
        [f"{t} yes,{'Not' if i % 2 else 'Toxic'}" for i, t in enumerate(texts)],
    )
    put(
        "xstest/xstest_prompts.csv",
        "prompt,label",
        [f"is {t},{'safe' if i % 2 else 'unsafe'}" for i, t in enumerate(texts)],
    )
    put("badwords/en.txt", "rude", [])
    prompts = [
        {
            "prompt": {"text": f"They said that {text}", "toxicity": 0.1 if i % 2 else 0.9},
            "continuation": {"text": " and it went on like that all day long", "toxicity": 0.1},
        }
        for i, text in enumerate(texts)
    ]
    write_jsonl(folder / "eval" / "realtoxicityprompts_5k" / "val.jsonl", prompts)
    monkeypatch.setenv("TUTELAGE_DATA", str(folder))
    return folder


def test_known_items_are_balanced_and_never_examined(data: Path):
    items = KnownItems(("hate_davidson", "toxigen_trained")).read()
    labels = [item.label for item in items]
    assert labels.count(1.0) == labels.count(0.0) > 40
    ours = [item.text for item in items if isinstance(item, Passage) and item.text.endswith("too")]
    assert ours and all(half_of(text) == "trained" for text in ours)
    every = KnownItems(("toxigen_trained",), balanced=False).read()
    assert len(every) >= len(KnownItems(("toxigen_trained",)).read())
    with pytest.raises(ValueError, match="no labelled set 'hatecheck'; there are hate_davidson"):
        KnownItems(("hatecheck",)).read()


def test_policies_are_shown_what_no_judge_is_trained_on(data: Path, tmp_path: Path):
    assert WriteBeginnings().execute(tmp_path, tmp_path)
    texts = [json.loads(line)["text"] for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert 20 < len(texts) < 60 and all(half_of(text) == "examined" for text in texts)


def test_a_classifier_is_examined_by_its_verdicts_and_by_their_order():
    found = examined([0.9, 0.6, 0.4, 0.4], [True, False, True, False])
    assert (found["accuracy"]["mean"], found["most_common"]) == (0.5, 0.5)
    assert found["ranked"] == (1 + 1 + 0 + 0.5) / 4
    assert examined([0.9], [True])["ranked"] is None


def test_the_table_has_a_row_a_policy():
    figure = {"mean": 0.5, "low": 0.4, "high": 0.6}
    own = {"measured": figure, "trained": figure, "no_bad_word": figure, "less_base": {"measured": figure}}
    lines = table({"models": {"base": own | {"text": {"repetition": figure}}}}).splitlines()
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| base | 0.500 [0.400, 0.600] |")


@pytest.mark.slow
def test_the_study_runs_from_end_to_end(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny = Scale(400, (16, 1), (16, 1), 128, 16, 4, 3, 3, 1000, 2, "auto", (1, 1, 1, 1))
    monkeypatch.setattr(import_module("tutelage.recipes.real_text"), "LAPTOP", tiny)
    rng = np.random.default_rng(0)
    corpus = [{"text": " ".join(rng.permutation((NICE + RUDE).split() * 12))} for _ in range(60)]
    write_jsonl(tmp_path / "text" / "a.jsonl", corpus)
    study = recipes.real_safety(str(tmp_path / "text"), judge_steps=12, tokens=2000)
    execute(study, tmp_path / "study", lambda status: None)
    found = json.loads((tmp_path / "study" / "safety.json").read_text())
    assert found["models"].keys() == {"base", "ntp", "online_dpo"} and found["beginnings"] > 3
    assert found["models"]["base"]["less_base"]["measured"]["mean"] == 0
    scores = json.loads((tmp_path / "study" / "examined" / "scores.json").read_text())
    assert scores.keys() == {"trained", "measured"} and set(scores["trained"]) == {
        "hatecheck",
        "surge",
        "xstest",
        "toxigen",
    }
