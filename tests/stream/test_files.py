"""Every kind of source gives its documents, and every mistake a message that helps."""

import gzip
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.stream.corpora import ids, plain, sentence, write_jsonl

from tutelage.codec import HFCodec
from tutelage.stream import Corpus, NearDuplicates, StreamError, TextStream, data_root, inspect_corpus
from tutelage.stream.lines import scan_lines
from tutelage.stream.order import CorpusReader, Met
from tutelage.stream.rows import Broken, Raw


def documents(corpus: Corpus, block_rows: int = 8) -> dict[str, object]:
    rows = [row for _, row in CorpusReader(corpus, 0, block_rows).natural()]
    assert not any(isinstance(row, Broken) for row in rows)
    return {row.id: row.content for row in rows if isinstance(row, Raw)}


def test_a_folder_is_read_in_sorted_order_without_the_files_about_it(folder: Path) -> None:
    found = documents(Corpus(str(folder)))
    assert len(found) == 60
    assert found["a.jsonl:1"] == sentence(0)
    assert found["deep/b.jsonl.gz:30"] == sentence(129)
    assert found["deep/c4.txt"] == sentence(204)
    report = inspect_corpus(Corpus(str(folder)))
    assert report.files == ("a.jsonl", "deep/b.jsonl.gz", *(f"deep/c{i}.txt" for i in range(5)))
    assert report.skipped == ("LICENSE", "SOURCE.txt", "readme.txt", "table.tsv")
    assert (report.rows_seen, report.columns, report.broken) == (60, ("text", "id"), ())
    assert report.mean_length > 100


def test_skip_files_and_format_narrow_a_folder(folder: Path) -> None:
    assert len(documents(Corpus(str(folder), skip_files=("deep/*",)))) == 25
    assert len(documents(Corpus(str(folder), format="text"))) == 5


def test_parquet_is_read_by_row_group_and_by_the_id_column(tmp_path: Path) -> None:
    table = pa.table({"body": [sentence(i) for i in range(10)], "key": list(range(10)), "other": [1.5] * 10})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=4)
    corpus = Corpus(str(tmp_path), text_column="body", id_column="key")
    assert documents(corpus) == {str(i): sentence(i) for i in range(10)}
    assert list(documents(Corpus(str(tmp_path), text_column="body")))[9] == "x.parquet:9"
    assert len(CorpusReader(corpus, 0, 8).listing.shards) == 1


def test_ids_of_parquet_may_be_text_and_one_that_is_no_unicode_is_a_broken_row(tmp_path: Path) -> None:
    ids = [b"<urn:uuid:1>", "größer".encode(), b"\xff"]
    keys = pa.Array.from_buffers(pa.string(), 3, pa.array(ids, pa.binary()).buffers())
    pq.write_table(pa.table({"text": ["one", "two", "three"], "id": keys}), tmp_path / "x.parquet")
    rows = [row for _, row in CorpusReader(Corpus(str(tmp_path), id_column="id"), 0, 8).natural()]
    assert [row.id for row in rows[:2] if isinstance(row, Raw)] == ["<urn:uuid:1>", "größer"]
    assert isinstance(rows[2], Broken) and rows[2].reason == "id column 'id': invalid UTF-8 at byte 0"


def test_each_file_may_have_a_text_column_of_its_own(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "one"}])
    write_jsonl(tmp_path / "b.jsonl", [{"body": "two", "extra": 1}])
    assert list(documents(Corpus(str(tmp_path), text_column=("text", "body"))).values()) == ["one", "two"]
    with pytest.raises(StreamError, match=r"b\.jsonl.*no column 'text'.*body, extra.*skip_files"):
        documents(Corpus(str(tmp_path)))


