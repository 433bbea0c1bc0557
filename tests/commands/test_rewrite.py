import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from tests.endpoints.conftest import QUICK
from tests.endpoints.fault_server import FaultServer
from tests.stream.corpora import sentence, write_jsonl
from tests.tiny import WORLD, outcome, tiny_phase, tiny_run, train_all

from tutelage.bulk import BulkFailed, BulkStatus, bulk_of_run, rewrite_corpus
from tutelage.cli import main
from tutelage.codec import train_tokenizer
from tutelage.commands.choosing import choose
from tutelage.endpoints import ENDING, LEDGER, Endpoint, forget
from tutelage.objectives import NTP
from tutelage.rewrites import StoredRewrites, finished_parts, read_header, read_rows
from tutelage.run import Run, save_run
from tutelage.sources import PromptRewriter, RewriteSource, SuffixSource
from tutelage.worlds.facts import FactsRewriter, FactsStream

LIVE = RewriteSource(FactsRewriter(WORLD, error=0.3))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()


def test_a_run_is_rewritten_and_then_reads_its_table(
    tokenizer: Path, run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / "table"
    words = ["rewrite", str(run_file), str(table), "--documents", "20", "--documents-per-part", "8"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert f"{{class: StoredRewrites, table: {table}}}" in told.out
    assert "100% · 20 documents" in told.err and "to go 0:00" in told.err
    stored = ["--sources.rewriter", "StoredRewrites", "--sources.rewriter.table", str(table)]
    for name, changes in (("live", []), ("stored", stored)):
        run = choose(str(run_file), changes)
        assert isinstance(run, Run)
        train_all(run, tmp_path / name)
    assert outcome(tmp_path / "live") == outcome(tmp_path / "stored")


def test_a_corpus_is_rewritten_by_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train_tokenizer([sentence(i) for i in range(20)], 500, tmp_path / "tokenizer")
    short = {"body": "too short"}
    corpus = write_jsonl(tmp_path / "a.jsonl", [short, *({"body": sentence(i)} for i in range(6))])

    def answer(prompt: str, seed: int) -> str:
        return f" better {hashlib.sha256(prompt.encode()).hexdigest()[:4]}"

    with FaultServer(model="writer", answer=answer) as server:
        named = ["--model", "writer", "--server", server.url, "--tokenizer", str(tmp_path / "tokenizer")]
        lengths = ["--stream.suffix-length", "8", "--stream.max-length", "40", "--stream.min-suffix", "4"]
        rest = ["--stream.text-column", "body", "--rewriter.model.cache", "null", "--rewriter.model.price.prompt", "5"]
        assert main(["rewrite", str(corpus), str(tmp_path / "table"), *named, *lengths, *rest]) == 0
        assert server.counts["requests"] == 6
        forget()
    parts = finished_parts(tmp_path / "table")
    rows = [row for part in parts.values() for row in read_rows(tmp_path / "table", part).to_pylist()]
    assert len(rows) == 6 and all(row["text"].startswith(" better") for row in rows)
    told = capsys.readouterr().err
    assert "6 documents" in told and "tokens" in told and "cost" in told
    assert "Not read: " in told and "too short" in told


def test_a_corpus_without_its_rewriter_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus = write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    assert main(["rewrite", str(corpus), str(tmp_path / "t"), "--model", "m"]) == 2
    told = capsys.readouterr().err
    assert "--server http://HOST:PORT/v1" in told and "--tokenizer FOLDER" in told
    whole = ["--model", "m", "--server", "http://localhost:1/v1", "--tokenizer", "t"]
    assert main(["rewrite", str(corpus), str(tmp_path / "t"), *whole, "--stream.suffix-lenght", "8"]) == 2
    assert "suffix_length" in capsys.readouterr().err


def test_neither_a_run_nor_a_corpus_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rewrite", str(tmp_path / "none"), str(tmp_path / "t")]) == 2
    assert "no recipe and no file" in capsys.readouterr().err


def test_a_server_that_is_away_stops_with_what_to_do(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    spec = Endpoint("m", ("http://127.0.0.1:9/v1",), role="rewriter", requests=QUICK, cache=None)
    run = tiny_run(tokenizer, tiny_phase(sources=(RewriteSource(PromptRewriter(spec)),)))
    save_run(run, tmp_path / "run.yaml")
    assert main(["rewrite", str(tmp_path / "run.yaml"), str(tmp_path / "t"), "--documents", "3"]) == 1
    told = capsys.readouterr().err
    assert told.index("start it, or mend the address") < told.index("no server of rewriter has answered")
    assert finished_parts(tmp_path / "t") == {} and read_header(tmp_path / "t") is not None


def test_a_signal_ends_it_at_once_while_every_server_is_down(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    patient = replace(QUICK, start_timeout_s=60.0)
    spec = Endpoint("m", ("http://127.0.0.1:9/v1",), role="rewriter", requests=patient, cache=None)
    save_run(tiny_run(tokenizer, tiny_phase(sources=(RewriteSource(PromptRewriter(spec)),))), tmp_path / "run.yaml")
    asked = Timer(1.5, signal.raise_signal, (signal.SIGTERM,))
    monkeypatch.setattr("tutelage.commands.rewrite.rewrite_corpus", _begun_with(asked))
    started = time.monotonic()
    assert main(["rewrite", str(tmp_path / "run.yaml"), str(tmp_path / "t"), "--documents", "3"]) == 143
    assert time.monotonic() - started < 30
    ENDING.clear()


def _begun_with(asked: Timer) -> Callable[..., BulkStatus]:
    def rewrite(*given: Any, **settings: Any) -> BulkStatus:
        asked.start()
        return rewrite_corpus(*given, **settings)

    return rewrite


def test_the_rewriter_of_a_run_is_found_or_asked_for(tokenizer: Path):
    other = RewriteSource(FactsRewriter(WORLD, error=0.5))
    plain, first, second = (tiny_phase(sources=s) for s in ((SuffixSource(),), (LIVE,), (SuffixSource(), other)))
    assert bulk_of_run(tiny_run(tokenizer, plain, first)).rewriter == LIVE.rewriter
    with pytest.raises(BulkFailed, match=r"in the phases 1, 2: choose one by --phase"):
        bulk_of_run(tiny_run(tokenizer, plain, first, second))
    assert bulk_of_run(tiny_run(tokenizer, plain, first, second), phase=2).rewriter == other.rewriter
    with pytest.raises(BulkFailed, match="has no source of rewrites"):
        bulk_of_run(tiny_run(tokenizer, plain))
    with pytest.raises(BulkFailed, match="phase 0 of 2"):
        bulk_of_run(tiny_run(tokenizer, plain, first), phase=0)


def test_behind_a_table_the_live_rewriter_is_taken_and_a_phase_brings_its_own_documents(tokenizer: Path):
    stored = RewriteSource(StoredRewrites("t", live=LIVE.rewriter))
    documents = FactsStream(WORLD, corpus="other")
    bulk = bulk_of_run(tiny_run(tokenizer, tiny_phase(sources=(stored,), stream=documents), seed=7, split="rewriter"))
    assert (bulk.rewriter, bulk.stream, bulk.seed, bulk.split) == (LIVE.rewriter, documents, 7, "rewriter")
    with pytest.raises(BulkFailed):
        bulk_of_run(tiny_run(tokenizer, tiny_phase(NTP(), sources=(RewriteSource(StoredRewrites("t")),))))
