import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.commands import parts
from tests.tiny import LLAMA, tiny_phase, tiny_run

from tutelage.chat import LocalChat
from tutelage.cli import main
from tutelage.commands.doctor import examine
from tutelage.commands.machine import Finding, available_memory, machine
from tutelage.commands.memory_plan import memory_plan, shape_of
from tutelage.judges import Guard, LikelihoodJudge
from tutelage.memory import Limit
from tutelage.optimizer import AdamW, Muon
from tutelage.recipes import real_text
from tutelage.run import save_run
from tutelage.sources import PromptRewriter, RewriteSource
from tutelage.stream import Corpus, TextStream
from tutelage.weights import FromConfig, Pretrained, load_model
from tutelage.worlds.facts import FactsWorld


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def story(tmp_path: Path, broken: int = 0) -> TextStream:
    """Documents in the world's language."""
    text = "they live in Perth . they were born in 1945 . " * 12
    lines = [json.dumps({"text": f"{text} {i}"}) for i in range(30)] + ["{broken"] * broken
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text("\n".join(lines))
    corpus = Corpus(str(tmp_path / "data"))
    return TextStream((corpus,), suffix_length=12, max_length=36, min_prefix=4, min_suffix=4, deduplicate=None)


def test_the_machine_is_compared_with_what_the_package_asks_for(tmp_path: Path):
    table = found(machine(tmp_path))
    assert table["torch"].told.startswith(torch.__version__.split("+")[0])
    assert {"python", "torch", "transformers", "processor", "disk"} <= set(table)
    assert all(table[name].verdict == "ok" for name in ("python", "torch", "transformers"))


def test_what_a_container_has_left_bounds_what_is_available(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tutelage.commands.machine.limits", lambda: (Limit(5e6, 2e6), Limit(9e18, 0.0)))
    assert available_memory() == 3e6


def test_a_run_that_can_be_trained_has_no_problem(tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_run(tiny_run(tokenizer, stream=story(tmp_path)), tmp_path / "run.yaml")
    assert main(["doctor", str(tmp_path / "run.yaml")]) == 0
    told = capsys.readouterr().out
    assert "problem" not in told
    assert "1 files, 0 left out; 30 rows looked at" in told and "columns text" in told
    assert "they live in" in told and "‖" in told and "weights" in told


@pytest.mark.parametrize(
    ("changes", "subject", "told"),
    [
        ({"model": FromConfig("llama", LLAMA | {"vocab_size": 20})}, "model", "embeds only 20"),
        ({"model": FromConfig("llama", LLAMA | {"max_position_embeddings": 20})}, "context", "lower stream.max_length"),
        ({"model": FromConfig("lama", LLAMA)}, "model", "lama"),
        ({"model": FromConfig("llama", LLAMA | {"hiden_size": 20})}, "model", "hiden_size"),
        ({"model": Pretrained("./nowhere")}, "model", "nowhere"),
        (
            {"max_tokens_per_batch": 10**9, "model": FromConfig("llama", LLAMA | {"vocab_size": 10**10})},
            "memory plan",
            "",
        ),
    ],
)
def test_what_cannot_work_is_a_problem(
    changes: dict[str, Any], subject: str, told: str, tokenizer: Path, capsys: pytest.CaptureFixture[str]
):
    finding = found(examine(tiny_run(tokenizer, **changes)))[subject]
    assert finding.verdict == "problem" and told in finding.told


def test_a_missing_corpus_and_a_missing_tokenizer_are_problems(tmp_path: Path):
    stream = TextStream((Corpus(str(tmp_path / "none")),))
    table = found(examine(tiny_run(tmp_path / "no-tokenizer", stream=stream)))
    assert table["corpus corpus"].verdict == table["tokenizer"].verdict == "problem"


def test_a_column_that_is_not_there_is_a_problem_that_names_those_that_are(tokenizer: Path, tmp_path: Path):
    stream = story(tmp_path)
    wrong = TextStream((Corpus(stream.corpora[0].path, text_column="body"),))
    finding = found(examine(tiny_run(tokenizer, stream=wrong)))["corpus corpus"]
    assert finding.verdict == "problem" and "text" in finding.told


def test_broken_rows_are_a_warning_until_they_would_stop_the_run(tokenizer: Path, tmp_path: Path):
    from dataclasses import replace

    stream = story(tmp_path, broken=2)
    finding = found(examine(tiny_run(tokenizer, stream=stream)))["corpus corpus"]
    assert finding.verdict == "warning" and "2 broken, the first" in finding.told and "a.jsonl:31" in finding.told
    strict = replace(stream, strict=True)
    assert found(examine(tiny_run(tokenizer, stream=strict)))["corpus corpus"].verdict == "problem"


def test_what_a_study_makes_itself_is_no_problem(recipes: Callable[..., None], capsys: pytest.CaptureFixture[str]):
    recipes(several=parts.several)
    assert main(["doctor", "several", "--tokenizer.path", "@first/tokenizer"]) == 0
    assert capsys.readouterr().out.count("made by the study itself") == 1


def test_the_memory_plan_counts_what_the_run_will_hold(tokenizer: Path):
    run = tiny_run(tokenizer)
    codec = run.tokenizer.build()
    shape = shape_of(run.model, codec)
    model = load_model(run.model, codec, seed=0, device=torch.device("cpu"))
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    plan = memory_plan(run, shape)
    assert plan.weights == plan.gradients == plan.reference == 4 * shape.parameters
    for spec in (AdamW(), Muon()):
        optimizers = spec.build(model)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        for optimizer in optimizers:
            optimizer.step()
        held = sum(
            value.numel() * 4
            for optimizer in optimizers
            for slots in optimizer.state.values()
            for value in slots.values()
            if torch.is_tensor(value) and value.ndim
        )
        assert memory_plan(tiny_run(tokenizer, optimizer=spec), shape).optimizer == held


def test_a_run_without_a_leash_needs_no_reference(tokenizer: Path):
    from tutelage.objectives import NTP

    run = tiny_run(tokenizer, tiny_phase(NTP()))
    assert memory_plan(run, shape_of(run.model, run.tokenizer.build())).reference == 0


def test_a_tokenizer_larger_than_a_pretrained_model_is_a_problem(finished: Path, tmp_path: Path):
    larger = FactsWorld(people=40).write_tokenizer(tmp_path / "larger")
    run = tiny_run(larger, model=Pretrained(str(finished / "hf")), stream=story(tmp_path))
    told = [finding.told for finding in examine(run) if finding.verdict == "problem"]
    assert any("use the model's own tokenizer" in each for each in told)


def test_a_recipe_without_its_documents_says_how_to_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path / "none"))
    assert main(["doctor", "real_text"]) == 1
    told = capsys.readouterr().out
    assert str(tmp_path / "none" / "text") in told and "--stream.path" in told
    save_run(tiny_run(tmp_path, stream=TextStream((Corpus(str(tmp_path / "none")),))), tmp_path / "run.yaml")
    main(["doctor", str(tmp_path / "run.yaml"), "--stream.path", "elsewhere"])
    assert "elsewhere" in capsys.readouterr().out  # the option that the message names is one of a file's too


