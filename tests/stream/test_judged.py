"""A stream that passes on what a judge finds good enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.stream.corpora import ids, plain
from tests.tiny import WORLD, SilentJudge, tiny_phase, tiny_run, train_all

from tutelage.codec import HFCodec
from tutelage.config import dump_yaml, from_plain, parse_yaml, to_plain
from tutelage.judges import RandomJudge
from tutelage.objectives import NTP
from tutelage.protocols import Codec, Cursor, Judge, JudgeSpec, Resources, SampleRequest, Stream, StreamSpec
from tutelage.stream import JudgedStream, SomeCuts, StreamError, judged
from tutelage.types import Chunk, Judgement, Pool, Scored, Tokens
from tutelage.worlds.facts import FactsJudge, FactsStream, score_all

HALF = JudgedStream(FactsStream(WORLD), RandomJudge(), {"random": 0.5})
STRICT = JudgedStream(FactsStream(WORLD), FactsJudge(WORLD, quality="pointwise"), {"factuality": 0.5, "safety": 1.0})


def from_start(spec: JudgedStream, codec: Codec, count: int) -> tuple[Chunk, ...]:
    stream = spec.build(0, codec, "policy")
    return stream.read(stream.start(), count)[0]


def test_it_stands_in_a_run_as_any_stream_does(tiny_codec: HFCodec):
    assert isinstance(STRICT, StreamSpec) and isinstance(STRICT.build(0, tiny_codec, "policy"), Stream)
    assert from_plain(StreamSpec, parse_yaml(dump_yaml(to_plain(STRICT, StreamSpec)))) == STRICT
    assert (STRICT.suffix_length, STRICT.max_length) == (12, 36)


def test_what_passes_is_what_the_judge_scores_high_enough_and_all_of_it(tiny_codec: HFCodec):
    passed = from_start(STRICT, tiny_codec, 30)
    every = FactsStream(WORLD).build(0, tiny_codec, "policy")
    read, _ = every.read(every.start(), 1 + int(passed[-1].document.id.rpartition("-")[2]))
    scores = [score_all(WORLD, chunk, [chunk.suffix])[0] for chunk in read]
    good = [c for c, s in zip(read, scores, strict=True) if s.factuality >= 0.5 and s.safety >= 1.0]
    assert list(passed) == good and len(read) > 40


@pytest.mark.parametrize("steps", [(3, 5), (1, 0, 1, 4), (7, 1)])
def test_reading_in_any_steps_is_reading_at_once(tiny_codec: HFCodec, steps: tuple[int, ...]):
    stream = HALF.build(0, tiny_codec, "policy")
    whole, end = stream.read(stream.start(), sum(steps))
    cursor, pieces = stream.start(), list[Chunk]()
    for count in steps:
        chunks, cursor = HALF.build(0, tiny_codec, "policy").read(cursor, count)
        assert len(chunks) == count
        pieces += chunks
    assert (tuple(pieces), cursor) == (whole, end)


def test_a_document_of_several_cuts_counts_once_and_keeps_its_good_ones(folder: Path, codec: HFCodec):
    inner = plain(folder, cuts=SomeCuts(3))
    spec = JudgedStream(inner, RandomJudge(), {"random": 0.6})
    stream = spec.build(0, codec, "policy")
    chunks, end = stream.read(stream.start(), 12)
    assert len(set(ids(chunks))) == 12 < len(chunks)
    first, cursor = stream.read(stream.start(), 5)
    second, cursor = stream.read(cursor, 7)
    assert first + second == chunks and cursor == end
    plainly = inner.build(0, codec, "policy")
    every, after = plainly.read(plainly.start(), end.taken)
    assert after == end
    kept = [chunk for chunk in every if chunk in chunks]
    assert kept == list(chunks) and len(every) > len(kept)


def test_what_was_kept_dropped_and_not_judged_is_counted(tiny_codec: HFCodec):
    stream = HALF.build(0, tiny_codec, "policy")
    _, end = stream.read(stream.start(), 20)
    counts = stream.counts()
    assert counts == {"judged_kept": 20, "judged_dropped": end.taken - 20, "judged_abstained": 0}
    assert 10 < counts["judged_dropped"] < 40


def test_a_filter_that_passes_nothing_is_given_up_by_name(tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    assert judged.BARREN == 10_000
    monkeypatch.setattr(judged, "BARREN", 40)
    hopeless = JudgedStream(FactsStream(WORLD), RandomJudge(), {"random": 1.5})
    with pytest.raises(ValueError, match=r"no suffix of 4[0-9] documents in a row scored random at least 1.5: lower"):
        from_start(hopeless, tiny_codec, 8)
    pairwise = JudgedStream(FactsStream(WORLD), FactsJudge(WORLD), {"quality": 0.1})
    stream = pairwise.build(0, tiny_codec, "policy")
    with pytest.raises(StreamError, match=r"last abstained with 'quality: not asked: nobody to compare with'"):
        stream.read(stream.start(), 1)
    assert stream.counts() == {"judged_kept": 0, "judged_dropped": 40, "judged_abstained": 40}


def test_a_rare_document_is_still_found(tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judged, "BARREN", 60)
    rare = JudgedStream(FactsStream(WORLD), RandomJudge(), {"random": 0.9})
    assert len(from_start(rare, tiny_codec, 20)) == 20, "600 documents, but never 200 in a row without any"


def test_an_axis_that_is_not_judged_is_named(tiny_codec: HFCodec):
    with pytest.raises(StreamError, match=r"names the axis 'truth'; the judge judges 'random'"):
        from_start(JudgedStream(FactsStream(WORLD), RandomJudge(), {"truth": 0.5}), tiny_codec, 1)
    with pytest.raises(StreamError, match="at_least names no axis"):
        JudgedStream(FactsStream(WORLD), RandomJudge(), {})


@dataclass(frozen=True)
class Nosy:
    """Asks for what a filter's judge does not have."""

    wants: str

    def build(self, resources: Resources) -> Judge:
        if self.wants == "directory":
            (resources.directory / "kept.json").write_text("")
        resources.sampler.sample([SampleRequest(Tokens([1]), (1,), 1)])
        return RandomJudge().build(resources)


