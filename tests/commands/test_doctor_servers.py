"""What the doctor finds out about teachers on servers, before anything is asked of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import FaultServer
from tests.tiny import tiny_phase, tiny_run

from tutelage.commands.doctor import examine
from tutelage.commands.machine import Finding
from tutelage.endpoints import Endpoint, forget
from tutelage.judges import Guard, PairwiseQuality, PointwiseFactuality
from tutelage.run import Run
from tutelage.sources import PromptRewriter, RewriteSource

JUDGE = "phases.0.judges.0.model"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one
        forget()


def asking(*servers: FaultServer | str, **settings: Any) -> Endpoint:
    urls = tuple(one if isinstance(one, str) else one.url for one in servers)
    whole: dict[str, Any] = {"model": "judge", "servers": urls, "role": "judge.quality", "requests": QUICK}
    return Endpoint(**whole | settings)


def judged(tokenizer: Path, spec: Endpoint) -> Run:
    return tiny_run(tokenizer, tiny_phase(judges=(PairwiseQuality(spec),)))


def of(run: Run, field: str = JUDGE) -> list[Finding]:
    return [finding for finding in examine(run) if finding.subject == field]


def test_a_server_that_is_up_is_told_with_its_model_and_context(server: FaultServer, tokenizer: Path):
    server.listed = {"root": "/models/first", "max_model_len": 32_768}
    (up,) = of(judged(tokenizer, asking(server)))
    assert (up.verdict, up.told) == ("ok", f"{server.url} has judge (first) with a context of 32,768 tokens")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"servers": ("http://127.0.0.1:9/v1",)}, "start it, or mend the address"),
        ({"model": "other"}, "does not have the model 'other'; it has judge"),
        ({"key_variable": "NO_SUCH_KEY"}, "environment variable NO_SUCH_KEY is not set"),
    ],
)
def test_what_would_stop_the_run_is_a_problem(changes: dict[str, Any], told: str, server: FaultServer, tokenizer: Path):
    (finding,) = of(judged(tokenizer, replace(asking(server), **changes)))
    assert finding.verdict == "problem" and told in finding.told


def test_a_page_in_the_place_of_a_server_is_a_problem(server: FaultServer, tokenizer: Path):
    (finding,) = of(judged(tokenizer, asking(server.url.replace("/v1", "/page"))))
    assert finding.verdict == "problem" and "/v1" in finding.told


def test_every_server_is_looked_at_and_all_must_have_one_model(server: FaultServer, tokenizer: Path):
    server.listed = {"root": "/models/first"}
    with FaultServer(listed={"root": "/models/second"}) as other:
        found = of(judged(tokenizer, asking(server, other)))
    assert [finding.verdict for finding in found] == ["ok", "ok", "problem"]
    assert "judge (first) and judge (second)" in found[-1].told


def test_models_of_rewriters_and_of_guarded_judges_are_looked_at(server: FaultServer, tokenizer: Path):
    server.listed = {"max_model_len": 10**6}
    judges = (Guard(PointwiseFactuality(asking(server)), floor=0.0),)
    sources = (RewriteSource(PromptRewriter(asking(server, role="rewriter"))),)
    run = tiny_run(tokenizer, tiny_phase(judges=judges, sources=sources))
    for field in ("phases.0.judges.0.judge.model", "phases.0.sources.0.rewriter.model"):
        assert [finding.verdict for finding in of(run, field)] == ["ok"]
