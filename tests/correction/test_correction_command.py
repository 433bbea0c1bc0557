"""``tutelage evaluate --correction``: any model, any problems, turn by turn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.correction.parts import correcting, correction_run
from tests.correction.parts import task as digits_task
from tests.endpoints.fault_server import FaultServer
from tests.tiny import train_all

from tutelage.cli import main
from tutelage.correction import Exam, FirstAttempts, Plain
from tutelage.correction.served import taken_by_text
from tutelage.endpoints import ENDING, LEDGER, forget
from tutelage.protocols import Prompt
from tutelage.types import Absent

WORDS = ["--import", "tests.correction.parts"]


@pytest.fixture(scope="module")
def run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "digits"
    train_all(correction_run(digits, correcting(steps=2)), directory)
    return directory


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def numbers(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["models"]


def test_a_run_is_examined_in_its_own_task_up_to_ten_turns_with_votes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "found.json"
    asked = ["--turns", "4", "--episodes", "4", "--temperature", "1", "--items", "5", "--json", str(file)]
    assert main(["evaluate", "--correction", str(run), "--run", str(run), *asked, *WORDS]) == 0
    (found,) = numbers(file).values()
    assert (found["problems"], found["episodes"], found["turns"]) == (5, 4, 4)
    assert len(found["accuracy_by_turn"]) == len(found["majority_by_turn"]) == 4
    assert found["votes"]["budget"] == [2, 4] and len(found["votes"]["sequential"]) == 2
    assert found["t1"] == found["accuracy_by_turn"][0]
    assert found["delta"]["mean"] == pytest.approx(found["t2"]["mean"] - found["t1"]["mean"])
    assert found["t1"]["low"] <= found["t1"]["mean"] <= found["t1"]["high"]
    told = capsys.readouterr().out
    assert "| right at turn | 1 | 2 | 3 | 4 |" in told and "wrong → right" in told and "sequential" in told


def test_fixed_first_attempts_and_a_neutral_instruction_stand_beside(run: Path, tmp_path: Path):
    attempts, file = tmp_path / "others.jsonl", tmp_path / "found.json"
    lines = [{"problem": f"digit-{i}", "attempt": f" {(i + 1) % 10}"} for i in range(10)]
    attempts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = ["--first-attempts", str(attempts), "--neutral", "next", "--json", str(file)]
    assert main(["evaluate", "--correction", str(run), "--run", str(run), *asked, *WORDS]) == 0
    own, fixed, neutral = numbers(file).items()
    assert fixed[0].endswith("first attempts of others") and neutral[0].endswith("neutral instruction")
    assert fixed[1]["t1"]["mean"] == 100.0, "all of theirs are right"
    assert own[1]["t1"] == neutral[1]["t1"] and own[1]["t1"]["mean"] < 100.0


def test_what_was_kept_is_not_asked_again_and_other_settings_are(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = ["evaluate", "--correction", str(run), "--run", str(run), "--out", str(tmp_path / "kept"), *WORDS]
    assert main(asked) == 0
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 1 and (tmp_path / "kept" / "tables.md").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(Exam, "taken_by", lambda *_: pytest.fail("asked again"))
        assert main(asked) == 0
    assert main([*asked, "--turns", "3"]) == 0
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--correction"], "name at least one model"),
        (["--correction", "RUN"], "name the problems"),
        (["--correction", "RUN", "--problems", "gsm9k"], "there are no problems 'gsm9k': name gsm8k, math"),
        (["--correction", "RUN", "--run", "RUN", "--episodes", "2"], "give --temperature above 0"),
        (["--correction", "RUN", "--run", "RUN", "--turns", "1", "--first-attempts", "x"], "must be at least 2"),
        (["--correction", "RUN", "--run", "RUN", "--stream.path", "x"], "settings begin with --task. or --model."),
        (["--correction", "RUN", "--run", "RUN", "--task.turn", "3"], "turn"),
        (["RUN", "--path", "x", "--turns", "3"], "--turns belongs to --correction"),
    ],
)
def test_words_that_make_no_sense_together_are_refused(
    run: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["evaluate", *(str(run) if word == "RUN" else word for word in words), *WORDS]) == 2
    assert complaint in capsys.readouterr().err


class Talker:
    """Says what is asked for; remembers what it was asked."""

    name = "talker"

    def __init__(self, *answers: str | None) -> None:
        self.answers = answers
        self.asked: list[list[Prompt]] = []

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        said = self.answers[len(self.asked)]
        self.asked.append(list(prompts))
        return [Absent("talker", "it is busy") if said is None else said for _ in prompts]


def exam(**changes: Any) -> Exam:
    return Exam(digits_task(episodes=2, format=Plain("next {question}", "again"), **changes), 3)


def test_a_served_model_is_told_what_was_said_before():
    model = Talker("3", "4")
    told = taken_by_text(exam(), model, seed=0)
    first, second = model.asked
    assert [len(first), len(second)] == [6, 6] and all(not prompt.before for prompt in first)
    assert second[0].user == "again" and second[0].before == ((first[0].user, "3"),)
    assert told.right.shape == (3, 2, 2)
    assert told.right[:, 0, 0].tolist() == [name == "digit-2" for name in told.ids]
    assert told.right[:, 0, 1].tolist() == [name == "digit-3" for name in told.ids]


def test_a_server_without_an_answer_has_abstained_and_is_asked_no_more():
    told = taken_by_text(exam(turns=3), model := Talker("3", None, "5"), seed=0)
    assert told.known[..., 0].all() and not told.known[..., 1:].any() and len(model.asked[2]) == 0
    assert told.sums()[:, 0].sum() == 0, "no episode has both verdicts"


def test_a_served_model_may_begin_with_the_attempts_of_another(tmp_path: Path):
    path = tmp_path / "others.jsonl"
    path.write_text("".join(json.dumps({"problem": f"digit-{i}", "attempt": "7"}) + "\n" for i in range(10)))
    model = Talker("", "4")
    told = taken_by_text(exam(first_attempts=FirstAttempts(str(path), share=1.0)), model, seed=0)
    assert {prompt.before[0][1] for prompt in model.asked[-1]} == {"7"} and told.right.shape == (3, 2, 2)


def test_a_server_is_asked_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    problems = tmp_path / "problems.jsonl"
    rows = [{"id": f"p{i}", "question": f"What is {i} + 1?", "key": str(i + 1)} for i in range(3)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with FaultServer(model="sage", answer=lambda prompt, seed: "So it is. Final Answer: $2$") as server:
        asked = ["--problems", str(problems), "--server", server.url, "--json", str(tmp_path / "found.json")]
        assert main(["evaluate", "--correction", "sage", *asked, "--turns", "3"]) == 0
        last = server.asked[-1].body["messages"]
    forget()
    LEDGER.__init__()
    ENDING.clear()
    assert [message["role"] for message in last] == ["user", "assistant", "user", "assistant", "user"]
    found = numbers(tmp_path / "found.json")["sage"]
    assert [turn["mean"] for turn in found["accuracy_by_turn"]] == [pytest.approx(100 / 3)] * 3
    assert found["change_rate"]["mean"] == 0.0
