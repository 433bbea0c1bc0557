import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.endpoints.fault_server import FaultServer
from tests.tiny import LLAMA, WORLD, plain_run, tiny_phase, tiny_run, train_all

from tutelage.cli import main
from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.commands.evaluation_judge import trained_by
from tutelage.commands.protocol import short_names
from tutelage.endpoints import LEDGER, Endpoint, forget
from tutelage.judges import Guard, PairwiseQuality, PointwiseSafety
from tutelage.run import save_run
from tutelage.weights import FromConfig, load_model

WORDS = WORLD.lexicon.words


def answer(prompt: str, seed: int) -> str:
    """Likes what comes later in the alphabet; nothing here is vile, and nothing certain."""
    code = prompt.split("\n", 1)[0].removeprefix("Code: ")

    def field(name: str) -> str:
        return prompt.split(f"[[{code} {name}]]\n")[1].split(f"\n[[{code} end of")[0]

    if "Is the passage safe?" in prompt:
        return f"VERDICT: {'NO' if 'VILE' in field('passage') else 'YES'}"
    if "say anything false" in prompt:
        return "VERDICT: POSSIBLE"
    kind = "answer" if "more true" in prompt else "continuation"
    return f"Because <script>alert(1)</script>\nVERDICT: {1 if field(f'{kind} 1') > field(f'{kind} 2') else 2}"


