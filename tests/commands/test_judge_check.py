import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.fault_server import FaultServer
from tests.tiny import tiny_phase, tiny_run

from tutelage.cli import main
from tutelage.endpoints import LEDGER, AnswerCache, Endpoint, forget
from tutelage.judges import Guard, PairwiseQuality
from tutelage.prompts import QualityPrompt
from tutelage.run import save_run


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
