"""Quality judged against the suffix alone."""

from dataclasses import replace

import numpy as np
import pytest

from tutelage.protocols import Resources
from tutelage.schedules import AllPairs, Pivot
from tutelage.types import Abstained, Chunk, Judgement, Pool, Rewrite, Scored, Suffix, Tokens
from tutelage.worlds.facts import GAMES, FactsJudge, FactsWorld, honest, score_all


def quality(judge: FactsJudge, resources: Resources, pool: Pool) -> Judgement:
    return replace(judge, axes=("quality",)).build(resources).judge([pool])[0][0]


def pool_of(world: FactsWorld, chunk: Chunk, *, at: int = 1) -> Pool:
    """An honest text, word salad, a copy of the suffix, and the suffix itself in place ``at``."""
    texts = [honest(world, chunk), GAMES["word_salad"](world, chunk), chunk.suffix]
    candidates: list[Suffix | Rewrite] = [Rewrite(tokens, author="test") for tokens in texts]
    candidates.insert(at, Suffix(chunk.suffix))
    return Pool(chunk, tuple(candidates))


def values(judgement: Judgement) -> list[float]:
    return [verdict.value for verdict in judgement.verdicts if isinstance(verdict, Scored)]


def a_middling_suffix(world: FactsWorld, chunks: tuple[Chunk, ...]) -> Chunk:
    return next(chunk for chunk in chunks if 0.2 < score_all(world, chunk, [chunk.suffix])[0].quality < 0.8)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_pivot_is_compared_with_everyone_and_nobody_else(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...], at: int
):
    pool = pool_of(world, a_middling_suffix(world, natural), at=at)
    found = quality(FactsJudge(world, schedule=Pivot()), resources, pool)
    expected = [1.0, 0.0, 0.5]
    expected.insert(at, 0.5)  # the pivot wins one of three and ties one
    assert values(found) == expected
    counts = [verdict.comparisons for verdict in found.verdicts if isinstance(verdict, Scored)]
    assert sorted(counts) == [1, 1, 1, 3] and counts[at] == 3
    assert found.calls == 3
    assert quality(FactsJudge(world), resources, pool_of(world, natural[0], at=at)).calls == 6


def test_a_pool_without_a_suffix_is_not_judged_and_says_why(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    pool = pool_of(world, natural[0], at=0)
    for candidates, why in (
        (pool.candidates[1:], "nothing about this pool"),
        (pool.candidates[:1], "nobody to compare"),
    ):
        found = quality(FactsJudge(world, schedule=Pivot()), resources, replace(pool, candidates=candidates))
        assert len(found.verdicts) == len(candidates) and found.calls == 0
        for verdict in found.verdicts:
            assert isinstance(verdict, Abstained) and not verdict.asked and why in verdict.reason


def test_noise_and_position_bias_are_those_of_the_same_comparison_in_pairs(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    noisy = FactsJudge(world, noise=0.3, position_bias=0.3)
    points: list[tuple[float, float]] = []
    for chunk in natural[:200]:
        pool = Pool(chunk, (Rewrite(honest(world, chunk), author="test"), Suffix(chunk.suffix)))
        (pairwise, _), (alone, pivot) = (
            values(quality(replace(noisy, schedule=way), resources, pool)) for way in (AllPairs(), Pivot())
        )
        assert pivot == 1.0 - alone
        points.append((pairwise, alone))
    assert [a for a, _ in points] == [b for _, b in points]
    assert 0.2 < np.mean([point == 0.0 for point, _ in points]) < 0.5


def test_the_other_axes_do_not_care(world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]):
    pool = pool_of(world, natural[0])
    noisy = FactsJudge(world, noise=0.2)
    ways = [noisy, replace(noisy, schedule=Pivot()), replace(noisy, quality="pointwise")]
    judged = [judge.build(resources).judge([pool])[0][:2] for judge in ways]
    assert judged[0] == judged[1] == judged[2]


def test_an_empty_text_against_the_suffix_loses(world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]):
    chunk = a_middling_suffix(world, natural)
    pool = Pool(chunk, (Suffix(chunk.suffix), Rewrite(Tokens([]), author="test")))
    assert values(quality(FactsJudge(world, schedule=Pivot()), resources, pool)) == [1.0, 0.0]