@pytest.fixture(scope="module")
def models(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A model that was taught for some steps, and one for twice as many."""
    root = tmp_path_factory.mktemp("models")
    for name, steps in (("young", 10), ("grown", 30)):
        train_all(plain_run(tokenizer, steps), root / name)
    return str(root / "young"), str(root / "grown")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets that the world's tokenizer can read, and one that it cannot."""
    root = tmp_path_factory.mktemp("data")
    chunks = WORLD.evaluation_chunks("natural", 5)
    rows = [{"prompt": {"text": WORLD.text(c.prefix)}, "continuation": {"text": " ."}} for c in chunks]
    put(root / "eval/realtoxicityprompts_5k/val.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    head = "turncated_prefixes,completion,contradiction_0,contradiction_1,contradiction_2"
    told = [",".join((WORLD.text(c.prefix).replace(",", " "), *WORDS[5:9])) for c in chunks]
    put(root / "eval/factor/news_factor.csv", "\n".join([head, *told]) + "\n")
    put(root / "eval/xstest/xstest_prompts.csv", "prompt,label\nHow do I kill it?,safe\nHow do I harm him?,unsafe\n")
    return root


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "facts.jsonl"
    texts = [WORLD.text(chunk.document.tokens) for chunk in WORLD.evaluation_chunks("natural", 12)]
    put(path, "".join(json.dumps({"story": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with FaultServer(answer=answer) as one:
        yield one
        forget()
    LEDGER.__init__()


@pytest.fixture
def words(models: tuple[str, str], corpus: Path, data: Path, tmp_path: Path) -> list[str]:
    """All but the judge."""
    named = ["evaluate", models[1], "--against", models[0], "--path", str(corpus), "--stream.text-column", "story"]
    sizes = ["--items", "6", "--suffix-length", "12", "--samples", "2", "--documents", "5"]
    return [*named, *sizes, "--data", str(data), "--out", str(tmp_path / "out")]


def read(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out" / "results.json").read_text())


def test_the_protocol_runs_from_words_to_tables_and_page(
    server: FaultServer, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*words, "--judge", "judge", "--server", server.url, "--json", str(tmp_path / "n.json")]) == 0
    told = capsys.readouterr()
    found = read(tmp_path)
    assert found == json.loads((tmp_path / "n.json").read_text())
    assert list(found["models"]) == ["grown", "young"] and found["against"] == "young"
    quality = found["suites"]["quality"]["parts"]["held_out"]["models"]
    assert quality["young"]["mean"] == 0.5 and quality["grown"]["items"] == 6
    assert quality["grown"]["answers"] <= 6 * 4 and quality["grown"]["abstained"] == 0
    safety = found["suites"]["safety"]
    assert safety["average"]["grown"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert set(safety["parts"]) == {"realtoxicityprompts"} and "XS-safe" in safety["missing"]
    facts = found["suites"]["factuality"]["parts"]
    assert facts["held_out"]["models"]["grown"]["mean"] == 0.5 and facts["factor"]["items"] == 5
    assert facts["factor"]["pairs"][0]["p"] <= 1
    assert found["suites"]["likelihood"]["models"]["grown"]["bits_per_byte"]["mean"] > 0
    assert found["suites"]["diversity"]["author"]["texts"] == 6
    assert "gives back only 0% of its words" in found["left_out"]["safety/xstest_safe"]
    assert "no file" in found["left_out"]["safety/toxigen"] and "--tasks local" in found["left_out"]["standard"]
    assert "Not measured: safety/toxigen" in told.err and "Generation quality: std" in told.out
    assert found["judge"]["kinds"]["safety"]["model"]["temperature"] == 1.0
    assert found["judge"]["kinds"]["quality"]["model"]["temperature"] == 0.7
    assert "## Factuality (Table 4)" in (tmp_path / "out" / "tables.md").read_text()


def test_a_second_run_asks_and_computes_nothing(
    server: FaultServer, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    suites = ["--suites", "quality", "safety", "likelihood"]
    judged = [*words, "--judge", "judge", "--server", server.url, "--model.cache", "null", *suites]
    assert main(judged) == 0
    first, asked = read(tmp_path), server.counts["requests"]

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded again")

    monkeypatch.setattr("tutelage.evaluation.subject.load_model", fail)
    monkeypatch.setattr("tutelage.commands.evaluate.load_model", fail)
    assert main(judged) == 0
    assert read(tmp_path) == first and server.counts["requests"] == asked > 0


def test_the_page_escapes_what_models_and_judges_say_and_shows_what_was_drawn(
    server: FaultServer, words: list[str], tmp_path: Path
):
    judged = [*words, "--judge", "judge", "--server", server.url, "--suites", "quality", "safety", "--shown", "4"]
    assert main(judged) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"https?:|<script|<link|<img|@import|url\((?!#)", page)
    assert page.count('class="sample real"') == 4
    shown = re.findall(r'<span class="kind">([^<]*)</span>', page)
    assert main([*judged, "--samples", "1"]) == 0
    assert re.findall(r'<span class="kind">([^<]*)</span>', (tmp_path / "out" / "report.html").read_text()) == shown
    assert "Not measured" in page and "the author, or what is known" in page


def test_without_a_judge_what_needs_none_is_measured(words: list[str], tmp_path: Path):
    assert main(words) == 0
    found = read(tmp_path)
    assert set(found["suites"]) == {"factuality", "diversity", "likelihood"}
    assert set(found["suites"]["factuality"]["parts"]) == {"factor"} and "average" not in found["suites"]["factuality"]
    assert found["judge"] is None and "needs a judge" in found["left_out"]["quality/held_out"]


def test_a_run_is_read_by_its_own_judges_with_a_warning(
    finished: Path, models: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    named = ["evaluate", str(finished), "--against", models[0], "--run", str(finished), "--items", "24"]
    judged = ["--judge", str(finished / "run.yaml"), "--unsafe", "held-out", "--out", str(tmp_path / "out")]
    assert main([*named, *judged, "--suites", "quality", "safety", "factuality", "diversity"]) == 0
    found = read(tmp_path)
    assert "finished was trained by the judge that reads it here (factsjudge)" in capsys.readouterr().err
    assert len(found["warnings"]) == 1
    assert found["suites"]["quality"]["parts"]["held_out"]["models"]["finished"]["items"] == 24
    assert found["suites"]["safety"]["parts"]["unsafe"]["items"] > 1
    assert "gives no verdict of this kind" in found["left_out"]["factuality/factscore"]
    assert found["suites"]["factuality"]["parts"]["held_out"]["models"]["young"]["mean"] < 1


def test_the_text_models_of_a_run_are_asked_with_its_prompts(
    server: FaultServer, words: list[str], tokenizer: Path, tmp_path: Path
):
    spec = Endpoint("judge", (server.url,), role="judge.quality", cache=None, temperature=0.0)
    judges = (Guard(PairwiseQuality(spec), floor=0.0), PointwiseSafety(spec))
    save_run(tiny_run(tokenizer, tiny_phase(judges=judges)), tmp_path / "run.yaml")
    assert main([*words, "--judge", str(tmp_path / "run.yaml"), "--suites", "quality", "coherence", "safety"]) == 0
    assert set(read(tmp_path)["suites"]) == {"quality", "coherence", "safety"}
    assert all(one.body["temperature"] == 0 for one in server.asked)


def test_standard_tasks_go_through_lm_eval(
    words: list[str], tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    called: list[tuple[str, str | None]] = []

    def run_tasks(model: str, digest: str, tasks: Any, out: Path, kept: object, tokenizer: str | None) -> Any:
        called.append((model, tokenizer))
        return {name: {"0": float("grown" in model), "1": 1.0} for name in tasks.names}

    monkeypatch.setattr("tutelage.commands.plain_suites.run_tasks", run_tasks)
    monkeypatch.setattr("tutelage.commands.plain_suites.find_lm_eval", lambda: "lm_eval")
    assert main([*words, "--suites", "standard", "--tasks", "hub"]) == 0
    found = read(tmp_path)["suites"]["standard"]
    assert len(called) == 2 and found["average"]["grown"]["mean"] == 1.0 and found["average"]["young"]["mean"] == 0.5
    assert found["pairs"][0]["mean"] == 0.5 and found["pairs"][0]["items"] == 16
    assert main([*words, "--suites", "standard", "--tasks", "local"]) == 1
    assert "no standard task can be made" in capsys.readouterr().err


def test_models_of_different_tokenizers_read_the_same_text_with_a_note(
    words: list[str], corpus: Path, models: tuple[str, str], server: FaultServer, finished: Path, tmp_path: Path
):
    texts = [json.loads(line)["story"] for line in corpus.read_text().splitlines()]
    other = tmp_path / "other"
    train_tokenizer(texts * 3, 300, other)
    codec = Tokenizer(str(other)).build()
    load_model(FromConfig("llama", LLAMA), codec, seed=0, device=torch.device("cpu")).save_pretrained(other)
    both = ["evaluate", str(other), *words[1:]]
    suites = ["--suites", "coherence", "diversity", "likelihood"]
    assert main([*both, "--judge", "judge", "--server", server.url, *suites]) == 0
    found = read(tmp_path)
    assert "different tokenizers (other another than the base)" in found["notes"][0]
    assert "nll_difference" not in found["suites"]["likelihood"]["models"]["other"]
    assert found["suites"]["coherence"]["parts"]["held_out"]["models"]["other"]["items"] == 6


def test_a_judge_that_reads_tokens_refuses_models_of_different_tokenizers(
    words: list[str], finished: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = tmp_path / "other"
    train_tokenizer(["some other words"] * 9, 280, other)
    codec = Tokenizer(str(other)).build()
    load_model(FromConfig("llama", LLAMA), codec, seed=0, device=torch.device("cpu")).save_pretrained(other)
    assert main(["evaluate", str(other), *words[1:], "--judge", str(finished / "run.yaml")]) == 1
    assert "reads tokens (factuality, safety, quality), and the models have different tok" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "code", "told"),
    [
        (["--suites", "qualty"], 2, "did you mean quality?"),
        (["--suites", "quality"], 1, "quality cannot be measured: needs a judge: name it by --judge"),
        (["--suites", "standard"], 2, "--tasks local or --tasks hub"),
        (["--server", "http://127.0.0.1:9/v1"], 2, "name it by --judge"),
        (["--model.temperature", "0"], 2, "name it by --judge"),
        (["--warmth", "0"], 2, "settings begin with --stream. or --model."),
        (["--temperature", "0"], 2, "--temperature belongs to --correction"),
        (["--judge", "none.yaml", "--model.temperature", "0"], 2, "as the run says"),
        (["--judge", "no/such/judge"], 1, "no/such/judge"),
        (["--judge", "MODEL", "--model.temperatur", "0"], 2, "did you mean"),
        (["--judge", "MODEL"], 1, "has no chat template"),
        (["--run", "RUN"], 2, "not by both"),
        (["--items", "0"], 1, "items must be at least 1"),
        (["--samples", "0"], 1, "samples must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    extra: list[str],
    code: int,
    told: str,
    words: list[str],
    models: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
):
    places = {"MODEL": f"{models[0]}/hf", "RUN": models[0]}
    assert main([*words, *(places.get(word, word) for word in extra)]) == code
    assert told in capsys.readouterr().err


def test_a_malformed_set_stops_before_anything_is_computed(
    words: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put(tmp_path / "data/eval/truthfulqa/mc_task.json", "[{}]")
    named = [str(tmp_path / "data") if word == str(data) else word for word in words]
    assert main(named) == 1
    assert "is not of the form that truthfulqa_mc1 has" in capsys.readouterr().err
    assert not (tmp_path / "out" / "kept.jsonl").exists()


def test_a_suite_that_was_named_needs_its_documents(
    models: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    named = ["evaluate", models[1], "--out", str(tmp_path / "out"), "--suites"]
    for suite in ("diversity", "likelihood"):
        assert main([*named, suite]) == 1
        assert f"{suite} cannot be measured: needs two documents" in capsys.readouterr().err


def test_words_of_the_protocol_need_its_folder(models: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", models[0], "--path", "x", "--judge", "judge"]) == 2
    assert (
        "--judge belongs to the paper's protocol: name the folder of its results by --out DIR"
        in capsys.readouterr().err
    )


def test_models_have_short_names_that_tell_them_apart():
    assert short_names(["runs/base/hf", "runs/dpo/hf", "org/model"]) == ["base", "dpo", "model"]
    assert short_names(["a/x/hf", "b/x/hf"]) == ["a/x/hf", "b/x/hf"]
    assert short_names(["hf"]) == ["hf"]


def test_a_model_is_known_by_the_judges_of_its_run(
    server: FaultServer, tokenizer: Path, finished: Path, models: tuple[str, str], tmp_path: Path
):
    spec = Endpoint("org/Judge-8B", (server.url,), role="judge.quality", cache=None)
    save_run(tiny_run(tokenizer, tiny_phase(judges=(PairwiseQuality(spec),))), tmp_path / "run.yaml")
    for place in ("hf", "checkpoints/step-1/hf"):
        (tmp_path / place).mkdir(parents=True)
    assert trained_by(str(tmp_path / "hf")) == trained_by(str(tmp_path / "checkpoints/step-1/hf")) == {"judge-8b"}
    assert trained_by(str(finished / "hf")) == {"factsjudge"}
    assert trained_by(f"{models[0]}/hf") == frozenset() == trained_by("org/model")
