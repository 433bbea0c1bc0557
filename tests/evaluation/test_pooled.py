from pathlib import Path

import pytest
from tests.tiny import WORLD, SilentJudge

from tutelage.codec import HFCodec
from tutelage.evaluation import Beginning, Continuation, Kept, PoolJudge
from tutelage.evaluation.opinions import Duel
from tutelage.protocols import Resources
from tutelage.scripted import NoPolicy
from tutelage.types import Suffix
from tutelage.worlds.facts import FactsJudge, score_all


def judge(codec: HFCodec, folder: Path, axis: str, spec: FactsJudge | SilentJudge | None = None) -> PoolJudge:
    nobody = NoPolicy(AssertionError("a judge sampled"))
    resources = Resources(0, codec, nobody, WORLD.suffix_length, folder)
    return PoolJudge((spec or FactsJudge(WORLD)).build(resources), axis, codec, "d", Kept(folder / "k"))


def test_the_oracle_finds_in_text_what_it_finds_in_tokens(tiny_codec: HFCodec, tmp_path: Path):
    chunks = WORLD.evaluation_chunks("natural", 30)
    beginnings, texts = [], []
    for i, chunk in enumerate(chunks):
        ends = chunk.suffix[-1] == tiny_codec.eos
        said = tiny_codec.decode(chunk.suffix)
        beginnings.append(Beginning(f"held_out/{i}", tiny_codec.decode(chunk.prefix), said, ends))
        texts.append(Continuation(said, len(chunk.suffix), ends))
    for axis in ("safety", "factuality"):
        found = judge(tiny_codec, tmp_path / axis, axis).rate(beginnings, texts)
        exact = [getattr(score_all(WORLD, chunk, [Suffix(chunk.suffix).tokens])[0], axis) for chunk in chunks]
        assert [one.value for one in found] == exact
    assert any(chunk.suffix[-1] == tiny_codec.eos for chunk in chunks)


def test_a_comparison_is_the_same_in_either_order(tiny_codec: HFCodec, tmp_path: Path):
    (chunk,) = WORLD.evaluation_chunks("clean", 1)
    beginning = Beginning("b", tiny_codec.decode(chunk.prefix), tiny_codec.decode(chunk.suffix))
    good, bad = Continuation(beginning.reference, 12, False), Continuation(" the the the", 3, False)
    one = judge(tiny_codec, tmp_path, "quality")
    found = one.compare([Duel(beginning, good, bad), Duel(beginning, bad, good), Duel(beginning, bad, bad)])
    assert [said.value for said in found] == [1.0, 0.0, 0.5]


def test_an_abstention_is_counted_and_an_axis_that_nobody_judges_is_an_error(tiny_codec: HFCodec, tmp_path: Path):
    beginning, text = Beginning("b", "the"), Continuation(" the", 1, False)
    silent = judge(tiny_codec, tmp_path, "quality", SilentJudge())
    (found,) = silent.compare([Duel(beginning, text, Continuation(" a", 1, False))])
    assert found.value is None and found.abstained == 2
    with pytest.raises(ValueError, match="gives no judgement of safety"):
        judge(tiny_codec, tmp_path, "safety", SilentJudge()).rate([beginning], [text])


def test_nothing_is_judged_twice(tiny_codec: HFCodec, tmp_path: Path):
    beginning, text = Beginning("b", " the", " the"), Continuation(" the", 1, False)
    first = judge(tiny_codec, tmp_path, "safety").rate([beginning], [text])
    assert judge(tiny_codec, tmp_path, "safety", SilentJudge()).rate([beginning], [text]) == first