@pytest.mark.parametrize(("wants", "told"), [("policy", "asked the policy"), ("directory", "has no directory")])
def test_a_judge_that_asks_for_more_than_text_is_told(tiny_codec: HFCodec, wants: str, told: str):
    with pytest.raises((StreamError, OSError), match=told):
        JudgedStream(FactsStream(WORLD), Nosy(wants), {"random": 0.5}).build(0, tiny_codec, "policy")


def test_whatever_decides_what_passes_is_in_the_fingerprint(tiny_codec: HFCodec):
    base: tuple[StreamSpec, JudgeSpec, Mapping[str, float]] = (FactsStream(WORLD), RandomJudge(), {"random": 0.5})
    others = (FactsStream(WORLD, clean=True), RandomJudge("other"), {"random": 0.6})
    specs = [JudgedStream(*base)]
    specs += [JudgedStream(*base[:i], others[i], *base[i + 1 :]) for i in range(3)]  # pyright: ignore[reportArgumentType]
    found = [spec.build(0, tiny_codec, "policy").fingerprint for spec in specs]
    found += [specs[0].build(1, tiny_codec, "policy").fingerprint, specs[0].build(0, tiny_codec, "test").fingerprint]
    assert len(set(found)) == len(found)
    assert specs[0].build(0, tiny_codec, "policy").fingerprint == found[0]


@dataclass(frozen=True)
class Seedless:
    """A stream whose fingerprint does not name its seed, as that of text files does not."""

    suffix_length: int = 12

    def build(self, seed: int, codec: Codec, split: str) -> Stream:
        return HALF.build(0, codec, split)


def test_the_seed_by_which_a_judge_errs_is_in_the_fingerprint(tiny_codec: HFCodec):
    spec = JudgedStream(Seedless(), RandomJudge(), {"random": 0.5})
    one, other = (spec.build(seed, tiny_codec, "policy") for seed in (0, 1))
    assert one.fingerprint != other.fingerprint
    assert one.read(one.start(), 9)[0] != other.read(other.start(), 9)[0]


@dataclass(frozen=True)
class Threshold:
    """Scores every suffix by the same number."""

    value: float

    def build(self, resources: Resources) -> Judge:
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [(Judgement("a", (Scored(self.value),)), Judgement("b", (Scored(1.0),))) for _ in pools]


def test_a_score_at_the_threshold_passes_and_every_axis_must(tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judged, "BARREN", 5)
    assert len(from_start(JudgedStream(FactsStream(WORLD), Threshold(0.5), {"a": 0.5, "b": 1.0}), tiny_codec, 3)) == 3
    for asked in ({"a": 0.51, "b": 1.0}, {"b": 1.01, "a": 0.5}, {"a": 0.5, "b": 1.01}):
        with pytest.raises(StreamError, match="no suffix"):
            from_start(JudgedStream(FactsStream(WORLD), Threshold(0.5), asked), tiny_codec, 1)


def test_a_run_trains_on_what_passes(tiny_tokenizer: Path, tmp_path: Path):
    run = tiny_run(tiny_tokenizer, tiny_phase(NTP(), 2, sources=(), judges=()), stream=STRICT)
    _, reports = train_all(run, tmp_path / "run")
    read = [chunk for report in reports for pool in report.take.judged for chunk in [pool.pool.chunk]]
    read += [chunk for report in reports for chunk in report.take.plain]
    assert len(read) == 8
    assert all(score_all(WORLD, chunk, [chunk.suffix])[0].safety == 1.0 for chunk in read)
    assert reports[-1].take.cursor.taken > 8 and isinstance(reports[-1].take.cursor, Cursor)


def test_silence_is_no_score(tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judged, "BARREN", 3)
    with pytest.raises(StreamError, match=r"quality: I would rather not"):
        from_start(JudgedStream(FactsStream(WORLD), SilentJudge(), {"quality": -5.0}), tiny_codec, 1)
