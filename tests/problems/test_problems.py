"""Problem files: what is read, what is refused and where, and what the public sets hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage.episodes import Problem
from tutelage.problems import (
    Gsm8k,
    HumanEval,
    JsonLines,
    Math,
    Mbpp,
    ProblemError,
    ProblemSet,
    ProblemSource,
    unverifiable,
    verifiable,
)
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers import CodeKey


def written(folder: Path, name: str, rows: list[Any]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def complaint(source: ProblemSource) -> str:
    with pytest.raises(ProblemError) as raised:
        source.read()
    return str(raised.value)


GOOD = {"id": "a", "question": "2 + 3?", "key": "5"}


def test_json_lines_become_problems_with_solutions_and_tags(tmp_path: Path):
    rows = [{**GOOD, "solution": "2 + 3 = 5", "level": 3}, {"question": "4?", "key": 4}]
    found = JsonLines(str(written(tmp_path, "p.jsonl", rows))).read()
    assert found.problems == (Problem("a", "2 + 3?", "5", (("level", "3"),)), Problem("p.jsonl:2", "4?", "4"))
    assert found.solutions == ("2 + 3 = 5", None)
    assert isinstance(JsonLines(""), ProblemSource)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "b", "question": "x?"}, "no answer"),
        ({"id": "b", "question": "x?", "key": "  "}, "no answer"),
        ({"id": "b", "question": "x?", "key": None}, "no answer"),
        ({"id": "b", "question": "x?", "key": ["5"]}, "no answer"),
        ({"id": "b", "question": "", "key": "5"}, "no question"),
        ({"id": "a", "question": "other?", "key": "5"}, "the id a stands at"),
        ({"id": "b", "question": "2  + 3?", "key": "5"}, "asked at"),
        ({"id": "b", "question": "2 + 3?", "key": "6"}, "with the answer 5"),
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
    ],
)
def test_what_is_no_problem_is_named_with_its_line(tmp_path: Path, row: Any, reason: str):
    path = written(tmp_path, "p.jsonl", [GOOD, "", row])
    said = complaint(JsonLines(str(path)))
    assert said.startswith("1 of 2 problems cannot be used")
    assert f"{path}:3: " in said
    assert reason in said
    left = JsonLines(str(path), max_unusable=0.5).read()
    assert [problem.id for problem in left.problems] == ["a"]
    assert [fault.where for fault in left.unusable] == [f"{path}:3"]


def test_many_faults_are_counted_and_a_few_are_named(tmp_path: Path):
    path = written(tmp_path, "p.jsonl", [GOOD, *({"id": i, "question": f"{i}?"} for i in range(20))])
    said = complaint(JsonLines(str(path)))
    assert "20 of 21" in said
    assert said.count("no answer") == 5
    assert "and 15 more" in said


def test_files_that_cannot_be_read_are_named(tmp_path: Path):
    assert "nowhere.jsonl" in complaint(JsonLines(str(tmp_path / "nowhere.jsonl")))
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": 1}\n{"question": "\xe9"}\n')
    assert "latin.jsonl:2: not UTF-8" in complaint(JsonLines(str(tmp_path / "latin.jsonl")))
    assert "0 of 0" in complaint(JsonLines(str(written(tmp_path, "empty.jsonl", []))))
    assert "gsm8k" in complaint(Gsm8k(folder=str(tmp_path)))


def test_gsm8k_has_its_key_behind_four_hashes(tmp_path: Path):
    rows = [{"question": f"{i}?", "answer": f"It is {i}.\n#### {i}"} for i in range(50)]
    written(tmp_path, "gsm8k/train.jsonl", rows)
    written(tmp_path, "gsm8k/test.jsonl", [*rows[:2], {"question": "none?", "answer": "I do not know."}])
    train, held = (Gsm8k(split, str(tmp_path), validation=0.3).read() for split in ("train", "validation"))
    assert len(train.problems) + len(held.problems) == 50
    assert 5 < len(held.problems) < 25
    assert not {p.id for p in train.problems} & {p.id for p in held.problems}
    assert all(
        solution and solution.endswith(problem.key)
        for problem, solution in zip(train.problems, train.solutions, strict=True)
    )
    assert "test.jsonl:3: no answer" in complaint(Gsm8k("test", str(tmp_path)))


def small_math(folder: Path) -> None:
    test = [
        {"problem": "t0?", "solution": "\\boxed{0}", "answer": "0", "subject": "Algebra", "level": 2, "unique_id": "u0"}
    ]
    written(folder, "math/math500_test.jsonl", test)
    whole = [
        {"problem": f"t{i}?", "level": "Level 3", "type": "Algebra", "solution": f"\\boxed{{{i}}}", "idx": i}
        for i in range(3)
    ]
    written(folder, "math/math_test_5000.jsonl", whole)
    answers = [
        {"problem": f"a{i}?", "answer": str(i) if i != 1 else None, "difficulty": 4.0, "type": "Geometry"}
        for i in range(3)
    ]
    (folder / "math" / "math_train_answers.json").write_text(json.dumps(answers, indent=1), "utf-8")
    for subject in ("algebra", "counting_and_probability", "number_theory", "prealgebra"):
        rows = [
            {"input": "a0?", "output": "So \\boxed{0}.", "answer": "0"},
            {"input": "new?", "output": "9", "answer": "9"},
        ]
        written(folder, f"math/math_train_solutions_{subject}.jsonl", rows if subject == "algebra" else [])


def test_math_trains_on_all_that_math_500_lacks(tmp_path: Path):
    small_math(tmp_path)
    found = Math("train", str(tmp_path), validation=0.0, max_unusable=0.2).read()
    assert [(p.question, p.key) for p in found.problems] == [
        ("a0?", "0"),
        ("a2?", "2"),
        ("new?", "9"),
        ("t1?", "1"),
        ("t2?", "2"),
    ]
    assert found.solutions[:2] == ("So \\boxed{0}.", None)
    assert dict(found.problems[0].tags) == {"level": "4", "subject": "Geometry"}
    assert [str(fault) for fault in found.unusable] == [f"{tmp_path}/math/math_train_answers.json:8: no answer"]
    assert found.notes == ("5 training problems where the protocol has 12,000",)
    (only,) = Math("test", str(tmp_path)).read().problems
    assert (only.id, only.key, dict(only.tags)) == ("math500-u0", "0", {"level": "2", "subject": "Algebra"})


def test_a_broken_array_is_named_with_its_line(tmp_path: Path):
    small_math(tmp_path)
    (tmp_path / "math" / "math_train_answers.json").write_text('[\n{"problem": "a"},\n{"problem": \n]', "utf-8")
    assert "math_train_answers.json:3: not JSON" in complaint(Math("train", str(tmp_path)))


def test_mbpp_shows_the_tests_that_it_is_told_to(tmp_path: Path):
    row = {
        "task_id": 601,
        "text": "Double.",
        "code": "def sum(a):\r\n  return a",
        "test_setup_code": "",
        "test_list": ["assert sum(1) == 1", "assert sum(2) == 2"],
    }
    written(tmp_path, "mbpp/mbpp.jsonl", [row, {**row, "task_id": 11}, {**row, "task_id": 602, "test_list": []}])
    assert "mbpp.jsonl:3: no tests" in complaint(Mbpp("train", str(tmp_path)))
    (problem,) = Mbpp("train", str(tmp_path), shown_tests=1, max_unusable=0.5).read().problems
    assert problem.id == "mbpp-601"
    assert "sum(1)" in problem.question
    assert "sum(2)" not in problem.question
    key = CodeKey.read(problem.key)
    assert key.names == ("sum",)
    assert "sum(2)" in key.tests
    assert [p.id for p in Mbpp("test", str(tmp_path)).read().problems] == ["mbpp-11"]


def test_humaneval_gives_helpers_of_its_prompt_to_both_sides(tmp_path: Path):
    prompt = 'import math\n\ndef poly(x):\n    return x\n\n\ndef zero(a):\n    """Find it."""\n'
    row = {
        "task_id": "HumanEval/0",
        "prompt": prompt,
        "entry_point": "zero",
        "canonical_solution": "    return 0\n",
        "test": "def check(candidate):\n    assert poly(candidate(1)) == 0\n",
    }
    written(tmp_path, "humaneval/HumanEval.jsonl", [row])
    found = HumanEval(str(tmp_path)).read()
    key = CodeKey.read(found.problems[0].key)
    assert key.names == ("zero",)
    assert key.preamble == key.helpers == "import math\n\ndef poly(x):\n    return x\n\n\n"
    assert key.tests.endswith("check(zero)\n")
    assert found.problems[0].question == prompt
    written(tmp_path, "humaneval/HumanEval.jsonl", [{**row, "entry_point": "gone"}])
    assert "HumanEval.jsonl:1: the prompt does not define" in complaint(HumanEval(str(tmp_path)))


class Reads:
    """Can read numbers only."""

    def check(self, problems: Any, attempts: Any) -> list[Verdict]:
        return [
            Scored(float(problem.key in attempt))
            if problem.key.isdigit()
            else Abstained(f"the key {problem.key} is no number")
            for problem, attempt in zip(problems, attempts, strict=True)
        ]

    def answers(self, problems: Any, attempts: Any) -> list[str | None]:
        return list(attempts)


def test_keys_that_cannot_be_checked_are_counted_and_named():
    problems = tuple(Problem(f"p{i}", f"{i}?", key) for i, key in enumerate(("1", "two", "3", "4")))
    found = ProblemSet(problems, (None, None, "it is 3", "it is 5"))
    faults = unverifiable(problems, ["1", "two", "3", "5"], Reads())
    assert [str(fault) for fault in faults] == [
        "p1: the key two is no number",
        "p3: its own answer is verified as wrong",
    ]
    left = verifiable(found, Reads(), max_unusable=0.5)
    assert [p.id for p in left.problems] == ["p0", "p2"]
    assert left.solutions == (None, "it is 3")
    assert len(left.unusable) == 2
    with pytest.raises(ProblemError, match="2 of 4 problems cannot be verified"):
        verifiable(found, Reads(), max_unusable=0.4)


def test_the_public_sets_are_read_whole():
    from tests.verifiers.conftest import DATA

    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there")
    folder = str(DATA)
    gsm8k = {split: len(Gsm8k(split, folder).read().problems) for split in ("train", "validation", "test")}
    assert gsm8k["train"] + gsm8k["validation"] == 7473
    assert gsm8k["test"] == 1319
    assert {split: len(Mbpp(split, folder).read().problems) for split in ("prompt", "train", "validation", "test")} == {
        "prompt": 10, "train": 374, "validation": 90, "test": 500,
    }  # fmt: skip
    assert len(HumanEval(folder).read().problems) == 164
    assert len(Math("test", folder).read().problems) == 500
    whole = Math("train", folder, validation=0.0).read()
    assert 11_900 < len(whole.problems) <= 12_000
    assert whole.notes[0].endswith("where the protocol has 12,000")
    tested = {p.question for p in Math("test", folder).read().problems}
    assert not tested & {p.question for p in whole.problems}
