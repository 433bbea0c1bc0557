"""Episodes of scripted policies, whose figures are known beforehand."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import train_all
from tests.worlds.signed_sum.scripted import Scripted, answer, target_at, turn_of

from tutelage.codec import HFCodec, Tokenizer
from tutelage.config import from_plain, to_plain
from tutelage.evaluate import Evaluation, Evaluator, EvaluatorSpec
from tutelage.objectives import NTP
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.run import Run
from tutelage.sampler import InProcessSampler
from tutelage.trackers import read_metrics
from tutelage.types import Scored, Tokens
from tutelage.weights import FromConfig, load_model
from tutelage.worlds.signed_sum import (
    SignedSumEvaluation,
    SignedSumStream,
    SignedSumWorld,
    corrections,
    evaluate,
    play,
    scaling,
)

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIX = ("t1", "t2", "delta", "i_to_c", "c_to_i", "change_rate")


def mended(words: list[str], seed: int) -> str:
    return f"FIX {answer(words, right=True)}" if turn_of(words) else answer(words, right=False)


def spoilt(words: list[str], seed: int) -> str:
    return f"FIX {answer(words, right=False)}" if turn_of(words) else answer(words, right=True)


def copied(words: list[str], seed: int) -> str:
    if not turn_of(words):
        return answer(words, right=seed % 2 == 0)
    mark = target_at(words)
    return f"OK {' '.join(words[mark + 1 : mark + 5])}"


def silent(words: list[str], seed: int) -> str:
    return "OK" if turn_of(words) else "revise"


@pytest.mark.parametrize(
    ("write", "figures"),
    [(mended, (0, 100, 100, 100, 0, 100)), (spoilt, (100, 0, -100, 0, 100, 100)), (silent, (0, 0, 0, 0, 0, 0))],
)
def test_the_figures_of_a_policy_that_always_does_the_same(
    sums: SignedSumWorld, write: Callable[[list[str], int], str], figures: tuple[float, ...]
):
    found = evaluate(sums, Scripted(sums, write), sums.problems("test", 10), seed=0)
    assert tuple(found.figures()) == SIX and tuple(found.figures().values()) == figures


def test_a_copy_is_no_change_and_an_accuracy_stays_where_it_was(sums: SignedSumWorld):
    found = evaluate(sums, Scripted(sums, copied), sums.problems("test", 200), seed=0)
    figures = found.figures()
    assert figures["t1"] == figures["t2"] == pytest.approx(50, abs=12)
    assert figures["change_rate"] == figures["delta"] == figures["i_to_c"] == figures["c_to_i"] == 0.0
    assert found.diagnosis() == {"fix_if_wrong": 0.0, "fix_if_right": 0.0, "malformed": 0.0}


def test_a_diagnosis_tells_who_checks_from_who_retries_and_who_says_nothing(sums: SignedSumWorld):
    def checks(words: list[str], seed: int) -> str:
        text = copied(words, seed)
        first = text.removeprefix("OK ") == answer(words, right=True)
        return text if not turn_of(words) or first else f"FIX {answer(words, right=True)}"

    problems = sums.problems("test", 40)
    assert evaluate(sums, Scripted(sums, checks), problems, seed=0).diagnosis() == {
        "fix_if_wrong": 100.0,
        "fix_if_right": 0.0,
        "malformed": 0.0,
    }
    said = evaluate(sums, Scripted(sums, silent), problems, seed=0).diagnosis()
    assert (said["fix_if_wrong"], said["malformed"]) == (0.0, 100.0) and math.isnan(said["fix_if_right"])


def test_a_second_attempt_reads_the_problem_the_first_attempt_and_the_instruction(sums: SignedSumWorld):
    policy = Scripted(sums, mended)
    ((group, *_),) = [play(sums, policy, sums.problems("test", 2), seed=0)]
    (episode,) = group.episodes
    first, second = episode.turns
    assert first.prompt == sums.prompt(group.problem) and second.prompt == sums.instruction
    asked = [request.prefix for request in policy.asked]
    assert asked[0] == first.prompt
    assert asked[2] == Tokens.join([first.prompt, first.completion, second.prompt])
    assert first.completion[-1] == sums.language.end and len(first.logprobs) == len(first.completion)
    assert (episode.policy_version, first.reward, second.reward) == (3, Scored(0.0), Scored(1.0))


def test_an_attempt_that_was_cut_off_is_never_right(sums: SignedSumWorld):
    found = evaluate(sums, Scripted(sums, spoilt, ends=False), sums.problems("test", 5), seed=0)
    assert found.figures()["t1"] == 0.0


def test_draws_are_keyed_by_problem_draw_and_turn(sums: SignedSumWorld):
    problems = sums.problems("test", 3)

    def seeds(**asked: object) -> list[int]:
        policy = Scripted(sums, copied)
        play(sums, policy, problems, **({"seed": 0} | asked))  # pyright: ignore[reportArgumentType]
        return [seed for request in policy.asked for seed in request.seeds]

    whole = seeds(draws=range(4))
    assert len(set(whole)) == len(whole) == 3 * 4 * 2
    assert seeds(draws=range(4), turns=1) == whole[:12]
    assert seeds(draws=(2,)) == [*whole[2:12:4], *whole[14::4]]
    assert not set(seeds(seed=1)) & set(whole)
    # The same problem again is another draw.
    again = Scripted(sums, copied)
    play(sums, again, [problems[0], problems[0]], seed=0, turns=1)
    assert again.asked[0].seeds != again.asked[1].seeds


def test_greedy_is_a_temperature_of_nothing(sums: SignedSumWorld):
    policy = Scripted(sums, mended)
    evaluate(sums, policy, sums.problems("test", 1), seed=0, temperature=0.0)
    assert [(request.temperature, request.max_new_tokens) for request in policy.asked] == [(0.0, 6), (0.0, 6)]


def test_corrections_need_two_attempts_and_can_be_resampled(sums: SignedSumWorld):
    policy, problems = Scripted(sums, copied), sums.problems("test", 8)
    with pytest.raises(ValueError, match="a correction needs two"):
        corrections(sums, play(sums, policy, problems, seed=0, turns=1))
    found = corrections(sums, play(sums, policy, problems, seed=0, draws=(0, 1)))
    assert len(found) == 16
    some = found.take(np.flatnonzero(found.first))
    assert some.figures()["t1"] == 100.0 and len(some) == found.first.sum()


# --------------------------------------------------------------------------- votes


def test_votes_are_taken_at_equal_numbers_of_samples(sums: SignedSumWorld):
    policy, problems = Scripted(sums, mended), sums.problems("test", 6)
    found = scaling(sums, policy, problems, seed=0, budgets=(2, 4))
    assert found.figures() == {"budget": [2, 4], "parallel": [0.0, 0.0], "sequential": [100.0, 100.0]}
    turns = [turn_of(sums.text(request.prefix).split()) for request in policy.asked]
    assert (turns.count(0), turns.count(1)) == (4 * 6, 2 * 6)
    assert scaling(sums, Scripted(sums, spoilt), problems, seed=0).figures() == {
        "budget": [2, 4, 8, 16],
        "parallel": [100.0] * 4,
        "sequential": [0.0] * 4,
    }


def test_more_samples_help_a_policy_that_is_right_more_often_than_not(sums: SignedSumWorld):
    def mostly(words: list[str], seed: int) -> str:
        text = answer(words, right=seed % 4 != 0)
        return f"FIX {text}" if turn_of(words) else text

    figures = scaling(sums, Scripted(sums, mostly), sums.problems("test", 150), seed=0).figures()
    for votes in (figures["parallel"], figures["sequential"]):
        assert votes[0] == pytest.approx(75, abs=10) and votes[-1] > votes[0] + 8
        assert all(after >= before - 5 for before, after in pairwise(votes))


@pytest.mark.parametrize("budgets", [(), (2, 3), (0, 2)])
def test_a_budget_that_cannot_be_halved_is_refused(sums: SignedSumWorld, budgets: tuple[int, ...]):
    with pytest.raises(ValueError, match="even numbers from 2 on"):
        scaling(sums, Scripted(sums, mended), sums.problems("test", 1), seed=0, budgets=budgets)


# --------------------------------------------------------------------------- while a run trains


def small_run(tokenizer: Path, sums: SignedSumWorld, *evaluations: Evaluation) -> Run:
    phase = Phase(NTP(on="suffix"), Steps(3), LearningRate(1e-3), documents_per_step=4)
    model = FromConfig("llama", SMALL | {"max_position_embeddings": 64})
    return Run(
        phases=(phase,),
        stream=SignedSumStream(sums),
        tokenizer=Tokenizer(str(tokenizer)),
        model=model,
        evaluations=evaluations,
        device="cpu",
    )


def test_a_run_logs_its_figures(sums: SignedSumWorld, sums_tokenizer: Path, tmp_path: Path):
    named = SignedSumEvaluation(sums, problems=5, name="held")
    greedy = SignedSumEvaluation(sums, problems=5, temperature=0.0, name="greedy")
    train_all(small_run(sums_tokenizer, sums, Evaluation(named, every=2), Evaluation(greedy, every=0)), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "evaluation/held_t1" in row] == [2, 3]
    assert [row["step"] for row in rows if "evaluation/greedy_t2" in row] == [3]
    last = rows[-1]
    assert last["evaluation/held_delta"] == last["evaluation/held_t2"] - last["evaluation/held_t1"]
    assert all(f"evaluation/held_{name}" in last for name in SIX)


def test_an_evaluation_samples_from_the_policy_that_it_is_given_and_draws_the_same_again(
    sums: SignedSumWorld, sums_codec: HFCodec, tmp_path: Path
):
    small = FromConfig("llama", SMALL | {"max_position_embeddings": 64, "initializer_range": 1.0})
    one, other = (Policy(load_model(small, sums_codec, seed=seed, device=torch.device("cpu"))) for seed in (0, 1))
    spec = SignedSumEvaluation(sums, problems=40)
    resources = Resources(0, sums_codec, InProcessSampler(one, eos=sums_codec.eos), 12, tmp_path)
    evaluator = spec.build(resources)
    assert isinstance(spec, EvaluatorSpec) and isinstance(evaluator, Evaluator)
    first = evaluator.evaluate(one)
    assert first["sums_malformed"] > 0 and evaluator.evaluate(other) == spec.build(resources).evaluate(other)
    assert evaluator.evaluate(one) == first


def test_settings_that_measure_nothing_are_refused(sums: SignedSumWorld):
    spec = SignedSumEvaluation(sums, "test", 7, 0.5)
    assert from_plain(EvaluatorSpec, to_plain(spec, EvaluatorSpec)) == spec
    with pytest.raises(ValueError, match="problems must be at least 1"):
        SignedSumEvaluation(problems=0)
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        SignedSumEvaluation(temperature=-1.0)
