"""The text that a base is pretrained on: half right, mostly copied, seldom corrected."""

from dataclasses import dataclass

import pytest
from tests.worlds.signed_sum.scripted import target_at

from tutelage.codec import HFCodec
from tutelage.protocols import Stream, StreamSpec
from tutelage.types import Chunk
from tutelage.worlds.signed_sum import REVISE, Habits, SignedSumStream, SignedSumWorld
from tutelage.worlds.signed_sum.language import Key


@dataclass(frozen=True)
class Told:
    """What a document says."""

    key: Key
    first: tuple[str, ...]
    verdict: str
    second: tuple[str, ...]

    @property
    def rights(self) -> tuple[bool, bool]:
        return self.key.solved_by(self.first), self.key.solved_by(self.second)


def told(world: SignedSumWorld, count: int) -> list[Told]:
    found: list[Told] = []
    for number in range(count):
        words = world.text(world.document("text", str(number)).tokens).split()
        mark = target_at(words)
        key = Key(tuple(map(int, words[:mark])), int(words[mark][1:]), world.modulus)
        first, rest = words[mark + 1 : mark + 1 + world.numbers], words[mark + 1 + world.numbers :]
        assert rest[:2] == ["<|endoftext|>", "revise"] and len(rest) == 3 + world.numbers
        found.append(Told(key, tuple(first), rest[2], tuple(rest[3:])))
    return found


def of(habits: Habits, count: int = 60) -> list[Told]:
    return told(SignedSumWorld(habits=habits), count)


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def test_the_text_is_as_right_and_as_stubborn_as_its_authors(sums: SignedSumWorld):
    documents = told(sums, 3000)
    before, after = zip(*(document.rights for document in documents), strict=True)
    assert share(list(before)) == pytest.approx(0.50, abs=0.03)
    # Kept: copies of what nobody noticed to be wrong, and right answers that somebody looked at.
    kept = [document.verdict == "OK" for document in documents]
    assert share(kept) == pytest.approx(0.65 * (1 - 0.30 / 2) + 0.10 / 2, abs=0.03)
    copied = [document.second == document.first for document in documents]
    assert share(copied) == pytest.approx(0.65 + 0.10 / 2, abs=0.06)
    fixed = [ok for ok, was, stays in zip(after, before, kept, strict=True) if not stays and not was]
    assert share(fixed) == pytest.approx((0.10 + 0.25 * 0.25) / (0.35 + 0.65 * 0.30), abs=0.06)
    broken = [not ok for ok, was, stays in zip(after, before, kept, strict=True) if not stays and was]
    assert share(broken) == pytest.approx(0.75, abs=0.06)


def test_every_sum_of_the_text_is_right_whatever_it_comes_to(sums: SignedSumWorld):
    for document in told(sums, 200):
        for chain in (document.first, document.second):
            reached = Key(document.key.numbers, int(chain[-1][2:]), sums.modulus)
            assert reached.solved_by(chain)


def test_what_is_kept_is_copied_word_for_word():
    assert all(document.second == document.first for document in of(Habits()) if document.verdict == "OK")
    assert all(document.verdict == "OK" for document in of(Habits(copied=1.0, revised=0.0, noticed=0.0)))


@pytest.mark.parametrize(("right", "verdict"), [(0.0, "FIX"), (1.0, "OK")])
def test_who_notices_that_a_copy_is_wrong_says_so_and_writes_it_again(right: float, verdict: str):
    for document in of(Habits(right=right, copied=1.0, revised=0.0, noticed=1.0)):
        assert document.verdict == verdict and document.second == document.first


@pytest.mark.parametrize(("right", "verdict"), [(0.0, "FIX"), (1.0, "OK")])
def test_who_looks_keeps_what_is_right_and_mends_what_is_wrong(right: float, verdict: str):
    for document in of(Habits(right=right, copied=0.0, revised=1.0)):
        assert document.verdict == verdict and document.rights == (right == 1.0, True)


def test_who_tries_afresh_does_not_look():
    documents = of(Habits(right=0.5, copied=0.0, revised=0.0, right_afresh=0.0))
    assert {document.verdict for document in documents} == {"FIX"}
    assert {document.rights for document in documents} == {(True, False), (False, False)}