def test_plain_text_is_one_document_a_file_or_split_at_a_marker(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("first\r\n\r\nsecond\nline\n\n\n\nthird é\n".encode())
    assert documents(Corpus(str(tmp_path))) == {"a.txt": "first\n\nsecond\nline\n\n\n\nthird é\n"}
    assert list(documents(Corpus(str(tmp_path), separator="\n\n")).values()) == ["first", "second\nline", "third é"]
    assert list(documents(Corpus(str(tmp_path), separator="line")).values()) == ["first\n\nsecond", "third é"]


def test_a_saved_data_set_is_memory_mapped_and_its_part_is_named(tmp_path: Path) -> None:
    whole = datasets.Dataset.from_dict({"text": [sentence(i) for i in range(20)], "id": list(range(20))})
    whole.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": whole}).save_to_disk(str(tmp_path / "parts"))
    expected = {str(i): sentence(i) for i in range(20)}
    assert documents(Corpus(str(tmp_path / "one"), id_column="id")) == expected
    assert documents(Corpus(str(tmp_path / "parts"), id_column="id")) == expected
    with pytest.raises(StreamError, match="set dataset_split to one of"):
        documents(Corpus(str(tmp_path / "parts"), dataset_split="dev"))
    with pytest.raises(StreamError, match="save_to_disk"):
        documents(Corpus(str(tmp_path), format="saved"))


def test_a_streamed_data_set_gives_all_rows_and_resumes_by_skipping(tmp_path: Path, codec: HFCodec) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"text": sentence(i)} for i in range(20)])
    corpus = Corpus(str(tmp_path), format="datasets", streaming=True)
    assert list(documents(corpus).values()) == [sentence(i) for i in range(20)]
    with pytest.raises(StreamError, match=r"set stream\.deduplicate to null"):
        TextStream((corpus,))
    spec = plain(tmp_path)
    stream = TextStream((corpus,), **{name: getattr(spec, name) for name in spec.__slots__ if name != "corpora"})
    reader = stream.build(0, codec, "policy")
    first, cursor = reader.read(reader.start(), 11)
    rest, _ = stream.build(0, codec, "policy").read(cursor, 9)
    assert sorted(ids([*first, *rest])) == sorted(f"corpus:{i}" for i in range(20))
    assert ids(first[:8]) != [f"corpus:{i}" for i in range(8)]


def test_a_stored_data_set_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "in" / "train.jsonl", [{"text": sentence(i)} for i in range(9)])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = documents(Corpus(str(tmp_path / "in"), format="datasets", name="web"))
    assert found == {f"web:{i}": sentence(i) for i in range(9)}


def test_tokens_are_read_as_documents(tmp_path: Path, codec: HFCodec) -> None:
    rows = [codec.encode(sentence(i)).tolist() for i in range(6)]
    write_jsonl(tmp_path / "a" / "t.jsonl", [{"text": [*row, codec.eos]} for row in rows])
    (tmp_path / "b").mkdir()
    pq.write_table(pa.table({"text": rows}), tmp_path / "b" / "t.parquet")
    for part in ("a", "b"):
        reader = plain(tmp_path / part).build(0, codec, "policy")
        chunks, _ = reader.read(reader.start(), 6)
        assert sorted(chunk.document.tokens.tolist() for chunk in chunks) == sorted(rows)


def test_tokens_of_another_tokenizer_are_refused(tmp_path: Path, codec: HFCodec) -> None:
    write_jsonl(tmp_path / "t.jsonl", [{"text": [5] * 30 + [50_000]}])
    reader = plain(tmp_path).build(0, codec, "policy")
    with pytest.raises(StreamError, match=r"token 50000, but the tokenizer has \d+"):
        reader.read(reader.start(), 1)


@pytest.mark.parametrize("block_bytes", [1, 50, 10_000])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_blocks_tile_a_file_of_lines(tmp_path: Path, block_bytes: int, ending: str) -> None:
    lines = ["x" * (i % 7) for i in range(40)]
    path = tmp_path / "a"
    path.write_text("\n".join([*lines, "end"]) + ending)
    with path.open("rb") as file:
        starts, before = scan_lines(file, 6, block_bytes)
    raw = path.read_bytes()
    parts = [raw[a:b] for a, b in itertools.pairwise(starts)]
    assert b"".join(parts) == raw
    assert [raw[:start].count(b"\n") for start in starts[:-1]] == before[: len(parts)]
    assert all(1 <= len(part.removesuffix(b"\n").split(b"\n")) <= 6 for part in parts)


