"""A run reads the table in the place of the rewriter, and refuses one that was made for something else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bulk.conftest import Writer
from tests.bulk.small import small_rewriter
from tests.bulk.test_bulk import rows
from tests.stream.corpora import sentence

from tutelage.bulk import Bulk, Extent, rewrite_corpus
from tutelage.bulk.work import NO_POLICY
from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.config import from_plain, to_plain
from tutelage.prompts import RewritePrompt
from tutelage.protocols import Resources, Rewriter, RewriterSpec, SourceSpec
from tutelage.rewrites import StoredRewrites, TableError
from tutelage.sources import RewriteSource
from tutelage.stream import Corpus, EveryCut, RandomCut
from tutelage.types import Absent, Chunk, Rewrite


def resources(bulk: Bulk, tmp_path: Path, **changes: Any) -> Resources:
    found = Resources(bulk.seed, bulk.tokenizer.build(), NO_POLICY, bulk.stream.suffix_length, tmp_path)
    return replace(found, **changes)


def read(bulk: Bulk, documents: int, seed: int = 0) -> tuple[Chunk, ...]:
    stream = bulk.stream.build(seed, bulk.tokenizer.build(), "policy")
    return stream.read(stream.start(), documents)[0]


@pytest.fixture
def table(bulk: Bulk, tmp_path: Path) -> Path:
    """The first sixteen documents."""
    rewrite_corpus(bulk, tmp_path / "table", Extent(documents=16))
    return tmp_path / "table"


def test_a_run_reads_the_table_in_the_place_of_the_rewriter(bulk: Bulk, writer: Writer, table: Path, tmp_path: Path):
    chunks = read(bulk, 16)
    live = RewriteSource(bulk.rewriter).build(resources(bulk, tmp_path)).propose(chunks)
    asked = len(writer.prompts)
    stored = RewriteSource(StoredRewrites(str(table))).build(resources(bulk, tmp_path)).propose(chunks)
    assert stored == live and all(isinstance(one, Rewrite) and one.author == "writer" for (one,) in stored)
    assert len(writer.prompts) == asked
    backwards = StoredRewrites(str(table)).build(resources(bulk, tmp_path)).rewrite(chunks[::-1])
    assert [one.tokens for (one,) in stored if isinstance(one, Rewrite)] == backwards[::-1]


def test_the_protocols_are_met_and_it_stands_in_a_file(bulk: Bulk, table: Path, tmp_path: Path):
    spec = StoredRewrites(str(table), live=small_rewriter("http://localhost:1/v1"))
    assert isinstance(spec, RewriterSpec)
    assert isinstance(replace(spec, live=None).build(resources(bulk, tmp_path)), Rewriter)
    source = RewriteSource(spec)
    assert from_plain(SourceSpec, to_plain(source, SourceSpec)) == source


def test_a_document_that_is_not_in_the_table_is_absent_with_a_reason(bulk: Bulk, table: Path, tmp_path: Path):
    chunks = read(bulk, 20)
    written = StoredRewrites(str(table)).build(resources(bulk, tmp_path)).rewrite(chunks)
    gone = [one for one in written if isinstance(one, Absent)]
    assert len(gone) == 8 and written[-8:] == gone
    assert gone[0].reason == f"{table} has no row for this document"


def test_a_table_that_is_not_finished_is_named_as_such(bulk: Bulk, tmp_path: Path):
    calls: list[int] = []
    rewrite_corpus(bulk, tmp_path / "t", Extent(), in_flight=1, stopped=lambda: bool(calls.append(1)) or len(calls) > 2)
    (last,) = StoredRewrites(str(tmp_path / "t")).build(resources(bulk, tmp_path)).rewrite(read(bulk, 40)[-1:])
    assert isinstance(last, Absent) and last.reason.endswith("no row for this document: it is not finished")


def test_a_missing_row_is_asked_of_the_live_rewriter_if_there_is_one(
    bulk: Bulk, writer: Writer, table: Path, tmp_path: Path
):
    asked = len(writer.prompts)
    spec = StoredRewrites(str(table), live=bulk.rewriter)
    written = spec.build(resources(bulk, tmp_path)).rewrite(read(bulk, 20))
    assert not any(isinstance(one, Absent) for one in written)
    assert len(writer.prompts) == asked + 8


def test_a_recorded_failure_stays_one_and_is_not_asked_for_again(bulk: Bulk, writer: Writer, tmp_path: Path):
    writer.says = lambda prompt: "I'm sorry, but I can't assist." if "amber2" in prompt else " better"
    rewrite_corpus(bulk, tmp_path / "t", Extent())
    asked = len(writer.prompts)
    spec = StoredRewrites(str(tmp_path / "t"), live=bulk.rewriter)
    written = spec.build(resources(bulk, tmp_path)).rewrite(read(bulk, 40))
    failed = [one for one in written if isinstance(one, Absent)]
    assert len(failed) == sum(row["reason"] is not None for row in rows(tmp_path / "t")) > 0
    assert failed[0].reason.startswith("refused: ") and len(writer.prompts) == asked


def test_a_table_for_another_tokenizer_is_refused(bulk: Bulk, table: Path, tmp_path: Path):
    train_tokenizer([sentence(i) for i in range(30)], 450, tmp_path / "other")
    codec = Tokenizer(str(tmp_path / "other")).build()
    with pytest.raises(TableError, match="another tokenizer"):
        StoredRewrites(str(table)).build(resources(bulk, tmp_path, codec=codec))


def test_a_table_for_another_suffix_length_is_refused(bulk: Bulk, table: Path, tmp_path: Path):
    with pytest.raises(TableError, match="suffixes of 8 tokens"):
        StoredRewrites(str(table)).build(resources(bulk, tmp_path, suffix_length=9))


@pytest.mark.parametrize(
    "changes",
    [{"cuts": RandomCut()}, {"cuts": EveryCut(7)}, {"max_length": 20}],
    ids=["another draw", "a stride", "shorter prefixes"],
)
def test_a_table_of_other_cuts_is_refused(changes: dict[str, Any], bulk: Bulk, table: Path, tmp_path: Path):
    other = replace(bulk, stream=replace(bulk.stream, **changes))  # pyright: ignore[reportArgumentType]
    rewriter = StoredRewrites(str(table)).build(resources(bulk, tmp_path))
    with pytest.raises(TableError, match="made with other cuts, lengths or text"):
        rewriter.rewrite(read(other, 16))


def test_a_table_of_another_seed_is_refused_and_both_seeds_are_named(bulk: Bulk, table: Path, tmp_path: Path):
    rewriter = StoredRewrites(str(table)).build(resources(bulk, tmp_path, seed=5))
    with pytest.raises(TableError, match=r"its seed was 0, that of this run is 5"):
        rewriter.rewrite(read(bulk, 40, seed=5))


def test_a_table_of_cuts_that_need_no_seed_serves_every_seed(bulk: Bulk, tmp_path: Path):
    every = replace(bulk, stream=replace(bulk.stream, cuts=EveryCut(16)))  # pyright: ignore[reportCallIssue]
    rewrite_corpus(every, tmp_path / "t", Extent())
    other = read(every, 60, seed=5)  # the second epoch has begun
    written = StoredRewrites(str(tmp_path / "t")).build(resources(bulk, tmp_path, seed=5)).rewrite(other)
    assert max(chunk.document.epoch for chunk in other) == 1
    assert not any(isinstance(one, Absent) for one in written)


def test_a_corpus_of_another_name_is_refused(bulk: Bulk, corpus: Path, table: Path, tmp_path: Path):
    renamed = replace(bulk.stream, corpora=(Corpus(str(corpus), name="other"),))  # pyright: ignore[reportCallIssue]
    rewriter = StoredRewrites(str(table)).build(resources(bulk, tmp_path))
    with pytest.raises(TableError, match=r"corpora corpus, and the run reads 'other'"):
        rewriter.rewrite(read(replace(bulk, stream=renamed), 2))


@pytest.mark.parametrize("how", ["prompt", "model"])
def test_a_live_rewriter_must_be_the_one_that_wrote_the_table(
    how: str, bulk: Bulk, writer: Writer, table: Path, tmp_path: Path
):
    live = small_rewriter(writer.url)
    other = replace(live, prompt=RewritePrompt(seam=2))
    if how == "model":
        other = replace(live, model=replace(live.model, model="another"))  # pyright: ignore[reportCallIssue]
    told = "another prompt or sampling" if how == "prompt" else "'writer', not by 'another'"
    with pytest.raises(TableError, match=told):
        StoredRewrites(str(table), live=other).build(resources(bulk, tmp_path))


def test_a_damaged_part_is_named_with_the_remedy(bulk: Bulk, table: Path, tmp_path: Path):
    path = table / "parts" / "part-00000001.parquet"
    rewriter = StoredRewrites(str(table)).build(resources(bulk, tmp_path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"part-00000001.parquet is not what the manifest tells of.*writes it anew"):
        rewriter.rewrite(read(bulk, 16))


def test_no_table_there_says_how_one_is_made(bulk: Bulk, tmp_path: Path):
    with pytest.raises(TableError, match="tutelage rewrite RUN"):
        StoredRewrites(str(tmp_path / "none")).build(resources(bulk, tmp_path))
    (tmp_path / "table.json").write_text("{")
    with pytest.raises(TableError, match="cannot be read"):
        StoredRewrites(str(tmp_path)).build(resources(bulk, tmp_path))