def test_no_text_of_training_is_about_a_problem_that_is_held_out(sums: SignedSumWorld, sums_codec: HFCodec):
    held_out = {p.question for split in ("validation", "test") for p in sums.problems(split)}
    spec = SignedSumStream(sums)

    def questions(split: str) -> set[str]:
        stream = spec.build(0, sums_codec, split)
        return {sums.text(chunk.prefix) for chunk in stream.read(stream.start(), 400)[0]}

    assert not questions("policy") & held_out and not questions("judge") & held_out
    for split in ("validation", "test"):
        assert questions(split) <= {problem.question for problem in sums.problems(split)}


def test_a_chunk_is_a_problem_and_all_that_is_written_about_it(sums: SignedSumWorld, sums_codec: HFCodec):
    spec = SignedSumStream(sums)
    stream = spec.build(0, sums_codec, "policy")
    (chunk,), _ = stream.read(stream.start(), 1)
    assert (len(chunk.prefix), len(chunk.suffix)) == (sums.prompt_length, spec.suffix_length) == (5, 12)
    assert chunk.suffix[-1] == sums_codec.eos and chunk.document.tokens[5:].tolist() == chunk.suffix.tolist()[:-1]
    assert len(chunk.prefix) + len(chunk.suffix) == sums.episode_length
    first, second = chunk.suffix[:5], chunk.suffix[6:]
    assert first[-1] == second[-1] == sums_codec.eos and chunk.suffix[5:6] == sums.tokens(REVISE)
    assert max(len(first), len(second)) == sums.attempt_length


def test_a_document_reads_as_a_sentence_of_words(sums: SignedSumWorld, sums_codec: HFCodec):
    chunk = sums.cut(sums.document("text", "1"))
    words = (sums_codec.decode(chunk.prefix) + sums_codec.decode(chunk.suffix)).split()
    assert words == [word for word in sums.text(chunk.document.tokens).split() if word != "<|endoftext|>"]
    assert "revise" in words and {"OK", "FIX"} & set(words)
    assert sums_codec.vocab_size == len(sums.language.words) == 32


def test_a_stream_reads_on_where_its_cursor_stands(sums: SignedSumWorld, sums_codec: HFCodec):
    spec = SignedSumStream(sums)
    stream = spec.build(0, sums_codec, "policy")
    assert isinstance(spec, StreamSpec) and isinstance(stream, Stream) and stream.counts() == {}
    whole, end = stream.read(stream.start(), 12)
    first, cursor = stream.read(stream.start(), 5)
    second, cursor = stream.read(cursor, 7)
    assert first + second == whole and cursor == end and cursor.taken == 12
    with pytest.raises(ValueError, match="cursor"):
        SignedSumStream(sums, corpus="other").build(0, sums_codec, "policy").read(cursor, 1)


def test_splits_seeds_corpora_and_habits_write_other_text(sums: SignedSumWorld, sums_codec: HFCodec):
    specs = [(SignedSumStream(sums), 0, "policy"), (SignedSumStream(sums), 1, "policy")]
    specs += [(SignedSumStream(sums), 0, "judge"), (SignedSumStream(sums, corpus="b"), 0, "policy")]
    specs += [(SignedSumStream(SignedSumWorld(habits=Habits(right=0.4))), 0, "policy")]
    streams = [spec.build(seed, sums_codec, split) for spec, seed, split in specs]
    texts: list[list[Chunk]] = [list(stream.read(stream.start(), 20)[0]) for stream in streams]
    assert len({tuple(chunk.document.tokens for chunk in text) for text in texts}) == len(streams)
    assert len({stream.fingerprint for stream in streams}) == len(streams)


def test_another_worlds_tokenizer_is_refused(sums_codec: HFCodec, tiny_codec: HFCodec):
    with pytest.raises(ValueError, match=r"write_tokenizer\(folder\) of a SignedSumWorld with modulus 5"):
        SignedSumStream(SignedSumWorld(modulus=5)).build(0, sums_codec, "policy")
    with pytest.raises(ValueError, match="write_tokenizer"):
        SignedSumStream().build(0, tiny_codec, "policy")
