"""Runs whose judges and rewriters are on servers: what a run keeps, counts and refuses."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import TRANSIENT, FaultServer
from tests.tiny import SOURCES, WORLD, outcome, plain_run, tiny_phase, tiny_run, train_all

from tutelage.cli import main
from tutelage.codec import HFCodec
from tutelage.config import to_plain
from tutelage.endpoints import LEDGER, AnswerCache, Cap, Ended, Endpoint, Price, deciding, forget, read_books
from tutelage.endpoints.errors import BudgetSpent, ModelChanged
from tutelage.evaluate import Evaluation
from tutelage.judges import PairwiseQuality, PointwiseSafety
from tutelage.logbook import ResumeRefused
from tutelage.loop import train
from tutelage.phases import Steps
from tutelage.policy import Policy
from tutelage.protocols import Prompt, Resources
from tutelage.ranks import OneRank
from tutelage.report import write_run_report
from tutelage.run import Checkpointing, Run, is_free_to_change, save_run
from tutelage.session import RunSession
from tutelage.sources import PromptRewriter, RewriteSource
from tutelage.stream import JudgedStream
from tutelage.trackers import read_metrics
from tutelage.update import RunStopped
from tutelage.worlds.facts import FactsStream

PATIENT = replace(QUICK, retries=14, timeout_s=0.3, trip_after=30)


def judged_run(tokenizer: Path, servers: Sequence[FaultServer], /, steps: int = 3, **settings: Any) -> Run:
    spec = Endpoint("judge", tuple(s.url for s in servers), role="judge.quality", requests=PATIENT)
    spec = replace(spec, **{"cache": None, **settings})
    phase = tiny_phase(judges=(PairwiseQuality(spec),), steps=steps, documents_per_step=2, queue_depth=1)
    return tiny_run(tokenizer, phase, checkpoint=Checkpointing(every=2))


def test_a_run_through_faults_ends_where_one_without_them_does(tiny_tokenizer: Path, tmp_path: Path):
    with FaultServer() as sound, FaultServer(TRANSIENT, 0.2) as unsound:
        train_all(judged_run(tiny_tokenizer, [sound]), tmp_path / "sound")
        train_all(judged_run(tiny_tokenizer, [unsound]), tmp_path / "unsound")
        assert sum(unsound.counts[fault] for fault in TRANSIENT) > 3
    one, other = outcome(tmp_path / "sound"), outcome(tmp_path / "unsound")
    assert (one.weights, one.samples) == (other.weights, other.samples)


def test_what_teachers_spend_stands_in_the_metrics_and_counts_after_a_resume(
    server: FaultServer, tiny_tokenizer: Path, tmp_path: Path
):
    run = judged_run(tiny_tokenizer, [server], steps=2)
    train_all(run, tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    spent = sum(row.get(f"{kind}_tokens/judge.quality", 0) for row in rows for kind in ("prompt", "answer"))
    assert sum(row.get("requests/judge.quality", 0) for row in rows) == server.counts["requests"] and spent > 0
    longer = judged_run(tiny_tokenizer, [server], steps=2, cap=Cap(tokens=int(spent) + 10))
    (phase,) = longer.phases
    assert phase.until == Steps(2)
    session, _ = train_all(longer, tmp_path)
    session.close()
    books, models = read_books(tmp_path)
    assert books["judge.quality"]["requests"] == server.counts["requests"]
    assert books["judge.quality"]["prompt_tokens"] + books["judge.quality"]["answer_tokens"] == spent
    assert models == {"judge.quality judge listed": "judge", "judge.quality judge answering": "judge"}
    assert LEDGER.owner == ""


@dataclass(frozen=True, slots=True)
class Asks:
    """An evaluator that asks a teacher."""

    model: Endpoint

    def build(self, resources: Resources) -> "Asks":
        return self

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        return {"answered": float(len(self.model.build().answer([Prompt("", "How good is it?")], [0])))}


def test_what_an_evaluation_asks_is_counted_with_its_step(server: FaultServer, tiny_tokenizer: Path, tmp_path: Path):
    asks = Asks(Endpoint("judge", (server.url,), role="evaluation", requests=PATIENT, cache=None))
    train_all(plain_run(tiny_tokenizer, steps=3, evaluations=(Evaluation(asks, every=2),)), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row.get("requests/evaluation", 0) for row in rows] == [0, 1, 1]


def test_what_a_stopped_run_had_spent_is_in_its_books(server: FaultServer, tiny_tokenizer: Path, tmp_path: Path):
    run = judged_run(tiny_tokenizer, [server], steps=12, cap=Cap(tokens=6000))
    with pytest.raises(BudgetSpent):
        train_all(run, tmp_path)
    spent = read_books(tmp_path)[0]["judge.quality"]
    assert 0 < spent["requests"] == server.counts["requests"]
    asked = server.counts["requests"]
    with pytest.raises(BudgetSpent):
        train_all(run, tmp_path)
    assert server.counts["requests"] == asked


def test_a_resumed_run_knows_the_model_that_judged_it(server: FaultServer, tiny_tokenizer: Path, tmp_path: Path):
    server.listed = {"root": "/models/first"}
    train_all(judged_run(tiny_tokenizer, [server], steps=2), tmp_path)
    longer = judged_run(tiny_tokenizer, [server], steps=4)
    save_run(longer, tmp_path / "run.yaml")
    server.listed = {"root": "/models/second"}
    forget()
    with pytest.raises(ModelChanged, match=r"judge \(first\).* until now and as .*judge \(second\)"):
        train_all(longer, tmp_path)


def test_a_run_whose_teachers_are_away_ends_when_it_is_asked_to_and_goes_on_when_they_are_back(
    server: FaultServer, tiny_tokenizer: Path, tmp_path: Path
):
    with FaultServer() as steady:
        train_all(judged_run(tiny_tokenizer, [steady], steps=4), tmp_path / "steady")
    run = judged_run(tiny_tokenizer, [server], steps=4)
    session = RunSession(run, tmp_path / "run", OneRank())
    with pytest.raises(Ended):
        for report in train(session):
            if report.progress.step == 2:
                server.die()
                threading.Timer(0.3, session.stop).start()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("judges")]
    server.start()
    train_all(run, tmp_path / "run")
    one, other = outcome(tmp_path / "steady"), outcome(tmp_path / "run")
    assert (one.weights, one.samples) == (other.weights, other.samples)


def test_a_context_too_short_for_the_prompts_stops_the_run_with_the_servers_words(
    server: FaultServer, tiny_tokenizer: Path, tmp_path: Path
):
    server.faults = ("too_long",)
    with pytest.raises(RunStopped, match=r"does not fit into the model's context; .*maximum context length is 64"):
        train_all(judged_run(tiny_tokenizer, [server]), tmp_path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"servers": ("http://127.0.0.1:9/v1",)}, "no server of judge.quality has answered for"),
        ({"key_variable": "NO_SUCH_KEY"}, "environment variable NO_SUCH_KEY is not set"),
        ({"model": "another"}, "does not have the model 'another'; it has judge"),
        ({"page": True}, "mostly in /v1"),
    ],
)
def test_a_command_says_what_is_wrong_with_a_server(
    server: FaultServer,
    tiny_tokenizer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any],
    told: str,
):
    settings = {"servers": (server.url.replace("/v1", "/page"),)} if "page" in settings else settings
    run = judged_run(tiny_tokenizer, [server], requests=QUICK, **settings)
    save_run(run, tmp_path / "run.yaml")
    assert main(["train", str(tmp_path / "run.yaml"), "--directory", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert told in said
    assert "Traceback" not in said


def test_the_report_tells_what_each_role_took(server: FaultServer, tiny_tokenizer: Path, tmp_path: Path):
    train_all(judged_run(tiny_tokenizer, [server], price=Price(prompt=1e6)), tmp_path)
    page = write_run_report(tmp_path).read_text()
    spent = read_books(tmp_path)[0]["judge.quality"]
    row = next(line for line in page.splitlines() if '<td class="words">judge.quality</td>' in line)
    assert f"<td>{server.counts['requests']}</td>" in row and f"<td>{spent['cost']:.2f}</td>" in row
    assert "Tokens that teachers read a step" in page


def test_a_stream_that_a_server_filters_stays_itself_where_the_server_moves(
    tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KEY", "s3cret")
    plain: dict[str, Any] = {"model": "m", "servers": ("http://a/v1",), "role": "rewriter", "cache": None}

    def named(**changes: Any) -> str:
        judge = PointwiseSafety(Endpoint(**plain | changes))
        return JudgedStream(FactsStream(WORLD), judge, {"safety": 0.5}).build(0, tiny_codec, "policy").fingerprint

    assert named() == named(servers=("http://b/v1", "http://c/v1"), cap=Cap(tokens=5), key_variable="KEY")
    assert named() != named(temperature=0.1)


def test_a_job_that_is_done_stays_done_where_its_servers_move():
    def plain(url: str, model: str = "m") -> Any:
        spec = Endpoint(model, (url,), role="judge.quality")
        return to_plain(tiny_phase(judges=(PairwiseQuality(spec),)))

    assert plain("http://a/v1") != plain("http://b/v1")
    assert deciding(plain("http://a/v1")) == deciding(plain("http://b/v1"))
    assert deciding(plain("http://a/v1")) != deciding(plain("http://a/v1", "other"))


def test_a_checkpoint_lets_go_of_answers_about_the_policy_alone(
    server: FaultServer, tiny_tokenizer: Path, tmp_path: Path
):
    cache = AnswerCache(str(tmp_path / "answers.sqlite"))
    train_all(judged_run(tiny_tokenizer, [server], cache=cache), tmp_path / "run")
    with sqlite3.connect(cache.file) as db:
        (kept,) = db.execute("SELECT COUNT(owner) FROM answers").fetchone()
    assert server.counts["requests"] > 0 and kept == 0


def test_servers_may_move_between_two_starts_and_the_model_may_not(
    server: FaultServer, tiny_tokenizer: Path, tmp_path: Path
):
    train_all(judged_run(tiny_tokenizer, [server]), tmp_path)
    with FaultServer() as other:
        train_all(judged_run(tiny_tokenizer, [other], key_variable="", cap=Cap(tokens=10**9)), tmp_path)
        with pytest.raises(ResumeRefused, match="temperature"):
            train_all(judged_run(tiny_tokenizer, [other], temperature=0.3), tmp_path)


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("phases.0.judges.0.model.servers.1", True),
        ("phases.0.judges.0.judge.model.requests.retries", True),
        ("phases.1.sources.0.rewriter.model.cache", True),
        ("evaluations.0.evaluator.model.servers.0", True),
        ("stream.judge.model.cap.tokens", True),
        ("model.config.cache", False),
        ("phases.0.judges.0.model.model", False),
        ("phases.0.judges.0.model.top_p", False),
        ("phases.0.judges.0.samples", False),
        ("name", True),
        ("seed", False),
    ],
)
def test_only_how_servers_are_asked_is_free_to_change(path: str, free: bool):
    assert is_free_to_change(path) is free


def test_a_rewriter_on_a_server_writes_candidates(tiny_tokenizer: Path, tmp_path: Path):
    def copies(prompt: str, seed: int) -> str:
        code = prompt.split("\n", 1)[0].removeprefix("Code: ")
        return prompt.split(f"[[{code} continuation]]\n")[1].split(f"\n[[{code} end of")[0]

    with FaultServer(answer=copies) as server:
        spec = Endpoint("judge", (server.url,), role="rewriter", requests=PATIENT, cache=None)
        sources = (SOURCES[0], RewriteSource(PromptRewriter(spec)), SOURCES[2])
        train_all(tiny_run(tiny_tokenizer, tiny_phase(sources=sources, steps=1)), tmp_path)
        assert server.counts["requests"] == 4
    row = read_metrics(tmp_path / "metrics.jsonl")[0]
    assert row["length/rewrite"] == row["length/suffix"] and row["requests/rewriter"] == 4
