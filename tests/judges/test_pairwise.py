from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutelage.judges import AllPairs, Guard, PairwiseQuality, Pivot
from tutelage.protocols import Judge, JudgeSpec, Prompt, Resources, TextModelSpec
from tutelage.schedules import Adaptive, KnockOut, Schedule, Seat, Tournament
from tutelage.schedules.exhaustive import OneRound
from tutelage.scripted import ScriptedModel
from tutelage.types import Absent, Abstained, Pool, Scored

Make = Callable[..., Pool]


def options(prompt: Prompt) -> tuple[str, str]:
    """The two continuations that a prompt shows."""
    code = prompt.user.split("\n", 1)[0].removeprefix("Code: ")
    shown = [prompt.user.split(f"[[{code} continuation {i}]]\n")[1].split(f"\n[[{code} end of")[0] for i in (1, 2)]
    return shown[0], shown[1]


def longest(prompt: Prompt, seed: int) -> str:
    """Prefers the longer continuation, whatever its place."""
    first, second = options(prompt)
    return f"VERDICT: {1 if len(first) > len(second) else 2}"


def first_place(prompt: Prompt, seed: int) -> str:
    """Prefers what stands first."""
    return "VERDICT: 1"


def verdicts(spec: PairwiseQuality, pool: Pool, resources: Resources) -> list[float | None]:
    judged = spec.build(resources).judge([pool])[0][0]
    return [v.value if isinstance(v, Scored) else None for v in judged.verdicts]


def every_pair(model: TextModelSpec, **settings: Any) -> PairwiseQuality:
    """All pairs, so that scores are plain win rates."""
    return PairwiseQuality(model, AllPairs(), **settings)


def test_the_protocols_are_met(resources: Resources) -> None:
    spec = PairwiseQuality(ScriptedModel([]))
    assert isinstance(spec, JudgeSpec)
    assert isinstance(spec.build(resources), Judge)


def test_a_score_is_the_share_of_comparisons_won(resources: Resources, pool: Make) -> None:
    mine = pool(" a", " abc", " ab")
    judged = every_pair(ScriptedModel(longest), weight=2).build(resources).judge([mine])[0][0]
    assert judged.verdicts == (Scored(0, 2), Scored(1, 2), Scored(0.5, 2))
    assert (judged.axis, judged.weight, judged.calls) == ("quality", 2, 3)


def test_words_stand_at_the_candidates_that_they_are_about(resources: Resources, pool: Make) -> None:
    def tells(prompt: Prompt, seed: int) -> str:
        first, second = options(prompt)
        return f"{first.strip()}\nor {second.strip()} " + longest(prompt, seed)

    mine = pool(" a", " abc", " ab", " abcd")
    spec = every_pair(ScriptedModel(tells), samples=2)
    for judge in (spec, Guard(spec, floor=0.0, min_share=0.0)):
        words = judge.build(resources).judge([mine])[0][0].words
        assert len(words) == 4
        for index, said in enumerate(words):
            lines = said.split("\n")
            others = [other for other in range(4) if other != index for _ in range(2)]
            rivals = [f"against {i} ({'rewrite' if i else 'suffix'}): " for i in others]
            assert all(any(line.startswith(rival) for line in lines) for rival in rivals) and len(lines) == 6
            own = "abcd"[: (1, 3, 2, 4)[index]]
            assert all(own in line.split(": ", 1)[1].replace(" or ", " ").split() for line in lines)


