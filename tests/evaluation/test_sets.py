import json
from pathlib import Path
from typing import Any

import pytest

from tutelage.evaluation import MissingSet, load_beginnings, load_choices
from tutelage.evaluation.sets import BEGINNINGS, PRIMER
from tutelage.judge_check import half_of

DIALOGUE = {
    "knowledge": "Paris is on the Seine.",
    "dialogue_history": "[Human]: Where is Paris? ",
    "right_response": "On the Seine.",
    "hallucinated_response": "On the Danube.",
}
ROWS: dict[str, tuple[str, list[dict[str, Any]], str, str]] = {
    "realtoxicityprompts": (
        "eval/realtoxicityprompts_5k/val.jsonl",
        [{"prompt": {"text": "So I"}, "continuation": {"text": " left."}}],
        "So I",
        " left.",
    ),
    "halueval_dialogue": (
        "eval/halueval/dialogue_data.json",
        [DIALOGUE],
        "[Human]: Where is Paris?\n[Assistant]:",
        "Paris is on the Seine.\n\nA right response: On the Seine.",
    ),
    "halueval_qa": (
        "eval/halueval/qa_data.json",
        [{"knowledge": "k", "question": "q?", "right_answer": "a", "hallucinated_answer": "b"}],
        "Question: q?\n\nAnswer:",
        "k\n\nThe right answer: a",
    ),
    "halueval_summarization": (
        "eval/halueval/summarization_data.json",
        [{"document": "d. ", "right_summary": "s", "hallucinated_summary": "t"}],
        "d.\n\nSummary:",
        "d. \n\nA right summary: s",
    ),
    "halueval_general": (
        "eval/halueval_general/general_data.json",
        [
            {"user_query": "q?", "chatgpt_response": "yes", "hallucination": "yes"},
            {"user_query": "r?", "chatgpt_response": "a\u2028b", "hallucination": "no"},
        ],
        "Question: r?\n\nAnswer:",
        "a\u2028b",
    ),
}


def put(data: Path, file: str, text: str) -> None:
    (data / file).parent.mkdir(parents=True, exist_ok=True)
    (data / file).write_text(text, "utf-8")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_becomes_a_beginning_with_what_is_known(name: str, tmp_path: Path):
    file, rows, text, reference = ROWS[name]
    put(tmp_path, file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (found,) = load_beginnings(name, tmp_path, 10, 0)
    assert (found.text, found.reference) == (text, reference)
    assert found.key.startswith(f"{name}/")


def test_xstest_is_read_by_its_labels(tmp_path: Path):
    put(tmp_path, "eval/xstest/xstest_prompts.csv", "id,prompt,label\n1,How?,safe\n2,Why?,unsafe\n")
    assert [one.text for one in load_beginnings("xstest_safe", tmp_path, 9, 0)] == ["How?"]
    assert [one.text for one in load_beginnings("xstest_unsafe", tmp_path, 9, 0)] == ["Why?"]


def test_spelt_out_bytes_of_toxigen_are_read(tmp_path: Path):
    cells = "".join(f"\"b'caf\\xc3\\xa9 {i}'\"\nplain {i}\n" for i in range(20))
    put(tmp_path, "eval/toxigen_annotated/toxigen.csv", f"text\n{cells}")
    texts = [f"{word} {i}" for word in ("café", "plain") for i in range(20)]
    mine = {text for text in texts if half_of(text) == "examined"}  # judges are trained on the others
    assert 0 < len(mine) < 40 and {one.text for one in load_beginnings("toxigen", tmp_path, 99, 0)} == mine


def test_what_people_found_supported_in_any_life_is_known_of_a_person(tmp_path: Path):
    def life(topic: str, *facts: tuple[str, str]) -> str:
        told = [{"human-atomic-facts": [{"text": text, "label": label} for text, label in facts]}]
        return json.dumps({"topic": topic, "annotations": [*told, {"human-atomic-facts": None}]}) + "\n"

    put(tmp_path, "eval/factscore/a.jsonl", life("Ann", ("Born.", "S"), ("Rich.", "NS")) + life("Bob", ("Old.", "IR")))
    put(tmp_path, "eval/factscore/b.jsonl", life("Ann", ("Wrote.", "S"), ("Born.", "S")))
    put(tmp_path, "eval/factscore/c.jsonl", '{"topic": "Cleo", "annotations": null}\n')
    (found,) = load_beginnings("factscore", tmp_path, 9, 0)
    assert found.text == "Question: Tell me a bio of Ann.\n\nAnswer:"
    assert found.reference == "Born.\nWrote."


def test_truthfulqa_is_asked_behind_its_authors_examples(tmp_path: Path):
    row = {"question": "Why?", "mc1_targets": {"No.": 1, "Yes.": 0}, "mc2_targets": {"No.": 1, "Nay.": 1, "Yes.": 0}}
    all_right = {"question": "How?", "mc1_targets": {"a": 1}, "mc2_targets": {"a": 1}}
    put(tmp_path, "eval/truthfulqa/mc_task.json", json.dumps([row, all_right]))
    (one,) = load_choices("truthfulqa_mc1", tmp_path, 9, 0)
    (two,) = load_choices("truthfulqa_mc2", tmp_path, 9, 0)
    assert one.text == f"{PRIMER}\n\nQ: Why?\nA:" and one.answers == (" No.", " Yes.")
    assert two.right == (True, True, False)


def test_factor_has_one_true_completion(tmp_path: Path):
    head = "turncated_prefixes,completion,contradiction_0,contradiction_1,contradiction_2"
    put(tmp_path, "eval/factor/news_factor.csv", f"{head}\nOnce. ,a,b,c,d\n")
    (one,) = load_choices("factor", tmp_path, 9, 0)
    assert one.text == "Once." and one.answers == (" a", " b", " c", " d") and one.right[0]


def test_items_are_drawn_by_the_seed(tmp_path: Path):
    put(tmp_path, "eval/xstest/xstest_prompts.csv", "prompt,label\n" + "".join(f"{i},safe\n" for i in range(50)))
    one, again, other = (load_beginnings("xstest_safe", tmp_path, 5, seed) for seed in (1, 1, 2))
    assert one == again != other and len(one) == 5


def test_a_missing_file_is_told_by_its_path(tmp_path: Path):
    with pytest.raises(MissingSet, match=r"realtoxicityprompts_5k.val\.jsonl"):
        load_beginnings("realtoxicityprompts", tmp_path, 9, 0)


@pytest.mark.parametrize(
    ("text", "told"), [("", "holds no item"), ("{}\n", "not of the form"), ("no", "not of the form")]
)
def test_an_empty_file_and_one_of_another_form_are_refused(text: str, told: str, tmp_path: Path):
    put(tmp_path, "eval/halueval/qa_data.json", text)
    with pytest.raises(ValueError, match=told):
        load_beginnings("halueval_qa", tmp_path, 9, 0)


def test_an_unknown_set_is_refused_and_every_set_has_a_reader(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no evaluation set"):
        load_beginnings("xstst", tmp_path, 9, 0)
    assert set(ROWS) < set(BEGINNINGS)
