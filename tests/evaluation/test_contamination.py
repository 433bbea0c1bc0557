"""What texts share with evaluation sets, in runs of words."""

import json
from pathlib import Path

from tutelage.evaluation import Overlap, evaluation_texts
from tutelage.evaluation.contamination import ngrams

SETS = {"a": ["One two three four five.", "six seven eight nine"], "b": ["three four five six", "short"]}


def test_texts_and_items_are_counted_by_set():
    overlap = Overlap(SETS, length=3)
    assert overlap.add("He said: ONE, two -- three!") == {"a"}
    assert overlap.add("two three four five six") == {"a", "b"}
    assert overlap.add("nine eight seven six five") == frozenset()
    a, b = overlap.found()["a"], overlap.found()["b"]
    assert (a.texts, a.sharing, a.items, a.met) == (3, 2, 2, 1)
    assert (b.texts, b.sharing, b.items, b.met) == (3, 1, 1, 1), "an item too short to be recognised is not counted"


def test_a_run_of_words_is_the_same_whatever_stands_between_them():
    assert ngrams("a b c d", 3) == ngrams("A, b;\nC-d", 3) and len(ngrams("a b c d", 3)) == 2
    assert not ngrams("a b", 3) and ngrams("a b c", 3) != ngrams("c b a", 3)


def test_sets_are_read_with_their_right_answers_and_without_what_stands_before_all(tmp_path: Path):
    folder = tmp_path / "eval" / "truthfulqa"
    folder.mkdir(parents=True)
    targets = {"No, never.": 1, "Yes, always.": 0}
    row = {"question": "Do pigs fly?", "mc1_targets": targets, "mc2_targets": targets}
    (folder / "mc_task.json").write_text(json.dumps([row]))
    found, missing = evaluation_texts(tmp_path)
    texts = next(texts for name, texts in found.items() if "truthfulqa" in name)
    assert "Do pigs fly?" in texts[0] and "No, never." in texts[0]
    assert "always" not in texts[0] and "life expectancy" not in texts[0]
    assert "boolq" in missing and "no file" in missing["boolq"]
