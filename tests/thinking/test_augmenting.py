"""Thoughts are written into a corpus, and no character of it is lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bulk.conftest import Writer
from tests.endpoints.conftest import QUICK
from tests.stream.corpora import write_jsonl

from tutelage.bulk import Bulk, Extent, rewrite_corpus
from tutelage.codec import HFCodec, Tokenizer
from tutelage.endpoints import LEDGER, Endpoint, forget
from tutelage.evidence.thinking.augmented import compared, differing, originals, thinks_often
from tutelage.prompts import places_of
from tutelage.protocols import Prompt, Resources
from tutelage.rewrites import TableError, finished_parts, read_rows
from tutelage.scripted import NoPolicy, ScriptedModel
from tutelage.stream import Corpus, Splits, StreamError, TextStream, ThoughtStream
from tutelage.thinking import PromptThinker, ThoughtTable, WholeDocuments, pieces_of
from tutelage.thinking.table import LONGEST
from tutelage.thoughts import Tags
from tutelage.types import Absent, Chunk, Document, Tokens

PATIENT = replace(QUICK, timeout_s=30.0)
ALL = Splits(policy=1.0, validation=0.0, test=0.0)
TEXT = "We begin here with a sentence that is long enough to be followed by one more. " * 6 + "End — finis."


def whole(codec: HFCodec, text: str, name: str = "d") -> Chunk:
    tokens = codec.encode(text)
    return Chunk(Document(name, "c", 0, tokens), Tokens([]), tokens, 0)


def thinker(codec: HFCodec, answer: Callable[[Prompt, int], str | Absent], room: int = 1 << 20, **settings: Any) -> Any:
    spec = PromptThinker(ScriptedModel(answer), **settings)
    return spec.build(Resources(0, codec, NoPolicy(ValueError("no policy")), room, Path("nowhere")))


def bulk(corpus: Path, tokenizer: Path, url: str) -> Bulk:
    texts = TextStream((Corpus(str(corpus)),), splits=ALL, min_prefix=1, min_suffix=1, window_chars=LONGEST)
    return Bulk(
        stream=WholeDocuments(replace(texts, deduplicate=None)),
        rewriter=PromptThinker(Endpoint("writer", (url,), role="thinker", requests=PATIENT, cache=None)),
        tokenizer=Tokenizer(str(tokenizer)),
        documents_per_part=8,
    )


@pytest.fixture
def writer() -> Iterator[Writer]:
    with Writer() as one:
        yield one
        forget()
    LEDGER.__init__()


def often(prompt: Prompt, seed: int) -> str:
    return thinks_often(prompt.user)


def texts_of(table: Path) -> dict[str, dict[str, Any]]:
    parts = finished_parts(table)
    rows = [row for number in sorted(parts) for row in read_rows(table, parts[number]).to_pylist()]
    return {row["document"]: row for row in rows}


def test_thoughts_stand_where_the_teacher_put_them_and_nothing_else_changes(codec: HFCodec):
    (found,) = thinker(codec, often).rewrite([whole(codec, TEXT)])
    text = codec.decode(found)
    assert Tags().without(text) == TEXT
    assert "one more. <think>What comes next\nfollows, I think (1).</think>We begin" in text


def test_long_documents_are_asked_about_in_pieces_that_show_what_came_before(codec: HFCodec):
    model = ScriptedModel(often)
    spec = PromptThinker(model, piece=170, before=20)
    working = spec.build(Resources(0, codec, NoPolicy(ValueError("no")), 1 << 20, Path("nowhere")))
    (found,) = working.rewrite([whole(codec, TEXT)])
    assert model.batches == [len(pieces_of(TEXT, 170, 80))] == [2]
    assert TEXT[136:156] in model.asked[0].user.split("text]]")[0]
    assert isinstance(found, Tokens) and Tags().without(codec.decode(found)) == TEXT
    assert len(Tags().parts(codec.decode(found))) == 5


def test_pieces_cover_all_places_once():
    pieces = pieces_of(TEXT, 170, 80)
    places = [piece.start + place for piece in pieces for place in piece.places]
    assert places == list(places_of(TEXT, 80)) == [156, 312, 468]
    assert all(TEXT[piece.start :].startswith(piece.text) and len(piece.text) <= 170 for piece in pieces)


@pytest.mark.parametrize(
    ("answer", "text", "why"),
    [
        ("PLACE 99: x", TEXT, "names place 99"),
        ("PLACE 1: <think>", TEXT, "at character"),
        ("We begin<think>x</think> there", TEXT, "change the text"),
        (Absent("m", "the server is down"), TEXT, "the server is down"),
        ("NONE", TEXT + " He wrote </think>.", "the document itself spells"),
    ],
)
def test_a_document_that_fails_keeps_its_reason(codec: HFCodec, answer: str | Absent, text: str, why: str):
    good = whole(codec, TEXT, "good")
    said = {True: answer, False: "NONE"}
    working = thinker(codec, lambda prompt, seed: said["bad" in prompt.document])
    found = working.rewrite([whole(codec, text, "bad"), good])
    assert isinstance(found[0], Absent) and why in found[0].reason
    assert found[1] == good.suffix


def test_a_document_is_never_clipped_to_fit_a_row(codec: HFCodec):
    (found,) = thinker(codec, often, room=50).rewrite([whole(codec, TEXT)])
    assert isinstance(found, Absent) and "more than the 50 of a row" in found.reason


def test_a_tokenizer_that_changes_the_text_is_found_out(tmp_path: Path, steps_codec: HFCodec):
    texts = ["a 3 b +4 so b 2 .", "A line of words that are in no chain. " * 3]  # the second is unknown to it
    corpus = write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    stream = TextStream((Corpus(str(corpus)),), splits=ALL, min_prefix=1, min_suffix=1, deduplicate=None)
    reader = WholeDocuments(stream).build(0, steps_codec, "policy")
    chunks, _ = reader.read(reader.start(), 2)
    assert {chunk.document.text for chunk in chunks} == set(texts)
    found = thinker(steps_codec, lambda prompt, seed: "NONE").rewrite(chunks)
    failed = {chunk.document.text for chunk, one in zip(chunks, found, strict=True) if isinstance(one, Absent)}
    assert texts[1] in failed
    assert all("does not give the text back" in one.reason for one in found if isinstance(one, Absent))
    (plain,), _ = stream.build(0, steps_codec, "policy").read(reader.start(), 1)
    assert plain.document.text is None  # other work has no use for it


def test_what_was_held_out_of_a_corpus_is_held_out_of_its_thoughts(
    tmp_path: Path, bytes_folder: Path, codec: HFCodec, writer: Writer
):
    rows = [{"text": f"Document {i} says this. {TEXT}"} for i in range(30)]
    corpus = write_jsonl(tmp_path / "corpus" / "a.jsonl", rows).parent
    writer.says = thinks_often
    rewrite_corpus(bulk(corpus, bytes_folder, writer.url), tmp_path / "t", Extent())
    splits = Splits(policy=0.5, validation=0.3, test=0.2)
    source = TextStream((Corpus(str(corpus)),), splits=splits, deduplicate=None)
    for split in ("policy", "validation", "test"):
        texts = list(source.texts(0, split))
        stream = ThoughtTable(str(tmp_path / "t"), splits).build(0, codec, split)
        chunks, _ = stream.read(stream.start(), len(texts))
        assert sorted(Tags().without(codec.decode(one.document.tokens)) for one in chunks) == sorted(texts)
    table = ThoughtTable(str(tmp_path / "t"), Splits(policy=1.0, validation=0.0, test=0.0))
    with pytest.raises(StreamError, match="the split 'test' is empty"):
        table.build(0, codec, "test")


def test_a_table_is_resumed_and_its_halves_are_disjoint(
    tmp_path: Path, bytes_folder: Path, codec: HFCodec, writer: Writer
):
    rows = [{"text": f"Document {i} says this. {TEXT}"} for i in range(40)]
    corpus = write_jsonl(tmp_path / "corpus" / "a.jsonl", rows).parent
    writer.says = lambda prompt: "nothing at all" if "Document 7 " in prompt else thinks_often(prompt)
    order = bulk(corpus, bytes_folder, writer.url)
    rewrite_corpus(order, tmp_path / "t", Extent(documents=16))
    asked = len(set(writer.prompts))
    status = rewrite_corpus(order, tmp_path / "t", Extent())
    assert (status.documents, status.failed) == (40, 1) and len(set(writer.prompts)) == 40 and asked == 16
    assert [row["reason"][:9] for row in texts_of(tmp_path / "t").values() if row["reason"]] == ["no places"]
    names: dict[str, set[str]] = {}
    for use in ("sft", "rl"):
        stream = ThoughtStream(ThoughtTable(str(tmp_path / "t")), use).build(0, codec, "policy")
        chunks, _ = stream.read(stream.start(), 10)
        assert len({chunk.document.id for chunk in chunks}) == 10
        names[use] = {chunk.document.id for chunk in chunks}
    assert not names["sft"] & names["rl"]


def test_a_folder_without_thoughts_is_refused(tmp_path: Path, codec: HFCodec):
    with pytest.raises(TableError, match="tutelage think CORPUS"):
        ThoughtTable(str(tmp_path)).build(0, codec, "policy")


def test_a_thousand_documents_of_real_text_lose_no_character(tmp_path: Path):
    try:
        texts = originals(1000)
    except StreamError:
        pytest.skip("no development data here")
    assert len(texts) == 1000
    assert compared(texts, tmp_path) == {"documents": 1000, "characters_lost": 0, "failed": 0}
    written = [row["text"] for row in texts_of(tmp_path / "table").values()]
    assert sum(text.count("<think>") for text in written) > 10_000


def test_lost_characters_are_counted():
    pairs = (("abc", "abc"), ("abc", "abd"), ("abc", "ab"), ("", "xy"), ("abcd", "bcd"))
    assert [differing(*pair) for pair in pairs] == [0, 1, 1, 2, 4]
