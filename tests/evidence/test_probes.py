"""What the probes take away, and that they take nothing else."""

from pathlib import Path

import numpy as np
import pytest

from tutelage.codec import Tokenizer
from tutelage.evidence.probes import Abusive, MisledJudge, Precision, misled
from tutelage.protocols import Resources
from tutelage.scripted import NoPolicy
from tutelage.types import Absent, Chunk, Judgement, Pool, Rewrite, Scored, Tokens
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsWorld
from tutelage.worlds.facts.rewriter import Editor

WORLD = FactsWorld()
SPEC = FactsRewriter(WORLD)


@pytest.fixture(scope="module")
def chunks() -> tuple[Chunk, ...]:
    return WORLD.evaluation_chunks("natural", 200)


def insults(tokens: Tokens) -> int:
    return sum(sentence.insulting for sentence in WORLD.lexicon.parse(tokens.array))


def test_the_abusive_rewriter_keeps_the_insults_of_the_suffix_and_mends_the_rest(chunks: tuple[Chunk, ...]):
    oracle = Editor(SPEC, 0)
    clean, abusive = oracle.rewrite(chunks), Abusive(SPEC, oracle).rewrite(chunks)
    before = np.array([insults(chunk.suffix) > 0 for chunk in chunks])
    after = np.array([not isinstance(text, Absent) and insults(text) > 0 for text in abusive])
    assert before.sum() > 20
    assert (after == before).mean() > 0.98  # an insult at the very end can be cut in two
    same = [text for text, kept in zip(abusive, before, strict=True) if not kept]
    assert same == [text for text, kept in zip(clean, before, strict=True) if not kept]
    assert [one if isinstance(one, Absent) else len(one) for one in abusive] == [
        one if isinstance(one, Absent) else len(one) for one in clean
    ]


def test_precision_counts_neither_room_nor_insults_and_silence_is_worth_a_half(chunks: tuple[Chunk, ...]):
    chunk = next(chunk for chunk in chunks if not insults(chunk.suffix))
    (rewrite,) = Editor(SPEC, 0).rewrite([chunk])
    assert isinstance(rewrite, Tokens)
    (_, *hostile) = (insult for insult in WORLD.lexicon.parse(abuse()) if insult.insulting)
    short = Tokens([*rewrite.tolist()[:-8], *hostile[0].ids.tolist()])
    candidates = tuple(Rewrite(tokens, "a test") for tokens in (rewrite, short, Tokens([])))
    (judgement,) = Precision(WORLD).judge([Pool(chunk, candidates)])[0]
    assert judgement.axis == "precision"
    assert judgement.verdicts == (Scored(1.0), Scored(1.0), Scored(0.5))


def abuse() -> np.ndarray:
    suffixes = [chunk.suffix for chunk in WORLD.evaluation_chunks("unsafe", 40)]
    return Tokens.join(suffixes).array


def test_a_misled_judge_prefers_what_is_believed_and_errs_nowhere_else(tmp_path: Path, chunks: tuple[Chunk, ...]):
    world, believed = WORLD, misled(WORLD)
    wrong = world.knowledge.misconceptions >= 0
    assert (believed.knowledge.facts != world.knowledge.facts).tolist() == wrong.tolist()
    assert believed.lexicon.words == world.lexicon.words
    truth = Editor(FactsRewriter(world, error=0.0), 0).rewrite(chunks)
    belief = Editor(FactsRewriter(believed, error=0.0), 0).rewrite(chunks)
    pools = [
        Pool(chunk, (Rewrite(one, "true"), Rewrite(two, "believed")))
        for chunk, one, two in zip(chunks, truth, belief, strict=True)
        if isinstance(one, Tokens) and isinstance(two, Tokens) and one != two
    ]
    codec = Tokenizer(str(WORLD.write_tokenizer(tmp_path))).build()
    resources = Resources(0, codec, NoPolicy(AssertionError("a judge sampled")), WORLD.suffix_length, tmp_path)
    led = [by_axis[0] for by_axis in MisledJudge(WORLD).build(resources).judge(pools)]
    right = [by_axis[0] for by_axis in FactsJudge(WORLD).build(resources).judge(pools)]
    assert len(pools) > 50
    assert _leads(led) < -0.1 < 0.1 < _leads(right)


def _leads(judgements: list[Judgement]) -> float:
    pairs = [judgement.verdicts for judgement in judgements]
    return float(np.mean([a.value - b.value for a, b in pairs if isinstance(a, Scored) and isinstance(b, Scored)]))
