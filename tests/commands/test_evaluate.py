import json
import shutil
from pathlib import Path

import pytest
from tests.tiny import WORLD, plain_run, train_all

from tutelage.cli import main
from tutelage.commands.evaluate import windows
from tutelage.types import Tokens


@pytest.fixture(scope="module")
def models(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A model that was taught for some steps, and one for twice as many."""
    root = tmp_path_factory.mktemp("models")
    for name, steps in (("young", 20), ("grown", 40)):
        train_all(plain_run(tokenizer, steps), root / name)
    return str(root / "young" / "hf"), str(root / "grown" / "hf")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "facts.jsonl"
    chunks = WORLD.evaluation_chunks("natural", 12)
    texts = [WORLD.text(chunk.document.tokens) for chunk in chunks]
    path.write_text("".join(json.dumps({"story": text}) + "\n" for text in texts))
    return path


def test_models_are_compared_document_by_document(
    models: tuple[str, str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    young, grown = models
    words = ["--path", str(corpus), "--stream.text-column", "story", "--json", str(tmp_path / "numbers.json")]
    assert main(["evaluate", grown, *words, "--against", young]) == 0
    assert "difference in bits a byte" in capsys.readouterr().out
    facts = json.loads((tmp_path / "numbers.json").read_text())
    found, base = facts["models"][grown], facts["models"][young]
    assert facts["documents"] == 12
    assert found["tokens"] == base["tokens"] > 12 * 20
    assert found["nll"]["low"] < found["nll"]["mean"] < found["nll"]["high"]
    for figure, unit in (("nll", "nll_difference"), ("bits_per_byte", "bits_per_byte_difference")):
        apart = found[unit]
        assert apart["mean"] == pytest.approx(found[figure]["mean"] - base[figure]["mean"])
        assert apart["low"] < apart["high"] < 0
        # What is hard about a document cancels: the paired interval is the narrower one.
        assert apart["high"] - apart["low"] < base[figure]["high"] - base[figure]["low"]
    assert "bits_per_byte_difference" not in base


def test_bits_a_byte_do_not_depend_on_the_window(models: tuple[str, str], corpus: Path, tmp_path: Path):
    found: list[dict[str, float]] = []
    for length in ("64", "7"):
        words = ["--path", str(corpus), "--stream.text-column", "story", "--max-length", length]
        assert main(["evaluate", models[1], *words, "--json", str(tmp_path / "out.json")]) == 0
        found.append(json.loads((tmp_path / "out.json").read_text())["models"][models[1]])
    assert found[0]["tokens"] == found[1]["tokens"] and found[0]["bytes"] == found[1]["bytes"]


def test_windows_score_every_token_but_the_first_once():
    tokens = Tokens(list(range(11)))
    scored = [t for chunk in windows(tokens, 4, "a") for t in chunk.suffix.tolist()]
    assert scored == list(range(1, 11))
    assert all(len(chunk.prefix) + len(chunk.suffix) <= 4 for chunk in windows(tokens, 4, "a"))
    assert windows(tokens[:1], 4, "a") == windows(tokens[:0], 4, "a") == []


def test_what_a_run_held_out_can_be_read(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", str(finished / "hf"), "--run", str(finished), "--documents", "3"]) == 0
    assert "nats a token" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "--path CORPUS"),
        (["--path", "x", "--run", "y"], 2, "--path CORPUS"),
        (["--path", "nowhere"], 1, "nowhere"),
        (["--path", "CORPUS", "--documents", "0"], 1, "documents must be at least 1, not 0"),
        (["--path", "CORPUS", "--max-length", "1"], 1, "max_length must be at least 2, not 1"),
        (["--path", "CORPUS"], 1, "story"),
        (["--path", "CORPUS", "--stream.text-colum", "story"], 2, "did you mean"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], code: int, told: str, models: tuple[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["evaluate", models[0], *(str(corpus) if word == "CORPUS" else word for word in words)]) == code
    assert told in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(
    corpus: Path, tmp_path: Path, models: tuple[str, str], capsys: pytest.CaptureFixture[str]
):
    words = ["--path", str(corpus), "--stream.text-column", "story"]
    assert main(["evaluate", str(tmp_path / "none"), *words]) == 1
    assert "there is no model folder" in capsys.readouterr().err
    shutil.copytree(models[0], tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    assert main(["evaluate", str(tmp_path / "empty"), *words]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_directory_of_a_run_stands_for_its_model(
    models: tuple[str, str],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    young, grown = models
    words = ["--path", str(corpus), "--stream.text-column", "story", "--against", str(Path(young).parent)]
    monkeypatch.chdir(Path(grown).parents[1])
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["evaluate", "grown", *words]) == 0
    told = capsys.readouterr().out
    assert " grown/hf " in told  # whole, in a narrow window too
    (tmp_path / "begun").mkdir()
    shutil.copy(Path(young).parent / "run.yaml", tmp_path / "begun")
    assert main(["evaluate", str(tmp_path / "begun"), *words]) == 1
    assert "is not finished" in capsys.readouterr().err
