"""A corpus is rewritten once: whole, resumable, its failures recorded."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bulk.conftest import Writer
from tests.bulk.small import small_rewriter

from tutelage.bulk import Bulk, BulkFailed, BulkStatus, Extent, bulk_of_run, rewrite_corpus
from tutelage.bulk.local import claimed_rank
from tutelage.bulk.work import set_up
from tutelage.endpoints import Cap, Price
from tutelage.endpoints.errors import BudgetSpent
from tutelage.prompts import RewritePrompt
from tutelage.record import WriteFailed
from tutelage.rewrites import TableError, finished_parts, read_header, read_rows
from tutelage.types import Absent, Tokens


def rows(table: Path) -> list[dict[str, Any]]:
    parts = finished_parts(table)
    return [row for number in sorted(parts) for row in read_rows(table, parts[number]).to_pylist()]


def test_a_table_holds_what_the_rewriter_says_of_every_chunk(bulk: Bulk, writer: Writer, tmp_path: Path):
    status = rewrite_corpus(bulk, tmp_path / "table", Extent())
    assert (status.documents, status.rows, status.failed, status.share) == (40, 80, 0, 1.0)
    assert len(writer.prompts) == 80
    bench = set_up(bulk, tmp_path / "table", Extent())
    chunks, _ = bench.stream.read(bench.stream.start(), 40)
    written = bench.rewriter.rewrite(chunks)
    stored = {(row["document"], row["cut"]): row for row in rows(tmp_path / "table")}
    for chunk, tokens in zip(chunks, written, strict=True):
        row = stored[chunk.document.id, chunk.cut]
        assert isinstance(tokens, Tokens)
        assert row["tokens"] == tokens[:8].tolist() and row["reason"] is None and row["model"] == "writer"
        assert row["text"] == bench.codec.decode(tokens[:8]) and row["text"].strip()


def test_what_is_finished_is_not_asked_for_again(bulk: Bulk, writer: Writer, tmp_path: Path):
    rewrite_corpus(bulk, tmp_path, Extent(documents=20))
    assert len(writer.prompts) == 40 and max(finished_parts(tmp_path)) == 2
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    status = rewrite_corpus(bulk, tmp_path, Extent())
    assert status.documents == 40 and status.new_documents == 20
    assert max(Counter(writer.prompts).values()) == 1 and len(writer.prompts) == 80
    rewrite_corpus(bulk, tmp_path, Extent())
    assert len(writer.prompts) == 80
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_killed_worker_loses_nothing_that_was_finished_and_repeats_none_of_it(
    bulk: Bulk, corpus: Path, tokenizer: Path, writer: Writer, tmp_path: Path
):
    writer.delay_s = 0.1
    command = [sys.executable, "-m", "tests.bulk.small", str(corpus), str(tokenizer), writer.url, str(tmp_path / "a")]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while len(finished_parts(tmp_path / "a")) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = {row["text"].strip() for row in rows(tmp_path / "a")}
    assert 32 <= len(finished) < 80
    writer.delay_s = 0.0
    rewrite_corpus(bulk, tmp_path / "a", Extent())
    again = [prompt for prompt, times in Counter(writer.prompts).items() if times > 1]
    assert not finished & {writer.says(prompt).strip() for prompt in again}
    assert len(again) <= 2 * 8 * 2  # what was in progress
    rewrite_corpus(bulk, tmp_path / "b", Extent())
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_a_torn_line_of_the_manifest_costs_one_part(bulk: Bulk, writer: Writer, tmp_path: Path):
    rewrite_corpus(bulk, tmp_path, Extent(), in_flight=1)
    path = tmp_path / "manifest.rank-0000.jsonl"
    *whole, torn, empty = path.read_bytes().splitlines(keepends=True)  # the last part begins the next epoch
    path.write_bytes(b"".join(whole) + torn[:-40])
    assert len(finished_parts(tmp_path)) == 4 and b'"rows": 0' in empty
    rewrite_corpus(bulk, tmp_path, Extent())
    assert len(finished_parts(tmp_path)) == 6 and len(writer.prompts) == 80 + 16
    assert len(rows(tmp_path)) == 80


def test_a_part_that_was_deleted_is_written_anew(bulk: Bulk, writer: Writer, tmp_path: Path):
    rewrite_corpus(bulk, tmp_path, Extent())
    before = rows(tmp_path)
    (tmp_path / "parts" / "part-00000002.parquet").unlink()
    assert rewrite_corpus(bulk, tmp_path, Extent()).new_documents == 8
    assert rows(tmp_path) == before and len(writer.prompts) == 80 + 16


def test_failures_are_recorded_with_their_reason_and_asked_again_only_on_demand(
    bulk: Bulk, writer: Writer, tmp_path: Path
):
    sound = writer.says
    writer.says = lambda prompt: "I'm sorry, but I can't help with that." if "amber2" in prompt else sound(prompt)
    status = rewrite_corpus(bulk, tmp_path, Extent())
    failed = [row for row in rows(tmp_path) if row["tokens"] is None]
    assert 0 < len(failed) == status.failed < 40
    assert all(row["reason"].startswith("refused: ") and row["text"] is None for row in failed)
    writer.says, asked = sound, len(writer.prompts)
    rewrite_corpus(bulk, tmp_path, Extent())
    assert len(writer.prompts) == asked
    assert rewrite_corpus(bulk, tmp_path, Extent(retry_failed=True)).failed == 0
    assert len(writer.prompts) == asked + len(failed)
    assert [row["reason"] for row in rows(tmp_path)] == [None] * 80


def test_a_part_that_mostly_failed_stops_the_work_and_is_not_kept(bulk: Bulk, writer: Writer, tmp_path: Path):
    writer.says = lambda prompt: "I cannot help with this."
    with pytest.raises(BulkFailed, match=r"16 of the 16 rewrites of part 0 failed.*16 of them: refused"):
        rewrite_corpus(bulk, tmp_path, Extent(), in_flight=1)
    assert finished_parts(tmp_path) == {}
    assert rewrite_corpus(bulk, tmp_path, Extent(max_failed=1.0)).failed == 80


def test_a_cap_stops_the_work_and_counts_over_a_resume(bulk: Bulk, writer: Writer, tmp_path: Path):
    price = Price(prompt=1.0, answer=1.0)
    dear = replace(bulk, rewriter=small_rewriter(writer.url, cap=Cap(tokens=5000), price=price))
    with pytest.raises(BudgetSpent, match="rewriter has spent"):
        rewrite_corpus(dear, tmp_path, Extent(), in_flight=1)
    asked = len(writer.prompts)
    assert 0 < asked < 80
    with pytest.raises(BudgetSpent):
        rewrite_corpus(dear, tmp_path, Extent(), in_flight=1)
    assert len(writer.prompts) - asked < 16
    status = rewrite_corpus(replace(bulk, rewriter=small_rewriter(writer.url, price=price)), tmp_path, Extent())
    assert status.rows == 80 and status.cost == pytest.approx(status.tokens / 1e6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 3}, "another seed: 0 then, 3 now"),
        ({"documents_per_part": 4}, "another documents per part: 8 then, 4 now"),
        ({"epochs": 2}, "another epochs: 1 then, 2 now"),
        ({"prompt": RewritePrompt(seam=2)}, "another prompt"),
        ({"temperature": 0.0}, "another prompt"),
    ],
)
def test_a_table_is_gone_on_with_by_the_same_work_alone(
    changes: dict[str, Any], told: str, bulk: Bulk, writer: Writer, tmp_path: Path
):
    rewrite_corpus(bulk, tmp_path, Extent(documents=8))
    rewriter = small_rewriter(writer.url)
    if "prompt" in changes:
        changes = {"rewriter": replace(rewriter, **changes)}
    if "temperature" in changes:
        changes = {"rewriter": small_rewriter(writer.url, **changes)}
    with pytest.raises(TableError, match=told):
        rewrite_corpus(replace(bulk, **changes), tmp_path, Extent())


def test_servers_and_prices_may_differ_when_a_table_is_gone_on_with(bulk: Bulk, writer: Writer, tmp_path: Path):
    rewrite_corpus(bulk, tmp_path, Extent(documents=8))
    with Writer() as other:
        moved = small_rewriter(other.url, price=Price(prompt=2.0), cap=Cap(tokens=10**9), cache=None)
        assert rewrite_corpus(replace(bulk, rewriter=moved), tmp_path, Extent()).rows == 80
        assert len(other.prompts) == 64


def test_how_far_it_is_grows_to_the_whole_with_a_time_to_go(bulk: Bulk, tmp_path: Path):
    seen: list[BulkStatus] = []
    rewrite_corpus(bulk, tmp_path, Extent(), in_flight=1, watch=seen.append)
    shares = [status.share or 0.0 for status in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert any(0.05 < share < 0.95 for share in shares)
    assert all(status.eta is not None for status in seen if status.documents)
    assert next(s for s in seen if s.documents == 16).share == pytest.approx(0.4, abs=0.15)


def test_once_asked_to_stop_it_finishes_what_is_in_progress(bulk: Bulk, writer: Writer, tmp_path: Path):
    status = rewrite_corpus(bulk, tmp_path, Extent(), in_flight=1, stopped=lambda: len(writer.prompts) > 20)
    assert status.documents == 16 and len(writer.prompts) == 32
    assert status.share is not None and status.share < 1


def test_two_processes_do_not_write_into_one_table(bulk: Bulk, tmp_path: Path):
    with claimed_rank(tmp_path, 1), pytest.raises(BulkFailed, match="another process is writing"):
        rewrite_corpus(bulk, tmp_path, Extent())


def test_epochs_with_random_cuts_give_rows_of_their_own(bulk: Bulk, tmp_path: Path):
    status = rewrite_corpus(replace(bulk, epochs=2), tmp_path, Extent())
    found = Counter(row["epoch"] for row in rows(tmp_path))
    assert found == {0: 80, 1: 80} and status.rows == 160 and status.share == 1.0


def test_the_header_says_what_was_asked_of_whom(bulk: Bulk, tmp_path: Path):
    rewrite_corpus(bulk, tmp_path, Extent(documents=8))
    header = read_header(tmp_path)
    assert header is not None and header.corpora == ("corpus",) and header.model == "writer"
    assert header.settings["rewriter"]["model"]["model"] == "writer"
    assert json.loads((tmp_path / "table.json").read_text())["suffix_length"] == 8


def test_a_full_disk_is_named_and_keeps_what_was_finished(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rewrite_corpus(bulk, tmp_path, Extent(documents=8))
    real = os.fsync

    def full(descriptor: int) -> None:
        if "part-" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed, match="free space"):
        rewrite_corpus(bulk, tmp_path, Extent())
    assert len(finished_parts(tmp_path)) == 1


def test_a_rewriter_of_any_kind_works_in_bulk_and_a_stream_without_end_needs_a_number(
    tiny_tokenizer: Path, tmp_path: Path
):
    from tests.tiny import WORLD, tiny_run

    bulk = bulk_of_run(tiny_run(tiny_tokenizer), documents_per_part=4)
    with pytest.raises(BulkFailed, match="--documents"):
        rewrite_corpus(bulk, tmp_path, Extent())
    assert rewrite_corpus(bulk, tmp_path, Extent(documents=10)).rows == 10
    bench = set_up(bulk, tmp_path, Extent(documents=10))
    chunks, _ = bench.stream.read(bench.stream.start(), 10)
    written = bench.rewriter.rewrite(chunks)
    assert [row["tokens"] for row in rows(tmp_path)] == [
        None if isinstance(one, Absent) else one[: WORLD.suffix_length].tolist() for one in written
    ]