def likely(path: str) -> tuple[Guard, ...]:
    return (Guard(LikelihoodJudge(path), floor=-20.0),)


def test_the_folder_of_a_judge_is_looked_at_under_its_own_name(tokenizer: Path, finished: Path, tmp_path: Path):
    field = "phases.0.judges.0.judge.path"
    table = found(examine(tiny_run(tokenizer, tiny_phase(judges=likely(str(finished / "jugde" / "hf"))))))
    assert table[field].verdict == "problem" and "there is no such folder" in table[field].told
    (tmp_path / "empty").mkdir()
    table = found(examine(tiny_run(tokenizer, tiny_phase(judges=likely(str(tmp_path / "empty"))))))
    assert table[field].verdict == "problem" and str(tmp_path / "empty") in table[field].told
    good = found(examine(tiny_run(tokenizer, tiny_phase(judges=likely(str(finished / "hf"))))))
    assert good[field].verdict == "ok" and "M parameters" in good[field].told
    assert "teachers" in good["memory plan"].told
    assert "teachers" not in found(examine(tiny_run(tokenizer)))["memory plan"].told


def test_the_model_of_a_rewriter_is_looked_at(tokenizer: Path, finished: Path):
    field = "phases.0.sources.0.rewriter.model.path"
    for path, verdict, told in (
        (str(finished / "none"), "problem", "no such folder"),
        (str(finished / "hf"), "problem", "no chat template"),
        ("somebody/model", "warning", "on the hub"),
    ):
        phase = tiny_phase(sources=(RewriteSource(PromptRewriter(LocalChat(path))),))
        finding = found(examine(tiny_run(tokenizer, phase)))[field]
        assert finding.verdict == verdict and told in finding.told


def test_the_memory_of_what_a_study_makes_is_told_from_its_settings(tmp_path: Path):
    table = [finding for finding in examine(real_text(str(tmp_path))) if finding.subject == "memory plan"]
    assert len(table) == 3  # the judge, base and control alike, and online DPO with its reference and judge
    assert "teachers" in table[-1].told and "reference" in table[-1].told
    models = [finding.told for finding in examine(real_text(str(tmp_path))) if finding.subject == "model"]
    # 4096 ids of width 192, and four layers; see the recipe.
    assert any("2.56 M parameters" in told for told in models)
