"""Runs whose judges and rewriters are on servers: what a run keeps, counts and refuses."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import TRANSIENT, FaultServer
from tests.tiny import SOURCES, outcome, tiny_phase, tiny_run, train_all

from tutelage.endpoints import AnswerCache, Cap, Endpoint
from tutelage.judges import PairwiseQuality
from tutelage.logbook import ResumeRefused
from tutelage.phases import Steps
from tutelage.run import Checkpointing, Run, is_free_to_change
from tutelage.sources import PromptRewriter, RewriteSource
from tutelage.trackers import read_metrics

PATIENT = replace(QUICK, retries=14, timeout_s=0.3, trip_after=30)


def judged_run(tokenizer: Path, servers: Sequence[FaultServer], steps: int = 3, **settings: Any) -> Run:
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
    from tutelage.endpoints import LEDGER

    LEDGER.open(tmp_path, 0, 1)
    assert LEDGER.tokens("judge.quality") == spent


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
