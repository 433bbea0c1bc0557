import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import FakeLmEval

from tutelage.evaluation import Kept
from tutelage.evaluation.local_tasks import LOCAL, write_tasks
from tutelage.evaluation.standard import Tasks, find_lm_eval, hub_tasks, run_tasks
from tutelage.evaluation.suites import STANDARD

CHOSEN = "Please choose the correct answer to the question: {}\n\nAnswer format: answer1/answer2"
ROWS = {
    "boolq": (
        "Please answer the following question with true or false, question: is it so?\n\nAnswer format: true/false",
        "true",
    ),
    "piqa": (
        "Please choose the correct solution to the question: Open it?\n\nSolution1: push \n\nSolution2: pull\n\n"
        "Answer format: solution1/solution2",
        "solution2",
    ),
    "arc_easy": (CHOSEN.format("Why?\n\nAnswer1: no reason Answer2: many reasons Answer3: one"), "answer3"),
    "siqa": (CHOSEN.format("Ann left. Why?\n\nAnswer1: rain Answer2: sun"), "answer1"),
}
HELLASWAG = {
    "activity_label": "Sailing",
    "ctx_a": "A boat [substeps] is seen.",
    "ctx_b": "the sail",
    "endings": ["falls [title] Then", "rises."],
    "label": 1,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name, (said, answer) in ROWS.items():
        put(root / LOCAL[name].path, json.dumps([{"instruction": said, "answer": answer}]))
    put(root / LOCAL["hellaswag"].path, json.dumps(HELLASWAG) + "\n")
    head = "question,choice0,choice1,choice2,choice3,answer\n"
    put(root / "eval/mmlu/test/world_law_test.csv", head + "Q?,a,b,c,d,0\n")
    put(root / "eval/mmlu/dev/world_law_dev.csv", head + "".join(f"E{i}?,a,b,c,d,2\n" for i in range(7)))
    return root


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def questions(folder: Path, task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{task}.jsonl").read_text().splitlines()]


def test_local_files_become_tasks_of_lm_eval(data: Path, tmp_path: Path):
    written, left_out = write_tasks(data, tmp_path / "tasks", 9, 0)
    assert set(left_out) == {"arc_challenge", "openbookqa"} and "openbookqa.json" in left_out["openbookqa"]
    found = {name: questions(tmp_path / "tasks", task)[0] for name, task in written.items()}
    assert found["boolq"] == {"query": "Question: is it so?\nAnswer:", "choices": ["no", "yes"], "gold": 1}
    assert found["piqa"] == {"query": "Question: Open it?\nAnswer:", "choices": ["push", "pull"], "gold": 1}
    assert found["arc_easy"]["choices"] == ["no reason", "many reasons", "one"] and found["arc_easy"]["gold"] == 2
    assert found["siqa"]["query"] == "Q: Ann left. Why?\nA:"
    told = {"query": "Sailing: A boat is seen. The sail", "choices": ["falls. Then", "rises."], "gold": 1}
    assert found["hellaswag"] == told


def test_questions_of_mmlu_stand_behind_five_examples_of_their_subject(data: Path, tmp_path: Path):
    written, _ = write_tasks(data, tmp_path / "tasks", 9, 0)
    (one,) = questions(tmp_path / "tasks", written["mmlu"])
    assert one["query"].startswith("The following are multiple choice questions (with answers) about world law.\n\nE0?")
    assert one["query"].count("Answer: C") == 5 and one["query"].endswith("Q?\nA. a\nB. b\nC. c\nD. d\nAnswer:")
    assert one["choices"] == ["A", "B", "C", "D"]


def test_questions_are_drawn_by_the_seed_from_the_whole_file(data: Path, tmp_path: Path):
    head = "question,choice0,choice1,choice2,choice3,answer\n"
    for subject in "abcdefgh":
        put(
            data / f"eval/mmlu/test/{subject}_test.csv", head + "".join(f"{subject}{i}?,a,b,c,d,0\n" for i in range(20))
        )
        put(data / f"eval/mmlu/dev/{subject}_dev.csv", head)
    found: list[list[str]] = []
    for seed in (0, 0, 1):
        written, _ = write_tasks(data, tmp_path / "tasks", 12, seed)
        found.append([one["query"].split("\n")[2] for one in questions(tmp_path / "tasks", written["mmlu"])])
    assert found[0] == found[1] != found[2] and len(found[0]) == 12
    assert len({query[0] for query in found[0]}) > 3


def test_a_task_file_of_another_form_is_told(data: Path, tmp_path: Path):
    put(data / LOCAL["piqa"].path, '[{"instruction": "What?", "answer": "solution1"}]')
    with pytest.raises(ValueError, match=r"piqa\.json is not of the form that piqa has"):
        write_tasks(data, tmp_path / "tasks", 9, 0)


def test_an_empty_task_file_is_told(data: Path, tmp_path: Path):
    put(data / LOCAL["piqa"].path, "[]")
    with pytest.raises(ValueError, match="holds no question of piqa"):
        write_tasks(data, tmp_path / "tasks", 9, 0)


def test_local_tasks_are_run_offline_and_read_back(data: Path, tmp_path: Path, lm_eval: FakeLmEval):
    names, _ = write_tasks(data, tmp_path / "tasks", 9, 0)
    kept = Kept(tmp_path / "kept")
    found = run_tasks("models/one", "digest", Tasks(names, tmp_path / "tasks"), tmp_path / "out", kept)
    assert {name: list(scores.values()) for name, scores in found.items()} == {
        **{"boolq": [0.0], "piqa": [0.0], "hellaswag": [0.0], "arc_easy": [0.0], "siqa": [1.0], "mmlu": [1.0]}
    }
    (call,) = lm_eval.calls
    assert call["offline"] == "1" and "pretrained=models/one,dtype=float32" in call["words"]
    assert run_tasks("models/one", "digest", Tasks(names, tmp_path / "tasks"), tmp_path / "out", kept) == found
    assert len(lm_eval.calls) == 1
    run_tasks("models/one", "other weights", Tasks(names, tmp_path / "tasks"), tmp_path / "out", kept)
    assert len(lm_eval.calls) == 2


def test_tasks_of_the_hub_have_the_papers_examples_and_a_group_is_read_whole(tmp_path: Path, lm_eval: FakeLmEval):
    found = run_tasks("m", "d", hub_tasks(), tmp_path / "out", Kept(tmp_path / "kept"))
    assert list(found) == [part.name for part in STANDARD.parts]
    assert sorted(found["mmlu"]) == [f"samples_mmlu_{name}/{i}" for name in ("anatomy", "law") for i in (0, 1)]
    words = {call["words"][call["words"].index("--num_fewshot") + 1]: call for call in lm_eval.calls}
    assert "mmlu" in words["5"]["words"] and words["0"]["offline"] is None


def test_a_missing_lm_eval_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"lm-eval is not installed.*tutelage\[eval\]"):
        find_lm_eval()


@pytest.mark.parametrize(
    ("mode", "told"), [("fail", "exit code 3.*no such model"), ("silent", "wrote no sample of tutelage_boolq")]
)
def test_an_lm_eval_that_fails_is_told_with_its_last_words(
    mode: str, told: str, data: Path, tmp_path: Path, lm_eval: FakeLmEval, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FAKE_LM_EVAL", mode)
    names, _ = write_tasks(data, tmp_path / "tasks", 9, 0)
    kept = Kept(tmp_path / "kept")
    with pytest.raises(ValueError, match=told):
        run_tasks("m", "d", Tasks({"boolq": names["boolq"]}, tmp_path / "tasks"), tmp_path / "out", kept)
    monkeypatch.delenv("FAKE_LM_EVAL")
    assert run_tasks("m", "d", Tasks({"boolq": names["boolq"]}, tmp_path / "tasks"), tmp_path / "out", kept)


def test_a_path_that_lm_eval_would_misread_is_refused(tmp_path: Path, lm_eval: FakeLmEval):
    with pytest.raises(ValueError, match="a comma or an equals sign"):
        run_tasks("runs/a,b", "d", hub_tasks(), tmp_path / "out", Kept(tmp_path / "kept"))
    assert not lm_eval.calls


def test_the_local_tasks_are_those_of_the_suite():
    assert list(LOCAL) == [part.name for part in STANDARD.parts] == list(hub_tasks().names)