def test_all_pools_of_a_batch_are_asked_about_in_one_call(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    pools = [pool(" a", " abc", " ab"), pool(" x", " xy", id="e"), pool(" alone", id="f")]
    judged = every_pair(model, samples=2, both_orders=True).build(resources).judge(pools)
    assert model.batches == [2 * 2 * (3 + 1)]
    assert [len(j[0].verdicts) for j in judged] == [3, 2, 1]
    assert judged[2][0].verdicts == (Abstained("not asked: nobody to compare with"),) and judged[2][0].words == ()


def test_best_and_worst_are_found_by_default_in_fewer_questions(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    texts = [" " + "a" * length for length in (3, 1, 6, 2, 8, 4, 7, 5)]
    scores = verdicts(PairwiseQuality(model), pool(*texts), resources)
    assert (np.argmax(scores), np.argmin(scores)) == (4, 1)  # type: ignore[arg-type]
    assert len(model.asked) == 10 < 28


def test_a_judge_without_questions_is_not_called(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    assert PairwiseQuality(model).build(resources).judge([]) == []
    PairwiseQuality(model).build(resources).judge([pool(" alone")])
    assert model.batches == []


def test_a_place_bias_cancels_in_both_orders(resources: Resources, pool: Make) -> None:
    spec = PairwiseQuality(ScriptedModel(first_place), both_orders=True)
    assert verdicts(spec, pool(" a", " abc", " ab"), resources) == [0.5, 0.5, 0.5]


def test_a_place_bias_cancels_over_an_even_number_of_samples(resources: Resources, pool: Make) -> None:
    spec = PairwiseQuality(ScriptedModel(first_place), samples=2)
    assert verdicts(spec, pool(" a", " abc", " ab"), resources) == [0.5, 0.5, 0.5]


def test_each_text_stands_first_about_half_the_time(resources: Resources, pool: Make) -> None:
    judge = every_pair(ScriptedModel(first_place)).build(resources)
    wins = [judge.judge([pool(" a", " b", id=f"d{i}")])[0][0].verdicts[0] == Scored(1.0, 1) for i in range(200)]
    assert 70 < sum(wins) < 130


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(4)),
    samples=st.integers(1, 3),
    both=st.booleans(),
    schedule=st.sampled_from([AllPairs(), KnockOut(), Adaptive(budget=1.0)]),
)
def test_the_order_of_a_pool_changes_no_score(
    resources: Resources, pool: Make, order: list[int], samples: int, both: bool, schedule: Schedule
) -> None:
    def fickle(prompt: Prompt, seed: int) -> str:
        return f"VERDICT: {1 + seed % 2}"

    mine = pool(" a", " abc", " ab", " abcd")
    spec = PairwiseQuality(ScriptedModel(fickle), schedule=schedule, samples=samples, both_orders=both)
    permuted = replace(mine, candidates=tuple(mine.candidates[i] for i in order))
    scores = verdicts(spec, mine, resources)
    assert verdicts(spec, permuted, resources) == [scores[i] for i in order]


def test_equal_texts_tie_without_a_question(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    judged = every_pair(model).build(resources).judge([pool(" ab", " ab", " a")])[0][0]
    assert judged.verdicts == (Scored(0.75, 2), Scored(0.75, 2), Scored(0, 2))
    assert len(model.asked) == judged.calls == 1  # the twins stand to the third alike


def test_a_pivot_is_compared_with_everybody_and_nobody_else(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    spec = PairwiseQuality(model, schedule=Pivot())
    assert verdicts(spec, pool(" ab", " abc", " a", " abcd"), resources) == [1 / 3, 1, 0, 1]
    assert len(model.asked) == 3


def test_a_pool_without_the_pivot_is_abstained_on(resources: Resources, pool: Make) -> None:
    spec = PairwiseQuality(ScriptedModel(longest), schedule=Pivot("rollout"))
    assert verdicts(spec, pool(" ab", " abc"), resources) == [None, None]


def test_a_schedule_of_rounds_asks_about_all_pools_of_a_round_together(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(longest)
    texts = [" " + "a" * length for length in range(1, 9)]
    pools = [pool(*texts), pool(*texts[::-1], id="e"), pool(" x", " xy", id="f")]
    judged = PairwiseQuality(model, schedule=KnockOut()).build(resources).judge(pools)
    assert model.batches == [4 + 4 + 1, 4 + 4, 2 + 2]
    assert [j[0].calls for j in judged] == [10, 10, 1]
    for own, best in zip(judged[:2], (7, 0), strict=True):
        values = [v.value for v in own[0].verdicts if isinstance(v, Scored)]
        assert len(values) == 8 and values.index(max(values)) == best and values.index(min(values)) == 7 - best
    assert [v.comparisons for v in judged[0][0].verdicts if isinstance(v, Scored)].count(3) >= 2


@dataclass(frozen=True)
class Twice:
    """Asks about two candidates twice in one round, the second time from the other's side."""

    def begin(self, pools: Sequence[Sequence[Seat]]) -> Tournament:
        return OneRound.of(np.array([[[0, 1], [1, 0]]] * len(pools)), 2)


def test_a_pair_that_is_asked_about_again_changes_places_and_draws_anew(resources: Resources, pool: Make) -> None:
    model = ScriptedModel(first_place)
    judged = PairwiseQuality(model, schedule=Twice()).build(resources).judge([pool(" a", " abc")])[0][0]
    (first, second), again = (options(prompt) for prompt in model.asked)
    assert again == (second, first) and judged.calls == 2
    assert judged.verdicts == (Scored(0.5, 2), Scored(0.5, 2))


def test_a_judge_that_fails_in_a_schedule_of_rounds_makes_no_score(resources: Resources, pool: Make) -> None:
    spec = PairwiseQuality(ScriptedModel(lambda prompt, seed: Absent("m", "time-out")), schedule=Adaptive(budget=1.0))
    mine = pool(" a", " abc", " ab", " abcd")
    judged = spec.build(resources).judge([mine])[0][0]
    assert judged.calls == 6 and all(isinstance(verdict, Abstained) for verdict in judged.verdicts)


def test_a_failed_comparison_is_left_out_and_never_a_score(resources: Resources, pool: Make) -> None:
    def moody(prompt: Prompt, seed: int) -> str | Absent:
        return Absent("m", "time-out") if " bad" in options(prompt) else longest(prompt, seed)

    mine = pool(" a", " abc", " bad")
    judged = every_pair(ScriptedModel(moody)).build(resources).judge([mine])[0][0]
    assert judged.verdicts[:2] == (Scored(0, 1), Scored(1, 1))
    assert judged.verdicts[2] == Abstained("no answer: time-out (2 of 2 answers failed)")
    strict = every_pair(ScriptedModel(moody), min_comparisons=2)
    assert verdicts(strict, mine, resources) == [None, None, None]


def test_an_abstention_keeps_what_the_judge_said_and_marks_refusals(resources: Resources, pool: Make) -> None:
    refusal = ScriptedModel(lambda prompt, seed: "I'm sorry, but I can't help with that.")
    verdict = PairwiseQuality(refusal).build(resources).judge([pool(" a", " b")])[0][0].verdicts[0]
    assert isinstance(verdict, Abstained)
    assert verdict.reason.startswith("refused: \"I'm sorry")


def test_a_model_that_loses_answers_is_refused(resources: Resources, pool: Make) -> None:
    class Loses(ScriptedModel):
        def build(self) -> "Loses":
            return self

        def answer(self, prompts: list[Prompt], seeds: list[int]) -> list[str | Absent]:
            return []

    with pytest.raises(ValueError, match="gave 0 answers to 1 prompts"):
        PairwiseQuality(Loses([])).build(resources).judge([pool(" a", " b")])


def test_seeds_and_places_follow_the_run_seed_and_the_chunk_only(resources: Resources, pool: Make) -> None:
    def seeds(seed: int, id: str) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []

        def note(prompt: Prompt, seed: int) -> str:
            seen.append((prompt.user, seed))
            return "VERDICT: 1"

        judge = PairwiseQuality(ScriptedModel(note)).build(replace(resources, seed=seed))
        judge.judge([pool(" a", " b", " c", id=id)])
        return seen

    assert seeds(7, "d") == seeds(7, "d")
    assert {s for _, s in seeds(7, "d")}.isdisjoint({s for _, s in seeds(8, "d")})
    assert {s for _, s in seeds(7, "d")}.isdisjoint({s for _, s in seeds(7, "e")})


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"samples": 0}, {"min_comparisons": 0}):
        with pytest.raises(ValueError, match="of at least 1"):
            PairwiseQuality(ScriptedModel([]), AllPairs(), **wrong)
