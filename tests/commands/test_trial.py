"""What the doctor finds out by asking teachers on servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import FaultServer
from tests.tiny import tiny_phase, tiny_run

from tutelage.commands.doctor import examine
from tutelage.commands.machine import Finding
from tutelage.endpoints import LEDGER, Cap, Endpoint, Price, forget
from tutelage.judges import AllPairs, PairwiseQuality, PointwiseSafety
from tutelage.phases import Phase
from tutelage.prompts import QualityPrompt
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()


def endpoint(server: FaultServer | str, role: str = "judge.quality", **settings: Any) -> Endpoint:
    url = server if isinstance(server, str) else server.url
    return Endpoint("judge", (url,), role=role, cache=None, requests=QUICK, **settings)


def found(tokenizer: Path, *phases: Phase, **changes: Any) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(tiny_run(tokenizer, *phases, **changes))}


def judged(spec: Endpoint) -> Phase:
    prompt = QualityPrompt(max_new_tokens=50)
    return tiny_phase(
        sources=(SuffixSource(), RolloutSource(3)), judges=(PairwiseQuality(spec, AllPairs(), prompt=prompt),)
    )


def test_a_judge_that_answers_is_measured_and_a_step_has_its_price(tokenizer: Path):
    with FaultServer() as server:
        table = found(tokenizer, judged(endpoint(server, price=Price(10.0, 20.0), cap=Cap(tokens=5000))))
        assert server.counts["requests"] == 20
    answers, step = table["answers of judge.quality"], table["a step of judge.quality"]
    assert answers.verdict == "ok" and answers.told.startswith("40 of 40 verdicts")
    assert step.told.startswith("24 calls a step") and "up to" not in step.told  # 4 documents, 4 candidates
    assert "; cost " in step.told and "in 4 steps" in step.told


def test_answers_that_cannot_be_read_are_a_problem_with_an_example(tokenizer: Path):
    def vague(prompt: str, seed: int) -> str:
        return "Both have their merits."

    with FaultServer(answer=vague) as server:
        finding = found(tokenizer, judged(endpoint(server)))["answers of judge.quality"]
    assert finding.verdict == "problem" and "0 of 40" in finding.told and "Both have their merits" in finding.told


def test_some_answers_that_cannot_be_read_are_a_warning(tokenizer: Path):
    def often(prompt: str, seed: int) -> str:
        return "Hm." if "Hm." in prompt or seed % 4 == 0 else "VERDICT: 1"  # a repair shows what was said

    with FaultServer(answer=often) as server:
        finding = found(tokenizer, judged(endpoint(server)))["answers of judge.quality"]
    assert finding.verdict == "warning"


@pytest.mark.parametrize(("context", "verdict"), [(100_000, "ok"), (100, "problem")])
def test_the_context_is_compared_with_the_longest_prompts(context: int, verdict: str, tokenizer: Path):
    with FaultServer(listed={"max_model_len": context}) as server:
        finding = found(tokenizer, judged(endpoint(server)))["context of judge.quality"]
    assert finding.verdict == verdict and f"up to {context:,}" in finding.told
    assert ("judge_prefix" in finding.told) == (verdict == "problem")


def test_a_rewriter_is_tried_too(tokenizer: Path):
    with FaultServer(answer=lambda prompt, seed: "I'm sorry, but I can't help with that.") as server:
        source = RewriteSource(PromptRewriter(endpoint(server, "rewriter")))
        table = found(tokenizer, tiny_phase(sources=(SuffixSource(), source)))
    assert table["answers of rewriter"].verdict == "problem" and "0 of 20 rewrites" in table["answers of rewriter"].told
    assert table["a step of rewriter"].told.startswith("4 calls a step")


def test_a_server_that_is_away_is_not_waited_for_and_prices_go_by_estimates(tokenizer: Path):
    table = found(tokenizer, judged(endpoint("http://127.0.0.1:9/v1", price=Price(1.0, 1.0))))
    assert table["answers of judge.quality"].verdict == "note"
    assert "up to 1,200 written" in table["a step of judge.quality"].told


def test_a_judge_that_several_phases_share_is_asked_once(tokenizer: Path):
    with FaultServer() as server:
        spec = endpoint(server)
        safety = tiny_phase(
            judges=(PairwiseQuality(spec, AllPairs()), PointwiseSafety(endpoint(server, "judge.safety")))
        )
        one = tiny_phase(judges=(PairwiseQuality(spec, AllPairs()),))
        found(tokenizer, one, safety)
        # 20 about quality; 20 about safety, none of them a verdict, so each asked for once more.
        assert server.counts["requests"] == 20 + 2 * 20


def test_what_the_doctor_asks_is_not_on_the_account_of_a_run(tokenizer: Path):
    with FaultServer() as server:
        found(tokenizer, judged(endpoint(server)))
    assert LEDGER.take_metrics() == {}