def test_reading_one_block_leaves_the_rest_of_the_file_alone(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": sentence(i)} for i in range(80)])
    reader = CorpusReader(Corpus(str(path)), 0, 8)
    met = next(reader.walk((0, 0, 3, 0)))
    assert isinstance(met, Met)
    good = path.read_bytes().splitlines(keepends=True)
    first = met.place[1] * 8
    path.write_bytes(
        b"".join(line if first <= i < first + 8 else b"!" * (len(line) - 1) + b"\n" for i, line in enumerate(good))
    )
    again = CorpusReader(Corpus(str(path)), 0, 8)
    assert next(again.walk((0, 0, 3, 0))) == met


# ------------------------------------------------------------------------------------------- mistakes


def test_a_missing_path_is_named_and_the_hub_is_hinted_at(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r'no file or folder .*nowhere.*format "datasets"'):
        documents(Corpus(str(tmp_path / "nowhere")))


def test_an_empty_folder_says_what_it_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(StreamError, match=r"no file to read \(\*\.jsonl, .*1 other files"):
        documents(Corpus(str(tmp_path)))


def test_an_empty_file_is_an_error_once_nothing_else_is_there(tmp_path: Path, codec: HFCodec) -> None:
    write_jsonl(tmp_path / "a.jsonl", [])
    reader = plain(tmp_path).build(0, codec, "policy")
    with pytest.raises(StreamError, match="a whole epoch gave no document"):
        reader.read(reader.start(), 1)
    with pytest.raises(StreamError, match="no document in the rows looked at"):
        inspect_corpus(Corpus(str(tmp_path)))


def test_a_file_of_unknown_kind_is_refused_until_format_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "corpus.data"
    path.write_text(json.dumps({"text": "one"}))
    with pytest.raises(StreamError, match=r"ends like none of .*set format"):
        documents(Corpus(str(path)))
    assert list(documents(Corpus(str(path), format="jsonl")).values()) == ["one"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "saved", "streamed"])
def test_a_missing_column_names_those_that_are_there(tmp_path: Path, kind: str) -> None:
    rows = [{"body": "x", "url": "y"}]
    corpus = Corpus(str(tmp_path / "x"))
    match kind:
        case "jsonl":
            write_jsonl(tmp_path / "x" / "a.jsonl", rows)
        case "parquet":
            (tmp_path / "x").mkdir()
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x" / "a.parquet")
        case "saved":
            datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "x"))
        case _:
            write_jsonl(tmp_path / "x" / "a.jsonl", rows)
            corpus = Corpus(str(tmp_path / "x"), format="datasets", streaming=True)
    with pytest.raises(StreamError, match=r"no column 'text'; its columns are: body, url"):
        documents(corpus)


