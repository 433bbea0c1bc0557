"""``tutelage evaluate --correction``: any model, any problems, turn by turn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.correction.parts import SHAPE, Digits, Prompts, correcting, correction_run
from tests.correction.parts import task as digits_task
from tests.endpoints.fault_server import FaultServer
from tests.tiny import train_all

from tutelage.cli import main
from tutelage.codec import HFCodec, Tokenizer
from tutelage.correction import Asked, Exam, FirstAttempts, Plain, Subject
from tutelage.correction.problems import drawn
from tutelage.correction.served import taken_by_text
from tutelage.endpoints import ENDING, LEDGER, forget
from tutelage.episodes import Problem
from tutelage.objectives import SingleTurn
from tutelage.problems.contract import ProblemSet
from tutelage.protocols import Answered, Prompt
from tutelage.types import Absent
from tutelage.weights import FromConfig

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
        (["--correction", "RUN", "--run", "RUN", "--turns", "1", "--neutral", "x"], "must be at least 2"),
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


def test_a_run_that_asks_whole_prompts_has_one_attempt(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    phase = correcting(SingleTurn(), 1, turns=1, problems=Prompts(), format=Asked(plain=True))
    train_all(correction_run(digits, phase), run := tmp_path / "asked")
    asked = ["evaluate", "--correction", str(run), "--run", str(run), *WORDS]
    assert main(asked) == 2 and "asks whole prompts" in capsys.readouterr().err
    assert main([*asked, "--turns", "1", "--server", "http://localhost:9/v1"]) == 2
    assert main([*asked, "--turns", "1", "--json", str(tmp_path / "found.json")]) == 0
    assert numbers(tmp_path / "found.json")[str(run)]["turns"] == 1


class Talker:
    """Says what is asked for, cut off where it ends in dots; remembers what it was asked."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = answers
        self.asked: list[list[Prompt]] = []

    def answered(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answered | Absent]:
        said = self.answers[len(self.asked)]
        self.asked.append(list(prompts))
        return [Absent("talker", "it is busy") if said is None else self.ended(said) for _ in prompts]

    def ended(self, said: str) -> Answered:
        return Answered(said.removesuffix("…"), cut=said.endswith("…"))


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


def test_an_attempt_that_the_server_cut_off_is_wrong_and_counted_unless_the_task_has_it_checked():
    told = taken_by_text(exam(problems=Digits(3)), Talker("3…", "3"), seed=0)
    assert told.cut[..., 0].all() and not told.cut[..., 1].any() and (told.answers[..., 0] == -1).all()
    assert not told.right[..., 0].any() and told.right[..., 1].any(), "the same answer, whole"
    checked = taken_by_text(exam(problems=Digits(3), cut_off="checked"), Talker("3…", "3"), seed=0)
    assert checked.cut[..., 0].all() and checked.right[..., 0].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_served_model_meets_the_problems_that_a_model_here_meets(seed: int, digits: Path, digits_codec: HFCodec):
    subject = Subject(FromConfig("llama", SHAPE), Tokenizer(str(digits)), seed, "cpu")
    asked = exam(problems=Digits(40, broken=5))
    here, served = asked.taken_by(subject.resources()), taken_by_text(asked, Talker("3", "4"), seed=seed)
    assert set(here.ids) == set(served.ids) and len(here.ids) == 3
    other = taken_by_text(asked, Talker("3", "4"), seed=seed + 2)
    assert set(other.ids) != set(served.ids), "the seed draws"


def test_problems_are_drawn_by_their_ids_and_none_may_be_another():
    twice = ProblemSet((Problem("a", "1", "2"), Problem("a", "2", "3")), (None, None))
    with pytest.raises(ValueError, match="two problems are called 'a'"):
        drawn(twice, 2, 0)
    with pytest.raises(ValueError, match=r"no problem can be used \(1 problems_without_an_answer\)"):
        drawn(ProblemSet((Problem("a", "1", " "),), (None,)), 2, 0)
    found = drawn(Digits(40).read(), 5, 0)
    fewer = ProblemSet(found.problems[1:], found.solutions[1:])
    assert drawn(fewer, 4, 0).problems == found.problems[1:], "what is left out draws nothing else anew"


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


def test_a_server_is_given_the_attempts_of_another_that_a_model_here_is_given(
    tmp_path: Path, digits: Path, digits_codec: HFCodec
):
    path = tmp_path / "others.jsonl"
    lines = [{"problem": f"digit-{i}", "attempt": f" {said}"} for i in range(10) for said in range(10)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = exam(first_attempts=FirstAttempts(str(path), share=1.0))
    subject = Subject(FromConfig("llama", SHAPE), Tokenizer(str(digits)), 0, "cpu")
    here, served = asked.taken_by(subject.resources()), taken_by_text(asked, Talker("", "4"), seed=0)
    mine, theirs = (dict(zip(told.ids, told.right[..., 0].tolist(), strict=True)) for told in (here, served))
    assert mine == theirs


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
