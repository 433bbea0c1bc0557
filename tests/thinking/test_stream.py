"""Documents with thoughts: whole for imitation, up to an opening tag for practice."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tutelage.codec import HFCodec
from tutelage.protocols import Codec, Cursor
from tutelage.stream import StreamError, ThoughtStream, half_of
from tutelage.types import Chunk, Document, Tokens

TEXTS = [f"Text {i} begins.<think>hm {i}</think> It goes on<think>oh</think> and ends." for i in range(30)]


@dataclass(frozen=True, slots=True)
class Listed:
    """A stream of given texts, over and over."""

    texts: tuple[str, ...]
    suffix_length: int = 4

    def build(self, seed: int, codec: Codec, split: str) -> "Reading":
        return Reading(self, codec)


@dataclass(frozen=True, slots=True)
class Reading:
    spec: Listed
    codec: Codec

    def start(self) -> Cursor:
        return Cursor(0, (("listed", (0, 0, 0, 0)),))

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        chunks: list[Chunk] = []
        for row in range(cursor.taken, cursor.taken + count):
            epoch, place = divmod(row, len(self.spec.texts))
            tokens = self.codec.encode(self.spec.texts[place])
            chunks.append(Chunk(Document(str(place), "listed", epoch, tokens), tokens[:2], tokens[2:6], 2))
        return tuple(chunks), Cursor(cursor.taken + count, (("listed", (0, 0, 0, cursor.taken + count)),))

    @property
    def fingerprint(self) -> str:
        return "listed"

    def counts(self) -> Mapping[str, int]:
        return {"read": 1}


def chunks_of(use: str, codec: HFCodec, count: int = 8, texts: list[str] = TEXTS, **settings: object) -> list[Chunk]:
    chosen = {"after": 5, "thought_length": 20, "max_length": 200} | settings
    stream = ThoughtStream(Listed(tuple(texts)), use, **chosen).build(0, codec, "policy")  # pyright: ignore
    return list(stream.read(stream.start(), count)[0])


def test_whole_documents_are_trained_and_end(codec: HFCodec):
    for chunk in chunks_of("sft", codec):
        assert codec.decode(Tokens.join([chunk.prefix, chunk.suffix])) == TEXTS[int(chunk.document.id)]
        assert chunk.suffix[-1] == codec.eos and codec.decode(chunk.suffix).startswith("<think>hm")


def test_a_prompt_ends_with_the_opening_tag_and_holds_no_thought_of_the_teacher(codec: HFCodec):
    seen: set[str] = set()
    for chunk in chunks_of("rl", codec, 40):
        i = int(chunk.document.id)
        before, behind = codec.decode(chunk.prefix), codec.decode(chunk.suffix)
        first, second = (f"Text {i} begins.", " It goes on"), (f"Text {i} begins. It goes on", " and ends.")
        told = {f"{text}<think>": codec.decode(codec.encode(rest)[:5]) for text, rest in (first, second)}
        assert told[before] == behind and len(chunk.suffix) <= 5
        seen.add(before.count("goes") * "second" or "first")
    assert seen == {"first", "second"}


def test_a_prompt_is_the_beginning_of_what_was_imitated(codec: HFCodec):
    (whole,) = chunks_of("sft", codec, 1, ["One.<think>x</think> Two."], sft_share=1.0)
    (asked,) = chunks_of("rl", codec, 1, ["One.<think>x</think> Two."], sft_share=0.0)
    assert Tokens.join([whole.prefix, whole.suffix])[: len(asked.prefix)] == asked.prefix


def test_the_place_is_drawn_anew_in_each_epoch_and_the_half_is_not(codec: HFCodec):
    found = chunks_of("rl", codec, 60)
    prompts: dict[str, set[str]] = {}
    for chunk in found:
        prompts.setdefault(chunk.document.id, set()).add(codec.decode(chunk.prefix))
    assert max(map(len, prompts.values())) == 2
    assert {half_of(f"Text {i} begins. It goes on and ends.", 0.5) for i in map(int, prompts)} == {"rl"}


def test_the_half_goes_by_what_the_author_wrote(codec: HFCodec):
    for text in TEXTS[:5]:
        assert half_of(text, 1.0) == "sft" and half_of(text, 0.0) == "rl"
    one, other = ["A b.<think>c</think> D."], ["A b. <think>quite another</think>D."]
    use = half_of("A b. D.", 0.5)
    assert chunks_of(use, codec, 1, one) and chunks_of(use, codec, 1, other)


def test_long_prompts_lose_their_beginning_and_long_documents_are_windowed(codec: HFCodec):
    long = ["word " * 100 + "<think>x</think> end."]
    (asked,) = chunks_of("rl", codec, 1, long, sft_share=0.0, max_length=60)
    assert len(asked.prefix) == 60 - 25 and codec.decode(asked.prefix).endswith("word <think>")
    (whole,) = chunks_of("sft", codec, 1, long, sft_share=1.0, max_length=60)
    assert len(whole.prefix) + len(whole.suffix) == 60


def test_a_window_begins_in_no_thought(codec: HFCodec):
    text = "One two. <think>so it is and so it goes on</think> Three. " * 12
    for seed in range(40):
        stream = ThoughtStream(Listed((text,)), "sft", sft_share=1.0, after=5, thought_length=20, max_length=40)
        reader = stream.build(seed, codec, "policy")
        ((chunk,), _) = reader.read(reader.start(), 1)
        shown = codec.decode(Tokens.join([chunk.prefix, chunk.suffix]))
        before, opened, _ = shown.partition("<think>")
        assert opened and "</think>" not in before and not {"so", "ink>", "goes"} & set(before.split()), shown
        assert len(chunk.prefix) + len(chunk.suffix) == 40 and len(chunk.prefix)


def test_documents_of_no_use_end_in_an_error_that_says_why(codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tutelage.stream.thoughtful.BARREN", 30)
    with pytest.raises(StreamError, match=r"none of 30 documents in a row can be used for 'rl' .*30 thoughts_none"):
        chunks_of("rl", codec, 1, ["No thought here."], sft_share=0.0)
    with pytest.raises(StreamError, match="a tag without its other half"):
        chunks_of("sft", codec, 1, ["Half <think> a thought."])


def test_reading_in_parts_is_reading_at_once(codec: HFCodec):
    spec = ThoughtStream(Listed(tuple(TEXTS)), "rl", after=5, thought_length=20, max_length=200)
    stream = spec.build(0, codec, "policy")
    at_once, end = stream.read(stream.start(), 7)
    first, cursor = stream.read(stream.start(), 3)
    rest, last = stream.read(cursor, 4)
    assert (*first, *rest) == at_once and last == end
    assert stream.counts()["read"] == 1 and stream.counts()["thoughts_other_half"] > 0
