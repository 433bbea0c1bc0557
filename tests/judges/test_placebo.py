"""Judges without judgement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.objectives.pools import chunk

from tutelage.config import from_plain, to_plain
from tutelage.judges import RandomJudge, RepetitionJudge, ShuffledJudge
from tutelage.protocols import Judge, JudgeSpec, Resources
from tutelage.types import Abstained, Judgement, Pool, Rewrite, Scored, Tokens

Make = Callable[..., Pool]


@dataclass(frozen=True)
class Counts:
    """Numbers the candidates, on two axes; abstains on the empty ones on the second."""

    def build(self, resources: Resources) -> Judge:
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [self.both(pool) for pool in pools]

    def both(self, pool: Pool) -> tuple[Judgement, ...]:
        numbers = tuple(Scored(float(i), 3) for i in range(len(pool.candidates)))
        some = tuple(n if len(c.tokens) else Abstained("empty") for n, c in zip(numbers, pool.candidates, strict=True))
        words = tuple(f"number {i}" for i in range(len(numbers)))
        return Judgement("first", numbers, 2.0, words, 7), Judgement("second", some)


def values(judgement: Judgement) -> list[float]:
    return [verdict.value for verdict in judgement.verdicts if isinstance(verdict, Scored)]


def many(pool: Make, count: int = 300) -> list[Pool]:
    return [pool(" a", " b", " c", " d", id=f"d{i}") for i in range(count)]


@pytest.mark.parametrize("spec", [RandomJudge(), ShuffledJudge(RandomJudge()), RepetitionJudge()])
def test_they_stand_in_a_run_and_give_what_a_judge_must(spec: JudgeSpec, resources: Resources, pool: Make) -> None:
    assert isinstance(spec, JudgeSpec) and from_plain(JudgeSpec, to_plain(spec, JudgeSpec)) == spec
    judge = spec.build(resources)
    assert isinstance(judge, Judge)
    pools = many(pool, 3)
    assert [len(j.verdicts) for (j,) in judge.judge(pools)] == [4, 4, 4]
    assert judge.judge([]) == []
    assert [judge.judge([one])[0] for one in pools] == judge.judge(pools) == spec.build(resources).judge(pools)


def test_random_scores_are_uniform_and_follow_seed_axis_chunk_and_text_alone(resources: Resources, pool: Make) -> None:
    judged = RandomJudge().build(resources).judge(many(pool))
    found = np.array([values(j) for (j,) in judged])
    assert found.min() >= 0 and found.max() < 1
    assert np.histogram(found, 4, (0, 1))[0] == pytest.approx([300] * 4, rel=0.25)
    assert len(np.unique(found)) == found.size
    mine = pool(" a", " b", " a")
    forth = values(RandomJudge().build(resources).judge([mine])[0][0])
    back = values(RandomJudge().build(resources).judge([replace(mine, candidates=mine.candidates[::-1])])[0][0])
    assert forth == back[::-1] and forth[0] == forth[2] != forth[1]
    others = (RandomJudge("other").build(resources), RandomJudge().build(replace(resources, seed=8)))
    assert all(values(other.judge([mine])[0][0]) != forth for other in others)
    assert RandomJudge("mine", weight=2.0).build(resources).judge([mine])[0][0].weight == 2.0


def test_a_shuffled_judge_deals_out_the_same_scores_anew_on_each_axis(resources: Resources, pool: Make) -> None:
    pools = many(pool)
    judged = ShuffledJudge(Counts()).build(resources).judge(pools)
    orders = np.array([[values(judgement) for judgement in both] for both in judged])  # pools, axes, candidates
    assert (np.sort(orders, axis=-1) == np.arange(4)).all()
    stays = (orders == np.arange(4)).mean(axis=(0, 2))
    assert stays == pytest.approx([0.25, 0.25], abs=0.05)
    assert (orders[:, 0] == orders[:, 1]).all(axis=-1).mean() < 0.1, "each axis has its own permutation"
    assert orders.mean(axis=(0, 1)) == pytest.approx([1.5] * 4, abs=0.2)
    first = judged[0][0]
    assert (first.weight, first.calls) == (2.0, 7)
    assert {v.comparisons for v in first.verdicts if isinstance(v, Scored)} == {3}


def test_abstentions_stay_where_they_are(resources: Resources, pool: Make) -> None:
    for mine in many(pool, 40):
        holed = replace(mine, candidates=(*mine.candidates[:1], Rewrite(Tokens([]), "w"), *mine.candidates[1:]))
        _, second = ShuffledJudge(Counts()).build(resources).judge([holed])[0]
        assert second.verdicts[1] == Abstained("empty")
        assert sorted(values(second)) == [0.0, 2.0, 3.0, 4.0]


def test_words_stay_with_their_candidate_and_tell_whose_score_it_got(resources: Resources, pool: Make) -> None:
    first, second = ShuffledJudge(Counts()).build(resources).judge([pool(" a", " b", " c")])[0]
    order = [int(value) for value in values(first)]
    assert first.words == tuple(
        f"number {i}\nshuffled: the score is that of candidate {j}" for i, j in enumerate(order)
    )
    assert second.words[0].startswith("shuffled: ")


def test_repetition_alone_counts_and_silence_has_none(resources: Resources) -> None:
    texts = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 1, 2, 3], [7, 7, 7, 7, 7, 7], [], [1])
    document = Tokens([1, 2])
    mine = Pool(chunk("d", document, document), tuple(Rewrite(Tokens(ids), "w") for ids in texts))
    assert values(RepetitionJudge(n=2).build(resources).judge([mine])[0][0]) == pytest.approx([1.0, 0.6, 0.2, 1.0, 1.0])
    (four,) = RepetitionJudge(axis="mine", weight=3.0).build(resources).judge([mine])[0]
    assert values(four) == pytest.approx([1.0, 1.0, 1 / 3, 1.0, 1.0])
    assert (four.axis, four.weight) == ("mine", 3.0)
    with pytest.raises(ValueError, match="n must be at least 1"):
        RepetitionJudge(n=0)
