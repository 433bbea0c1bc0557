"""Cuts fall where text may be cut, and both sides are what the document says."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.corpora import plain, sentence, write_jsonl

from tutelage.codec import HFCodec
from tutelage.stream import Cuts, EveryCut, RandomCut, SomeCuts, StreamError
from tutelage.stream.cutting import Cutter, window_of
from tutelage.types import Document, Tokens


def cutter(codec: HFCodec, choice: Cuts, **changes: object) -> Cutter:
    chosen: dict[str, object] = {"suffix_length": 8, "max_length": 30, "min_prefix": 4, "min_suffix": 3}
    return Cutter(codec, 0, choice, before_word=True, **(chosen | changes))  # pyright: ignore[reportArgumentType]


def document(codec: HFCodec, text: str, name: str = "d", epoch: int = 0) -> Document:
    return Document(name, "corpus", epoch, codec.encode(text))


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(st.sampled_from("ab é漢🙂\n"), max_size=60),
    choice=st.sampled_from([RandomCut(), EveryCut(5), SomeCuts(3)]),
)
def test_prefix_and_suffix_are_the_document_around_the_cut(codec: HFCodec, text: str, choice: Cuts) -> None:
    whole = document(codec, text)
    for chunk in cutter(codec, choice).chunks(whole):
        before, after = whole.tokens[: chunk.cut], whole.tokens[chunk.cut :]
        written = chunk.suffix[:-1] if chunk.suffix[-1] == codec.eos else chunk.suffix
        assert before[len(before) - len(chunk.prefix) :] == chunk.prefix
        assert after[: len(written)] == written
        assert len(chunk.prefix) + len(chunk.suffix) <= 30
        assert 3 <= len(chunk.suffix) <= 8
        assert "\ufffd" not in codec.decode(chunk.prefix)
        assert codec.decode(before) + codec.decode(after) == text


def test_cuts_fall_before_a_word_where_there_is_one(codec: HFCodec) -> None:
    for i in range(40):
        whole = document(codec, sentence(i), name=str(i))
        (chunk,) = cutter(codec, RandomCut()).chunks(whole)
        assert codec.is_boundary(whole.tokens, chunk.cut, word=True)
        assert not codec.decode(chunk.prefix).endswith("\ufffd")


def test_text_without_spaces_is_still_cut_between_characters(codec: HFCodec) -> None:
    whole = document(codec, "漢字仮名交じり文" * 20)
    (chunk,) = cutter(codec, RandomCut()).chunks(whole)
    assert "\ufffd" not in codec.decode(whole.tokens[: chunk.cut]) + codec.decode(chunk.prefix)


def test_one_random_cut_a_document_is_spread_over_it_and_changes_with_the_epoch(codec: HFCodec) -> None:
    cuts = [cutter(codec, RandomCut()).chunks(document(codec, sentence(1), epoch=e))[0].cut for e in range(200)]
    length = len(codec.encode(sentence(1)))
    assert min(cuts) < length * 0.1
    assert max(cuts) > length * 0.9
    assert abs(sum(cuts) / len(cuts) / length - 0.5) < 0.1


def test_every_cut_tiles_the_document_with_suffixes(codec: HFCodec) -> None:
    tokens = Tokens([5] * 4 + [6] * 40)
    chunks = cutter(codec, EveryCut(8)).chunks(Document("d", "corpus", 0, tokens))
    assert [chunk.cut for chunk in chunks] == [4, 12, 20, 28, 36]
    assert Tokens.join([chunk.suffix for chunk in chunks]) == tokens[4:]


def test_some_cuts_are_different_and_sorted(codec: HFCodec) -> None:
    chunks = cutter(codec, SomeCuts(5)).chunks(document(codec, sentence(3)))
    cuts = [chunk.cut for chunk in chunks]
    assert cuts == sorted(set(cuts))
    assert 2 <= len(cuts) <= 5
    assert len({chunk.key for chunk in chunks}) == len(cuts)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(8, 120), choice=st.sampled_from([EveryCut(5), SomeCuts(4)]), name=st.integers(0, 99))
def test_several_cuts_of_a_document_share_a_trunk_and_repeat_what_the_one_before_holds(
    codec: HFCodec, length: int, choice: Cuts, name: int
) -> None:
    whole = Document(str(name), "corpus", 0, Tokens([6] * length))
    chunks = cutter(codec, choice).chunks(whole)
    starts = [chunk.cut - len(chunk.prefix) for chunk in chunks]
    assert starts == sorted(starts) and all(len(chunk.prefix) <= 22 for chunk in chunks)
    if isinstance(choice, SomeCuts):
        assert len(set(starts)) <= 1
    else:
        # Beginnings lie eleven tokens apart, and no prefix is cut to less than half.
        assert all(
            start % 11 == 0 and (start == 0 or len(c.prefix) >= 11) for start, c in zip(starts, chunks, strict=True)
        )
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        start = chunk.cut - len(chunk.prefix)
        assert chunk.repeated == (max(0, before.cut - start) if before is not None else 0) < len(chunk.prefix)
        end, until = chunk.cut + len(chunk.suffix), before.cut + len(before.suffix) if before is not None else 0
        assert chunk.covered == max(0, min(until, end) - start)
    # Anchored and trained: every token of the document from the first beginning on, once.
    anchored = [at for c in chunks for at in range(c.cut - len(c.prefix) + c.repeated, c.cut)]
    trained = [at for c in chunks for at in range(c.cut - len(c.prefix) + c.covered, c.cut + len(c.suffix))]
    assert len(set(anchored)) == len(anchored) and len(set(trained)) == len(trained)


def test_end_of_text_follows_where_the_document_ends_inside_the_suffix(codec: HFCodec) -> None:
    whole = Document("d", "corpus", 0, Tokens([7] * 20))
    ends = {chunk.cut: chunk.suffix for chunk in cutter(codec, EveryCut(1)).chunks(whole)}
    assert ends[12].tolist() == [7] * 8
    assert ends[13].tolist() == [7] * 7 + [codec.eos]
    assert ends[17].tolist() == [7] * 3 + [codec.eos]
    assert 18 not in ends
    open_end = cutter(codec, EveryCut(1)).chunks(whole, closes=False)
    assert all(codec.eos not in chunk.suffix.tolist() for chunk in open_end)


def test_long_prefixes_lose_their_beginning(codec: HFCodec) -> None:
    chunks = cutter(codec, EveryCut(8)).chunks(document(codec, sentence(4)))
    assert max(len(chunk.prefix) for chunk in chunks) == 22
    assert len(chunks[0].prefix) == chunks[0].cut


def test_a_window_is_keyed_and_begins_with_a_word() -> None:
    text = " ".join(f"word{i}" for i in range(5000))
    seen = {window_of(text, 500, 0, epoch, "d").content for epoch in range(20)}
    assert len(seen) == 20
    for content in seen:
        assert isinstance(content, str)
        assert content in text
        assert 400 < len(content) <= 500
        assert content.startswith("word")
    assert window_of(text, 500, 0, 3, "d") == window_of(text, 500, 0, 3, "d")
    whole = window_of("short", 500, 0, 0, "d")
    assert (whole.content, whole.opens, whole.closes) == ("short", True, True)


def test_windows_reach_both_ends_and_prefixes_inside_are_whole(codec: HFCodec) -> None:
    windows = [window_of("ab " * 40, 110, "key", i) for i in range(60)]
    assert {(w.opens, w.closes) for w in windows} >= {(True, False), (False, True)}
    documents = [document(codec, sentence(1), epoch=epoch) for epoch in range(40)]
    inside = [c for one in documents for c in cutter(codec, RandomCut()).chunks(one, opens=False)]
    assert len(inside) == 40 and all(len(chunk.prefix) >= 20 for chunk in inside)


def test_a_document_of_ten_megabytes_costs_no_more_to_tokenise_than_its_window(tmp_path: Path, codec: HFCodec) -> None:
    sizes: list[int] = []
    real = codec.encode_many

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(codec, name)

        def encode_many(self, texts: list[str]) -> list[Tokens]:
            sizes.extend(map(len, texts))
            return real(texts)

    write_jsonl(tmp_path / "a.jsonl", [{"text": "tale of a fox " * 700_000}])
    reader = plain(tmp_path, window_chars=2000).build(0, Watched(), "policy")  # pyright: ignore[reportArgumentType]
    started = time.perf_counter()
    chunks, _ = reader.read(reader.start(), 3)
    assert time.perf_counter() - started < 5
    assert max(sizes) <= 2000
    assert [chunk.document.epoch for chunk in chunks] == [0, 1, 2]
    assert len({chunk.prefix.digest for chunk in chunks}) > 1 or len({chunk.cut for chunk in chunks}) > 1


def test_cut_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(StreamError, match="stride"):
        EveryCut(0)
    with pytest.raises(StreamError, match="count"):
        SomeCuts(0)
