"""The workers that Ray starts, one after the other in this process; where Ray is installed, by Ray itself."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.bulk.conftest import Writer
from tests.bulk.small import small_bulk
from tests.bulk.test_bulk import rows

from tutelage.bulk import Bulk, BulkFailed, BulkStatus, Extent, on_ray, rewrite_corpus, surveying
from tutelage.bulk.on_ray import PartWorker, assign, rewrite_on_ray
from tutelage.bulk.surveying import survey
from tutelage.bulk.work import set_up
from tutelage.config.mapping import parts_of
from tutelage.endpoints import Endpoint
from tutelage.rewrites import finished_parts, is_whole, part_file, write_header


class InTurn:
    """As much of ``ray`` as is used: every worker an object here, and the parts dealt to them in turn.

    It names the arguments that Ray has and no others, so that one that it has not fails here too.
    """

    def __init__(self, dies_after: int | None = None) -> None:
        self.data = self
        self.addresses: list[str | None] = []
        self._dies_after = dies_after

    def init(self, address: str | None, *, ignore_reinit_error: bool, log_to_driver: bool) -> None:
        self.addresses.append(address)

    def from_items(self, items: list[dict[str, Any]], override_num_blocks: int) -> "InTurn":
        assert 1 <= override_num_blocks <= len(items)
        self._items = items
        return self

    def map_batches(
        self, kind: type, *, fn_constructor_kwargs: Any, batch_size: int, concurrency: int, num_cpus: float
    ) -> "InTurn":
        assert batch_size == num_cpus == 1
        self._workers = [kind(**fn_constructor_kwargs) for _ in range(concurrency)]
        return self

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        try:
            for turn, item in enumerate(self._items):
                if turn == self._dies_after:
                    raise RuntimeError("the cluster is gone") from ConnectionError("node lost")
                worker = self._workers[turn % len(self._workers)]
                batch = {name: np.array([value]) for name, value in item.items()}
                yield {"number": int(worker(batch)["number"][0])}
        finally:
            for worker in self._workers:
                worker.close()


def by_ray(bulk: Bulk, table: Path, monkeypatch: pytest.MonkeyPatch, ray: InTurn, **settings: Any) -> BulkStatus:
    monkeypatch.setattr(on_ray, "require_ray", lambda: ray)
    return rewrite_on_ray(bulk, table, settings.pop("extent", Extent()), address="auto", workers=3, **settings)


def test_many_workers_write_the_table_that_one_machine_writes(
    bulk: Bulk, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    status = by_ray(bulk, tmp_path / "many", monkeypatch, InTurn())
    assert (status.documents, status.rows, status.share) == (40, 80, 1.0) and len(writer.prompts) == 80
    assert len(list((tmp_path / "many").glob("manifest.rank-*.jsonl"))) == 3
    rewrite_corpus(bulk, tmp_path / "one", Extent())
    assert rows(tmp_path / "many") == rows(tmp_path / "one")


def test_what_was_finished_when_the_cluster_died_is_not_asked_for_again(
    bulk: Bulk, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(BulkFailed, match="node lost"):
        by_ray(bulk, tmp_path, monkeypatch, InTurn(dies_after=2))
    assert len(finished_parts(tmp_path)) == 2 and len(writer.prompts) == 32
    assert by_ray(bulk, tmp_path, monkeypatch, InTurn()).rows == 80
    assert len(writer.prompts) == len(set(writer.prompts)) == 80
    rewrite_corpus(bulk, tmp_path, Extent())  # another machine, or the same one alone, may go on too
    assert len(writer.prompts) == 80


def test_a_part_that_two_workers_are_given_is_written_once(bulk: Bulk, writer: Writer, tmp_path: Path):
    bench = set_up(bulk, tmp_path, Extent())
    write_header(tmp_path, bench.header)
    assignment = assign(bulk, tmp_path, Extent(), workers=2)
    first, second = PartWorker(assignment), PartWorker(assignment)
    part = first.write(1, list(survey(bench, Extent(), {}))[1][0], 8)
    assert second.write(1, part.before, 8) == part and len(writer.prompts) == 16
    with pytest.raises(BulkFailed, match="another process"):
        PartWorker(assignment)
    first.close()
    PartWorker(assignment).close()
    second.close()


def test_where_parts_begin_is_found_once(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bench = set_up(bulk, tmp_path, Extent())
    cursors = list(survey(bench, Extent(), {}))
    assert [before.taken for before, _ in cursors][:6] == [0, 8, 16, 24, 32, 40]
    whole = (tmp_path / "survey.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "survey.jsonl").write_text("".join(lines[:4]))
    reads: list[int] = []
    real = surveying.read_task
    monkeypatch.setattr(surveying, "read_task", lambda *given: reads.append(given[1]) or real(*given))
    assert list(survey(bench, Extent(), {})) == cursors and reads == list(range(3, len(cursors)))
    assert (tmp_path / "survey.jsonl").read_text() == whole
    (tmp_path / "survey.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    assert list(survey(bench, Extent(), {})) == cursors and (tmp_path / "survey.jsonl").read_text() == whole
    assert len(list(survey(bench, Extent(documents=10), {}))) == 2


def keys(table: Path) -> list[tuple[str, int]]:
    return sorted((row["document"], row["cut"]) for row in rows(table))


@pytest.mark.parametrize("begun_by_ray", [True, False])
def test_a_table_goes_on_behind_the_parts_that_are_there_however_they_were_cut(
    bulk: Bulk, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun_by_ray: bool
):
    first = Extent(documents=10)
    if begun_by_ray:
        by_ray(bulk, tmp_path / "a", monkeypatch, InTurn(), extent=first)
    else:
        rewrite_corpus(bulk, tmp_path / "a", first)
    status = by_ray(bulk, tmp_path / "a", monkeypatch, InTurn())
    assert (status.documents, status.rows, status.share) == (40, 80, 1.0)
    assert len(set(writer.prompts)) == 80
    assert is_whole(finished_parts(tmp_path / "a"))
    rewrite_corpus(bulk, tmp_path / "b", Extent())
    assert keys(tmp_path / "a") == keys(tmp_path / "b")


@pytest.mark.parametrize("on_many", [True, False])
def test_a_gap_among_the_parts_is_filled_up_to_the_next_one(
    bulk: Bulk, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_many: bool
):
    for documents in (10, 12, None):
        rewrite_corpus(bulk, tmp_path, Extent(documents=documents))
    wanted = keys(tmp_path)
    for number in (1, 2):
        part_file(tmp_path, number).unlink()
    assert not is_whole(finished_parts(tmp_path))
    writer.prompts.clear()
    if on_many:
        by_ray(bulk, tmp_path, monkeypatch, InTurn())
    else:
        rewrite_corpus(bulk, tmp_path, Extent())
    assert keys(tmp_path) == wanted and is_whole(finished_parts(tmp_path))
    assert len(set(writer.prompts)) == 8  # what was gone, and no more


@pytest.mark.parametrize("on_many", [True, False])
def test_a_part_that_begins_elsewhere_is_written_anew_and_the_table_is_not_called_whole_before(
    bulk: Bulk, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_many: bool
):
    rewrite_corpus(bulk, tmp_path, Extent())
    wanted = keys(tmp_path)
    part_file(tmp_path, 1).unlink()
    rewrite_corpus(bulk, tmp_path, Extent(documents=10))  # part 1 now ends before part 2 begins
    parts = finished_parts(tmp_path)
    assert sorted(parts) == list(range(len(parts))) and not is_whole(parts)
    if on_many:
        by_ray(bulk, tmp_path, monkeypatch, InTurn())
    else:
        rewrite_corpus(bulk, tmp_path, Extent())
    assert keys(tmp_path) == wanted and is_whole(finished_parts(tmp_path))


def test_asking_again_about_the_failures_of_a_part_shortens_it_no_more_than_was_asked_for(
    bulk: Bulk, writer: Writer, tmp_path: Path
):
    answer, writer.says = writer.says, lambda prompt: " " if len(writer.prompts) % 3 else answer(prompt)
    rewrite_corpus(bulk, tmp_path, Extent(max_failed=1.0))
    wanted = keys(tmp_path)
    assert finished_parts(tmp_path)[1].failed
    writer.says = answer
    rewrite_corpus(bulk, tmp_path, Extent(documents=10, retry_failed=True))
    parts = finished_parts(tmp_path)
    assert keys(tmp_path) == wanted and is_whole(parts) and not parts[1].failed and parts[2].failed


def test_workers_share_what_a_server_bears(bulk: Bulk, tmp_path: Path):
    assignment = assign(bulk, tmp_path, Extent(documents=3), workers=5)
    ((_, endpoint),) = parts_of(assignment.bulk.rewriter, Endpoint)
    assert endpoint.requests.concurrency == 4  # of 16
    assert assignment.extent == Extent(documents=3)
    assert assignment.bulk.stream == bulk.stream


def test_a_ray_that_is_not_there_is_told_of_before_anything_is_read(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Away(InTurn):
        def init(self, address: str | None, **_: Any) -> None:
            raise ConnectionError("Could not find any running Ray instance.\nand more")

    monkeypatch.setattr(on_ray, "set_up", lambda *_: pytest.fail("the corpus was opened"))
    with pytest.raises(BulkFailed, match=r"no Ray at 'auto' \(Could not find any running Ray instance\.\): start one"):
        by_ray(bulk, tmp_path, monkeypatch, Away())


def test_without_the_library_the_way_to_it_is_told(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(on_ray.importlib, "import_module", missing)
    with pytest.raises(BulkFailed, match=r"pip install 'tutelage\[ray\]'"):
        rewrite_on_ray(bulk, tmp_path, Extent(), address="auto", workers=2)


@pytest.fixture
def cluster() -> Iterator[None]:
    """What Ray needs here: it is given up afterwards, with all that it started."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'tutelage[ray]'")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_worker_that_is_killed_in_real_ray_loses_nothing_and_repeats_nothing_that_was_finished(
    cluster: None, corpus: Path, tokenizer: Path, writer: Writer, tmp_path: Path
):
    table, killed = tmp_path / "many", list[int]()

    def says_and_kills(prompt: str) -> str:
        if not killed and len(finished_parts(table)) >= 2:
            killed.append(_a_worker())
            os.kill(killed[0], signal.SIGKILL)  # whichever it is, a question of one of the two is open
        return answer(prompt)

    answer, writer.delay_s = writer.says, 0.05
    writer.says = says_and_kills
    bulk = small_bulk(corpus, tokenizer, writer.url, documents_per_part=4)
    status = rewrite_on_ray(bulk, table, Extent(), address="local", workers=2)
    assert killed and (status.documents, status.rows, status.share) == (40, 80, 1.0)
    parts = [json.loads(line)["number"] for file in table.glob("manifest.rank-*.jsonl") for line in file.open()]
    assert sorted(parts) == list(range(11))  # each was finished once; the last finds no document left
    asked = Counter(writer.prompts)
    again = sum(asked.values()) - 80
    assert len(asked) == 80 and max(asked.values()) <= 2 and again <= 8  # at most the part that was in its hands
    writer.says = answer
    rewrite_corpus(bulk, tmp_path / "one", Extent())
    assert rows(table) == rows(tmp_path / "one")


def _a_worker() -> int:
    """A process of Ray's that writes parts; the ones here are this test's own."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"PartWorker" in title:
            return int(path.parent.name)
    raise AssertionError("no worker is running")
