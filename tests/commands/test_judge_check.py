import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.endpoints.fault_server import FaultServer
from tests.tiny import tiny_phase, tiny_run

from tutelage.cli import main
from tutelage.commands.judge_tables import figures
from tutelage.endpoints import LEDGER, AnswerCache, Endpoint, forget
from tutelage.judge_check import Examined, LabelledSet, measure
from tutelage.judge_check.items import Pair
from tutelage.judges import Guard, PairwiseQuality
from tutelage.prompts import QualityPrompt
from tutelage.run import save_run
from tutelage.scripted import ScriptedModel


def answer(prompt: str, seed: int) -> str:
    """Prefers what is good, and what was said last."""
    return f"VERDICT: {1 if 'good' in prompt.split('continuation 1]]')[1] else 2}"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(answer=answer) as one:
        yield one
        forget()
    LEDGER.__init__()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    row: dict[str, Any] = {"prefix": "The day was", "first": " good", "second": " bad"}
    path.write_text("".join(json.dumps({**row, "better": better}) + "\n" for better in (1, 1, 1, 2)))
    return path


def served(server: FaultServer, texts: Path) -> list[str]:
    """The words by which a judge on a server is asked about the file."""
    return ["judge-check", "judge", "--server", server.url, "--file", str(texts)]


def test_a_served_judge_is_measured(
    server: FaultServer, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = [*served(server, texts), "--json", str(tmp_path / "a" / "b.json")]
    assert main([*words, "--require", "accuracy=0.75", "--require", "order_flips=0", "--injections", "12"]) == 0
    told = capsys.readouterr().out
    assert "mine" in told and "0.750" in told and "texts that talk to the judge" in told
    facts = json.loads((tmp_path / "a" / "b.json").read_text())
    (found,) = facts["sets"]
    assert found["accuracy"]["mean"] == 0.75 and found["questions"] == 16 and found["prompt_tokens"] > 0
    assert found["self_agreement"] == 1.0 and found["position_bias"] == 0.0
    assert facts["injections"][0]["texts"] == 12
    assert [one["met"] for one in facts["required"]] == [True, True]
    assert facts["judges"]["quality"]["model"]["temperature"] == 1.0


def test_a_judge_under_a_threshold_fails_after_the_table(
    server: FaultServer, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = [*served(server, texts), "--injections", "0", "--samples", "1"]
    code = main([*words, "--require", "mine.accuracy=0.8", "--json", str(tmp_path / "out.json")])
    told = capsys.readouterr()
    assert code == 1 and "0.750" in told.out
    assert "does not reach what was required: mine.accuracy at least 0.8 (mine: 0.75)" in told.err
    assert json.loads((tmp_path / "out.json").read_text())["required"][0]["met"] is False


def test_settings_of_the_model_and_the_form_are_passed_on(server: FaultServer, texts: Path, tmp_path: Path):
    words = [*served(server, texts), "--injections", "0", "--form", "label"]
    settings = ["--model.temperature", "0", "--model.choices", "structured_outputs"]
    assert main([*words, *settings]) == 0
    body = server.asked[-1].body
    assert body["temperature"] == 0 and body["structured_outputs"] == {"choice": ["1", "2"]}


def test_the_judges_of_a_run_are_measured_as_it_asks_them(
    server: FaultServer, texts: Path, tmp_path: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
):
    spec = Endpoint("judge", (server.url,), role="judge.quality", cache=AnswerCache(str(tmp_path / "answers.sqlite")))
    judge = Guard(PairwiseQuality(spec, prompt=QualityPrompt(rubric="Be fair.")), floor=0.0)
    save_run(tiny_run(tokenizer, tiny_phase(judges=(judge,))), tmp_path / "run.yaml")
    words = ["judge-check", str(tmp_path / "run.yaml"), "--file", str(texts), "--injections", "0", "--samples", "1"]
    assert main(words) == 0
    assert server.asked[-1].body["messages"][0]["content"].startswith("Be fair.")
    assert not (tmp_path / "answers.sqlite").exists()
    safe = tmp_path / "safe.jsonl"
    safe.write_text('{"text": "t", "safe": true}\n')
    assert main(["judge-check", str(tmp_path / "run.yaml"), "--file", str(safe)]) == 1
    assert "has no judge of that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--require", "acuracy=1"], 2, "there are accuracy"),
        (["--temperature", "0"], 2, "settings of the model begin with --model."),
        (["--model.temperatur", "0"], 2, "did you mean"),
        (["--items", "0"], 1, "items must be at least 1"),
        (["--sets", "llmbat"], 1, "there is no labelled set"),
        (["--file", "none.jsonl"], 1, "there is no file none.jsonl"),
        (["--data", "nowhere"], 1, "no labelled set under nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["judge-check", "judge", "--server", "http://127.0.0.1:9/v1", *words]) == code
    assert told in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["judge-check", str(tmp_path / "none"), "--file", str(texts)]) == 1
    assert "there is no such folder" in capsys.readouterr().err


def refused(server: FaultServer, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is told where the command fails with nothing asked."""
    assert main(["judge-check", "judge", "--server", server.url, *words]) == 1
    assert not [one for one in server.asked if one.body]
    return capsys.readouterr().err


def test_two_sets_of_one_name_are_refused_before_anything_is_asked(
    server: FaultServer, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.jsonl"
    other.write_text(texts.read_text())
    told = refused(server, ["--file", str(texts), "--file", str(other), "--require", "accuracy=0.1"], capsys)
    assert "two labelled sets are called 'mine'" in told


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_asked(
    server: FaultServer, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--file", str(texts), "--json", str(texts / "below" / "a.json")]
    assert "cannot be written" in refused(server, words, capsys)


def test_a_model_that_the_server_has_not_is_told_of_before_the_work_is_announced(
    server: FaultServer, texts: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["judge-check", "nobody", "--server", server.url, "--file", str(texts)]) == 1
    told = capsys.readouterr().err
    assert "nobody" in told and "Asking about" not in told


def test_why_nothing_was_answered_is_told_and_is_a_failure(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with FaultServer(answer=lambda prompt, seed: f"I like them both, {seed}") as server:
        words = [*served(server, texts), "--injections", "0", "--samples", "1", "--json", str(tmp_path / "a.json")]
        assert main(words) == 1
        forget()
    told = capsys.readouterr()
    assert "mine: 8 of 8 without a verdict: no verdict: 'I like them both" in told.out
    assert "gave no verdict on anything; 8 times: no verdict" in told.err
    ((count, reason),) = json.loads((tmp_path / "a.json").read_text())["sets"][0]["unanswered"]
    assert count == 8 and reason.startswith("no verdict: 'I like them both")


def test_the_table_of_four_sets_is_whole_in_eighty_columns():
    pair = Pair("a", " b", " c", better=1)
    judge = Examined(ScriptedModel(lambda prompt, seed: "VERDICT: 1"), QualityPrompt())
    sets = [LabelledSet(name, (pair,)) for name in ("llmbar", "pandalm", "truthfulqa", "hatecheck")]
    measured = [measure(judge, one, samples=2, seed=0) for one in sets]
    told = StringIO()
    Console(width=80, file=told).print(figures(measured))
    lines = told.getvalue().splitlines()
    assert any(all(name in line for name in ("llmbar", "pandalm", "truthfulqa", "hatecheck")) for line in lines)
    assert any("agrees" in line for line in lines) and max(map(len, lines)) <= 80
    assert len(lines) == 4 + 14  # no cell takes two lines