def test_a_missing_id_column_names_those_that_are_there(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x", "url": "y"}])
    with pytest.raises(StreamError, match=r"no id column 'key'; its columns are: text, url"):
        documents(Corpus(str(tmp_path), id_column="key"))


def test_a_gzip_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    raw = gzip.compress(b'{"text": "x"}\n' * 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(StreamError, match=r"a\.jsonl\.gz.*damaged or cut off"):
        documents(Corpus(str(tmp_path)))


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no such thing")
    with pytest.raises(StreamError, match=r"a\.parquet: not a Parquet file"):
        documents(Corpus(str(tmp_path)))


def test_a_damaged_page_is_named_by_file_and_row_group(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [sentence(i) for i in range(40)]})
    pq.write_table(table, path, row_group_size=20, compression="zstd", use_dictionary=False)
    raw = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    raw[start : start + 60] = b"\xff" * 60
    path.write_bytes(bytes(raw))
    with pytest.raises(StreamError, match=r"a\.parquet: row group 1 of 2 cannot be read .*skip_files"):
        documents(Corpus(str(tmp_path)))


def test_two_parquet_columns_of_one_name_are_refused_by_file(tmp_path: Path) -> None:
    columns = [pa.array(["one"]), pa.array(["two"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(StreamError, match=r"a\.parquet: 2 columns are named 'text'"):
        documents(Corpus(str(tmp_path)))


def test_columns_are_looked_for_until_the_wanted_ones_are_met(tmp_path: Path) -> None:
    rows = [{"meta": 1}] * 25 + [{"text": sentence(i)} for i in range(60)]
    report = inspect_corpus(Corpus(str(write_jsonl(tmp_path / "a.jsonl", rows))))
    assert (report.rows_seen, len(report.broken), report.columns) == (60, 25, ("meta", "text"))


def test_a_pipe_or_a_device_is_no_corpus(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(StreamError, match=f"{path} is not a regular file"):
            documents(Corpus(str(path), format="jsonl"))


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings in ({"weight": 0.0}, {"name": ""}, {"streaming": True}, {"separator": ""}):
        with pytest.raises(StreamError):
            Corpus("x", **settings)


# ------------------------------------------------------------------------------------------- broken rows


BAD_LINES = {
    "not JSON": b"{broken",
    "not a JSON object": b"[1]",
    "invalid UTF-8": b'{"text": "\xff\xfe"}',
    "lone surrogate": b'{"text": "\\ud800 x"}',
    "holds int": b'{"text": 3}',
    "no 'text'": b'{"other": "x"}',
    "not JSON: maximum recursion": b"[" * 100_000,
    "a list that is not token ids": b'{"text": [[1, 2], [3]]}',
    "a list that is not token ids: deep": b'{"text": ' + b"[" * 70 + b"]" * 70 + b"}",
}


@pytest.mark.parametrize("reason", BAD_LINES)
def test_a_broken_line_is_counted_with_its_file_and_line(tmp_path: Path, codec: HFCodec, reason: str) -> None:
    good = json.dumps({"text": sentence(1)}).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([good, b"", BAD_LINES[reason], good]) + b"\n")
    reader = plain(path).build(0, codec, "policy")
    reader.read(reader.start(), 6)
    assert reader.counts()["broken_rows"] == 1  # three epochs, one broken line
    (broken,) = inspect_corpus(Corpus(str(path))).broken
    assert broken.startswith(f"{path}:3: ")
    assert reason.split(":")[0] in broken
    strict = plain(path, strict=True).build(0, codec, "policy")
    with pytest.raises(StreamError, match=r"a\.jsonl:3: .*strict is on"):
        strict.read(strict.start(), 6)


def test_too_many_broken_lines_stop_with_the_last_one_named(tmp_path: Path, codec: HFCodec) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"broken\n" * 12)
    reader = plain(path, max_broken=10).build(0, codec, "policy")
    with pytest.raises(StreamError, match=r"11 broken rows.*max_broken.*a\.jsonl:\d+: not JSON"):
        reader.read(reader.start(), 1)
    lenient = plain(path, max_broken=12).build(0, codec, "policy")
    last = r"a whole epoch gave no document.*'broken_rows': 12.*last broken row is .*a\.jsonl:\d+: not JSON"
    with pytest.raises(StreamError, match=last):
        lenient.read(lenient.start(), 1)


def test_the_first_broken_line_of_each_file_is_warned_about(
    tmp_path: Path, codec: HFCodec, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        lines = [json.dumps({"text": sentence(i)}).encode() for i in range(4)]
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join([*lines, b"broken", b"broken too"]) + b"\n")
    reader = plain(tmp_path, deduplicate=NearDuplicates()).build(0, codec, "policy")
    assert not caplog.messages
    reader.read(reader.start(), 16)
    assert reader.counts()["broken_rows"] == 4
    told = sorted(re.sub(r".*/(\w\.jsonl):\d: (not JSON).*", r"\1 \2", message) for message in caplog.messages)
    assert told == ["a.jsonl not JSON", "b.jsonl not JSON"]


def test_invalid_text_and_parquet_rows_are_broken_rows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n\xff")
    raw = pa.array([b"\xff\xfe", b"fine"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": raw}), tmp_path / "b.parquet")
    assert [place.split("/")[-1].split(": ")[0] for place in inspect_corpus(Corpus(str(tmp_path))).broken] == [
        "a.txt:3",
        "b.parquet:row 0",
    ]


# ------------------------------------------------------------------------------------------- the data folder


def test_the_data_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path / "gone"))
    with pytest.raises(StreamError, match="TUTELAGE_DATA names it"):
        data_root()
    monkeypatch.delenv("TUTELAGE_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StreamError, match="set TUTELAGE_DATA"):
        data_root()


def test_the_development_data_reads_as_it_lies(codec: HFCodec) -> None:
    try:
        root = data_root() / "text"
    except StreamError as absent:
        pytest.skip(str(absent))
    report = inspect_corpus(Corpus(str(root)), rows=100)
    assert (len(report.files), report.broken) == (11, ())
    assert {"text", "id"} <= set(report.columns)
    reader = plain(root, suffix_length=128, max_length=512, block_rows=256).build(0, codec, "policy")
    chunks, _ = reader.read(reader.start(), 20)
    assert len(chunks) == 20
    assert all(len(chunk.prefix) <= 384 and len(chunk.suffix) <= 128 for chunk in chunks)


def test_moving_a_corpus_keeps_its_fingerprint_and_changing_it_does_not(folder: Path, codec: HFCodec) -> None:
    before = plain(folder).build(0, codec, "policy").fingerprint
    moved = shutil.copytree(folder, folder.parent / "moved")
    assert plain(moved).build(1, codec, "policy").fingerprint == before
    (moved / "deep" / "c0.txt").write_text(sentence(999))
    assert plain(moved).build(0, codec, "policy").fingerprint != before
    assert plain(folder, suffix_length=9).build(0, codec, "policy").fingerprint != before
