"""Splits are disjoint, and no text lies in two of them, not even nearly."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stream.corpora import plain, sentence, write_jsonl

from tutelage.codec import HFCodec
from tutelage.stream import Corpus, NearDuplicates, Splits, StreamError, TextStream, near_duplicates
from tutelage.stream.neardup import signature
from tutelage.types import Tokens

NAMES = ("policy", "judge", "rewriter", "validation", "test")
FIFTHS = Splits(0.2, 0.2, 0.2, 0.2, 0.2)


def essay(number: int, words: int = 60) -> str:
    """A text in which no word comes twice."""
    return " ".join(f"word{number}x{i}" for i in range(words))


def changed(text: str, words: int) -> str:
    """The text with its last ``words`` words replaced."""
    parts = text.split(" ")
    return " ".join([*parts[: len(parts) - words], *(f"new{i}" for i in range(words))])


@given(digest=st.binary(max_size=16))
def test_a_document_belongs_to_exactly_one_split(digest: bytes) -> None:
    assert FIFTHS.of(digest) in NAMES
    assert Splits(0.0, 0.0, 0.0, 0.0, 0.0).of(digest) is None


def test_shares_are_kept() -> None:
    counts = Counter(Splits(0.5, 0.0, 0.1, 0.2, 0.1).of(str(i).encode()) for i in range(20_000))
    assert counts["judge"] == 0
    for name, share in (("policy", 0.5), ("rewriter", 0.1), ("validation", 0.2), ("test", 0.1), (None, 0.1)):
        assert abs(counts[name] / 20_000 - share) < 0.015


def test_splits_cover_the_corpus_and_do_not_meet(tmp_path: Path, codec: HFCodec) -> None:
    texts = [sentence(i) for i in range(200)]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    found = {name: set(plain(tmp_path, splits=FIFTHS).texts(0, name)) for name in NAMES}
    assert set.union(*found.values()) == set(texts)
    assert sum(map(len, found.values())) == 200
    assert found["test"] == set(plain(tmp_path, splits=FIFTHS).texts(9, "test"))  # whatever the seed
    reader = plain(tmp_path, splits=FIFTHS).build(0, codec, "judge")
    chunks, _ = reader.read(reader.start(), len(found["judge"]))
    assert {codec.decode(chunk.document.tokens) for chunk in chunks} == found["judge"]


def test_equal_texts_share_a_split_even_without_removal(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": sentence(i % 30) + " " * (i // 30)} for i in range(90)])
    found = {name: {text.strip() for text in plain(tmp_path, splits=FIFTHS).texts(0, name)} for name in NAMES}
    assert sum(map(len, found.values())) == 30


def test_near_duplicates_across_corpora_never_meet_in_two_splits(tmp_path: Path, codec: HFCodec) -> None:
    originals = [essay(i) for i in range(40)]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in originals])
    write_jsonl(tmp_path / "b.jsonl", [{"text": changed(text, 3)} for text in originals] + [{"text": sentence(999)}])
    corpora = (Corpus(str(tmp_path / "a.jsonl"), name="a"), Corpus(str(tmp_path / "b.jsonl"), name="b"))
    spec = TextStream(corpora, splits=FIFTHS, deduplicate=NearDuplicates(), min_prefix=4)
    found = [text for name in NAMES for text in spec.texts(0, name)]
    assert sorted(found) == sorted([*originals, sentence(999)])
    assert spec.build(0, codec, "policy").counts()["duplicates_dropped"] == 40


def test_groups_are_closed_and_keep_their_first() -> None:
    chain = [essay(1, 80)]
    for step in range(4):
        words = chain[-1].split(" ")
        words[step * 20 : step * 20 + 4] = [f"s{step}x{i}" for i in range(4)]
        chain.append(" ".join(words))
    documents = [(f"p{i}", text) for i, text in enumerate([essay(2, 80), *chain])]
    assert near_duplicates(documents, NearDuplicates(0.7)) == {"p2", "p3", "p4", "p5"}


def test_equal_and_unlike_documents_are_told_apart() -> None:
    documents = [(i, sentence(i % 300)) for i in range(600)]
    assert near_duplicates(documents, NearDuplicates()) == set(range(300, 600))
    odd = [(0, ""), (1, "?!"), (2, "…"), (3, "One."), (4, "one"), (5, "?!")]
    assert near_duplicates(odd, NearDuplicates()) == {4, 5}
    assert near_duplicates([], NearDuplicates()) == frozenset()


def test_token_documents_are_compared_by_their_tokens() -> None:
    one = Tokens(list(range(100)))
    documents = [(0, one), (1, Tokens([*range(98), 5, 5])), (2, Tokens(list(range(200, 300))))]
    assert near_duplicates(documents, NearDuplicates()) == {1}


@pytest.mark.parametrize("changed_words", [10, 60, 200])
def test_signatures_estimate_the_share_of_common_shingles(changed_words: int) -> None:
    errors = []
    for i in range(20):
        words = [f"w{i}-{j}" for j in range(400)]
        other = [*words[: 400 - changed_words], *(f"n{i}-{j}" for j in range(changed_words))]
        one, two = (signature(" ".join(text).replace("-", "x"), 5) for text in (words, other))
        common = 396 - changed_words
        errors.append((one == two).mean() - common / (396 * 2 - common))
    assert abs(np.mean(errors)) < 0.03
    assert np.abs(errors).max() < 0.2


def test_the_result_can_be_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": sentence(i % 10)} for i in range(20)])
    settings = NearDuplicates(cache=str(tmp_path / "kept"))
    first = list(plain(tmp_path / "a.jsonl", deduplicate=settings).texts(0, "policy"))
    (kept,) = (tmp_path / "kept").iterdir()
    assert np.load(kept, allow_pickle=False).shape == (10, 4)
    from tutelage.stream import text_stream

    text_stream.find_dropped.cache_clear()
    monkeypatch.setattr(text_stream, "near_duplicates", lambda *_: pytest.fail("the corpus was read again"))
    assert list(plain(tmp_path / "a.jsonl", deduplicate=settings).texts(0, "policy")) == first


def test_too_many_documents_to_compare_are_refused() -> None:
    with pytest.raises(StreamError, match=r"more than 5 documents.*max_documents"):
        near_duplicates(((i, sentence(i)) for i in range(6)), NearDuplicates(max_documents=5))


def test_broken_rows_stop_the_comparison_as_they_stop_reading(tmp_path: Path, codec: HFCodec) -> None:
    (tmp_path / "a.jsonl").write_text("broken\n" * 3)
    with pytest.raises(StreamError, match=r"a\.jsonl:1: .*strict is on"):
        plain(tmp_path, deduplicate=NearDuplicates(), strict=True).build(0, codec, "policy")


def test_an_empty_or_unknown_split_says_what_to_set(folder: Path, codec: HFCodec) -> None:
    with pytest.raises(StreamError, match=r"'judge' is empty: set stream\.splits\.judge"):
        plain(folder).build(0, codec, "judge")
    with pytest.raises(StreamError, match="the splits are policy, judge, rewriter, validation, test"):
        plain(folder).build(0, codec, "dev")


def test_shares_that_make_no_sense_are_refused() -> None:
    for shares in ((0.9, 0.2, 0.0, 0.0, 0.0), (-0.1, 0.0, 0.0, 0.5, 0.0)):
        with pytest.raises(StreamError, match="together at most 1"):
            Splits(*shares)
    for settings in ({"threshold": 0.2}, {"shingle": 0}):
        with pytest.raises(StreamError, match="deduplicate"):
            NearDuplicates(**settings)
