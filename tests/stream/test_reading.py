"""A stream is a function of its cursor, and an epoch is a permutation."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.corpora import ids, json_cursor, plain, sentence, write_jsonl

from tutelage.codec import HFCodec
from tutelage.config import dump_yaml, from_plain, parse_yaml, to_plain
from tutelage.protocols import Cursor, Stream, StreamSpec
from tutelage.stream import Corpus, EveryCut, SomeCuts, StreamError, TextReader, TextStream
from tutelage.stream.order import permutation


def reader_of(folder: Path, codec: HFCodec, seed: int = 0, **changes: object) -> TextReader:
    return plain(folder, **changes).build(seed, codec, "policy")


def mixture(tmp_path: Path, weights: tuple[float, ...]) -> TextStream:
    """Corpora of 7, 9 and 11 documents."""
    for i in range(len(weights)):
        rows = [{"text": sentence(100 * i + j)} for j in range(7 + 2 * i)]
        write_jsonl(tmp_path / f"c{i}.jsonl", rows)
    corpora = tuple(Corpus(str(tmp_path / f"c{i}.jsonl"), name=f"c{i}", weight=w) for i, w in enumerate(weights))
    one = plain(tmp_path)
    kept = {name: getattr(one, name) for name in one.__slots__ if name != "corpora"}
    return TextStream(corpora, **kept)


def test_the_spec_and_the_stream_satisfy_the_protocols(folder: Path, codec: HFCodec) -> None:
    assert isinstance(plain(folder), StreamSpec)
    assert isinstance(reader_of(folder, codec), Stream)


def test_an_epoch_holds_every_document_once_and_each_in_its_own_order(folder: Path, codec: HFCodec) -> None:
    reader = reader_of(folder, codec)
    first, cursor = reader.read(reader.start(), 60)
    second, _ = reader.read(cursor, 60)
    assert len(set(ids(first))) == 60
    assert sorted(ids(first)) == sorted(ids(second))
    assert ids(first) != ids(second)
    assert {chunk.document.epoch for chunk in first} == {0}
    assert {chunk.document.epoch for chunk in second} == {1}
    assert cursor.taken == 60


def test_another_seed_gives_another_order_and_other_cuts(folder: Path, codec: HFCodec) -> None:
    one, other = (reader_of(folder, codec, seed).read(reader_of(folder, codec).start(), 60)[0] for seed in (0, 1))
    assert ids(one) != ids(other)
    cuts = [{chunk.document.id: chunk.cut for chunk in chunks} for chunks in (one, other)]
    assert cuts[0].keys() == cuts[1].keys()
    assert cuts[0] != cuts[1]


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.integers(0, 23), min_size=1, max_size=12))
def test_reading_in_any_steps_is_reading_at_once(
    tmp_path_factory: pytest.TempPathFactory, codec: HFCodec, steps: list[int]
) -> None:
    spec = mixture(tmp_path_factory.mktemp("mix"), (1.0, 2.0, 0.5))
    reader = spec.build(3, codec, "policy")
    whole, end = reader.read(reader.start(), sum(steps))
    parts, cursor = [], reader.start()
    for step in steps:
        chunks, cursor = spec.build(3, codec, "policy").read(json_cursor(cursor), step)  # as after a resume
        parts += chunks
    assert tuple(parts) == whole
    assert cursor == end


def test_reading_again_at_any_cursor_is_bit_equal_also_across_epochs(folder: Path, codec: HFCodec) -> None:
    reader = reader_of(folder, codec, cuts=SomeCuts(2))
    cursor, past = reader.start(), []
    for _ in range(25):
        chunks, after = reader.read(cursor, 7)
        past.append((cursor, chunks, after))
        cursor = after
    assert past[-1][1][0].document.epoch == 2
    for at in (24, 0, 13, 8, 9, 17):
        start, chunks, after = past[at]
        assert reader.read(start, 7) == (chunks, after)
        assert reader_of(folder, codec, cuts=SomeCuts(2)).read(start, 7) == (chunks, after)


def test_weights_decide_how_often_a_corpus_is_drawn(tmp_path: Path, codec: HFCodec) -> None:
    reader = mixture(tmp_path, (3.0, 1.0)).build(0, codec, "policy")
    chunks, cursor = reader.read(reader.start(), 800)
    share = sum(chunk.document.corpus == "c0" for chunk in chunks) / len(chunks)
    assert 0.7 < share < 0.8
    assert {name: position[0] for name, position in cursor.positions}["c0"] == 800 * share // 7


def test_no_documents_asked_for_is_no_step(folder: Path, codec: HFCodec) -> None:
    reader = reader_of(folder, codec)
    assert reader.read(reader.start(), 0) == ((), reader.start())


def test_documents_too_short_are_counted_and_passed_over(tmp_path: Path, codec: HFCodec) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": sentence(1)}, {"text": "short"}, {"text": ""}, {"text": sentence(2)}])
    reader = reader_of(tmp_path, codec)
    chunks, cursor = reader.read(reader.start(), 4)
    assert sorted(set(ids(chunks))) == ["a.jsonl:1", "a.jsonl:4"]
    reader.read(cursor, 1)
    assert reader.counts()["too_short"] >= 2


@pytest.mark.parametrize("first", [0, 2])
def test_an_epoch_without_a_document_to_cut_is_an_error(tmp_path: Path, codec: HFCodec, first: int) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "short"}] * 4)
    reader = reader_of(tmp_path, codec)
    with pytest.raises(StreamError, match=r"a whole epoch gave no document .*min_prefix.*'too_short'"):
        reader.read(Cursor(0, (("corpus", (0, 0, 0, first)),)), 1)


def test_a_cursor_of_another_stream_is_refused(folder: Path, codec: HFCodec) -> None:
    with pytest.raises(StreamError, match="the cursor belongs to"):
        reader_of(folder, codec).read(Cursor(0, (("other", (0, 0, 0, 0)),)), 1)


def test_the_fingerprint_tells_settings_and_splits_apart(folder: Path, codec: HFCodec) -> None:
    spec = plain(folder)
    prints = {spec.build(0, codec, "policy").fingerprint}
    prints.add(plain(folder, cuts=EveryCut(128)).build(0, codec, "policy").fingerprint)
    prints.add(plain(folder, cuts=SomeCuts(4)).build(0, codec, "policy").fingerprint)
    prints.add(plain(folder, block_rows=9).build(0, codec, "policy").fingerprint)
    assert len(prints) == 4
    assert plain(folder, strict=True, max_broken=3).build(5, codec, "policy").fingerprint in prints


def test_a_block_is_read_once_while_it_is_walked(folder: Path, codec: HFCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(folder / "a.jsonl", codec)
    opened: list[str] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self.name) or real(self, *a, **k))
    cursor = reader.start()
    for _ in range(25):
        _, cursor = reader.read(cursor, 1)
    assert len(opened) == 1 + 4  # one scan for line ends, four blocks of eight rows


def test_settings_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    wrong = [
        {"max_length": 8},
        {"min_prefix": 0},
        {"min_prefix": 33},
        {"min_suffix": 9},
        {"block_rows": 0},
        {"window_chars": 10},
    ]
    for change in wrong:
        with pytest.raises(StreamError):
            plain(tmp_path, **change)
    with pytest.raises(StreamError, match="each with its own name"):
        TextStream((Corpus("a"), Corpus("b")))
    with pytest.raises(StreamError, match="one at least"):
        TextStream(())


def test_a_stream_survives_being_written_into_a_run() -> None:
    corpora = (Corpus("a", name="x", text_column=("text", "body")), Corpus("b", name="y", skip_files=("*/c*",)))
    spec = TextStream(corpora, cuts=SomeCuts(3), deduplicate=None)
    assert from_plain(TextStream, parse_yaml(dump_yaml(to_plain(spec))), imports=(), file="run.yaml") == spec


def test_texts_for_a_tokenizer_are_one_epoch_of_the_split(folder: Path) -> None:
    texts = list(plain(folder).texts(0, "policy"))
    assert sorted(texts) == sorted(sentence(i) for i in (*range(25), *range(100, 130), *range(200, 205)))


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_a_keyed_permutation_is_one(count: int) -> None:
    order = permutation(count, 1, "rows")
    assert sorted(order.tolist()) == list(range(count))
    assert (permutation(count, 1, "rows") == order).all()
    if count > 5:
        assert (permutation(count, 2, "rows") != order).any()


def test_the_order_of_the_first_documents_never_changes(tmp_path: Path, codec: HFCodec) -> None:
    """Golden: a change here is a change of every run's data."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": sentence(i)} for i in range(30)])
    reader = reader_of(tmp_path, codec)
    chunks, _ = reader.read(reader.start(), 12)
    assert [int(name.split(":")[1]) for name in ids(chunks)] == [24, 22, 19, 17, 23, 21, 20, 18, 14, 13, 9, 11]
