"""Scripted policies, whose figures are known beforehand, in the world's task and while a run trains."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.tiny import train_all
from tests.worlds.signed_sum.scripted import Scripted, answer, target_at, turn_of

from tutelage.codec import HFCodec, Tokenizer
from tutelage.config import from_plain, to_plain
from tutelage.correction import Exam
from tutelage.correction.outcomes import figures_of, outcomes_of
from tutelage.correction.voting import votes
from tutelage.episodes import EpisodeGroup
from tutelage.evaluate import Evaluation, EvaluatorSpec
from tutelage.objectives import NTP
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.run import Run
from tutelage.trackers import read_metrics
from tutelage.types import Scored, Tokens
from tutelage.weights import FromConfig, load_model
from tutelage.worlds.signed_sum import (
    REVISE,
    SignedSumEvaluation,
    SignedSumStream,
    SignedSumWorld,
    diagnosis,
    sums_task,
)

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIX = ("t1", "t2", "delta", "i_to_c", "c_to_i", "change_rate")
Write = Callable[[list[str], int], str]


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


def checks(words: list[str], seed: int) -> str:
    text = copied(words, seed)
    first = text.removeprefix("OK ") == answer(words, right=True)
    return text if not turn_of(words) or first else f"FIX {answer(words, right=True)}"


@pytest.fixture
def played(sums: SignedSumWorld, sums_codec: HFCodec, tmp_path: Path) -> Callable[..., tuple[EpisodeGroup, ...]]:
    def play(write: Write | Scripted, problems: int = 10, episodes: int = 1, temperature: float = 1.0):
        policy = write if isinstance(write, Scripted) else Scripted(sums, write)
        exam = Exam(sums_task(sums, "test", episodes), problems, temperature)
        return exam.episodes_of(Resources(0, sums_codec, policy, 12, tmp_path))

    return play


Played = Callable[..., tuple[EpisodeGroup, ...]]


@pytest.mark.parametrize(
    ("write", "figures"),
    [(mended, (0, 100, 100, 100, 0, 100)), (spoilt, (100, 0, -100, 0, 100, 100)), (silent, (0, 0, 0, 0, 0, 0))],
)
def test_the_figures_of_a_policy_that_always_does_the_same(played: Played, write: Write, figures: tuple[float, ...]):
    found = figures_of(outcomes_of(played(write)).sums().sum(axis=0))
    assert tuple(float(found[name]) for name in SIX) == figures


def test_a_copy_is_no_change_and_an_accuracy_stays_where_it_was(sums: SignedSumWorld, played: Played):
    groups = played(copied, 200)
    found = figures_of(outcomes_of(groups).sums().sum(axis=0))
    assert found["t1"] == found["t2"] == pytest.approx(50, abs=12)
    assert found["change_rate"] == found["delta"] == found["i_to_c"] == found["c_to_i"] == 0.0
    assert diagnosis(sums.language, groups) == {"fix_if_wrong": 0.0, "fix_if_right": 0.0, "malformed": 0.0}


def test_a_diagnosis_tells_who_checks_from_who_retries_and_who_says_nothing(sums: SignedSumWorld, played: Played):
    checked, retried, nothing = (diagnosis(sums.language, played(write, 40)) for write in (checks, mended, silent))
    assert checked == {"fix_if_wrong": 100.0, "fix_if_right": 0.0, "malformed": 0.0}
    assert retried["fix_if_wrong"] == 100.0 and math.isnan(retried["fix_if_right"])
    assert (nothing["fix_if_wrong"], nothing["malformed"]) == (0.0, 100.0)


def test_a_second_attempt_reads_the_problem_the_first_attempt_and_the_instruction(sums: SignedSumWorld, played: Played):
    policy = Scripted(sums, mended)
    (group, *_) = played(policy, 2)
    first, second = group.episodes[0].turns
    assert first.prompt == sums.tokens(group.problem.question) and second.prompt == sums.tokens(REVISE)
    asked = {request.prefix for request in policy.asked}
    assert {first.prompt, Tokens.join([first.prompt, first.completion, second.prompt])} <= asked
    assert first.completion[-1] == sums.language.end and len(first.completion) == 5 == len(second.completion) - 1
    assert (first.reward, second.reward) == (Scored(0.0), Scored(1.0))


def test_an_attempt_that_was_cut_off_is_never_right(sums: SignedSumWorld, played: Played):
    assert not outcomes_of(played(Scripted(sums, spoilt, ends=False), 5)).right.any()


def test_greedy_is_a_temperature_of_nothing_and_one_episode(sums: SignedSumWorld, played: Played):
    policy = Scripted(sums, mended)
    (group,) = played(policy, 1, episodes=4, temperature=0.0)
    assert len(group.episodes) == 1
    assert [(request.temperature, request.max_new_tokens) for request in policy.asked] == [(0.0, 6), (0.0, 6)]


def test_second_attempts_vote_against_twice_as_many_first_ones(played: Played):
    parallel, sequential = votes(outcomes_of(played(mended, 6, episodes=4)), (2, 4))
    assert not parallel.any() and sequential.all()


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
    named = SignedSumEvaluation(sums, problems=5, episodes=2, name="held")
    greedy = SignedSumEvaluation(sums, problems=5, temperature=0.0, name="greedy")
    train_all(small_run(sums_tokenizer, sums, Evaluation(named, every=2), Evaluation(greedy, every=0)), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "evaluation/held_t1" in row] == [2, 3]
    assert [row["step"] for row in rows if "evaluation/greedy_t2" in row] == [3]
    last = rows[-1]
    assert last["evaluation/held_delta"] == last["evaluation/held_t2"] - last["evaluation/held_t1"]
    assert all(f"evaluation/held_{name}" in last for name in (*SIX, "malformed"))


def test_an_evaluation_says_what_the_policy_did_and_draws_the_same_again(
    sums: SignedSumWorld, sums_codec: HFCodec, tmp_path: Path
):
    model = FromConfig("llama", SMALL | {"max_position_embeddings": 64})
    live = Policy(load_model(model, sums_codec, seed=0, device=torch.device("cpu")))
    resources = Resources(0, sums_codec, policy := Scripted(sums, checks), 12, tmp_path)
    evaluator = SignedSumEvaluation(sums, problems=40).build(resources)
    first = evaluator.evaluate(live)
    assert first["sums_t2"] == 100.0 and 0 < first["sums_t1"] < 100.0 and first["sums_mended"] == 100.0
    assert first["sums_fix_if_wrong"] == 100.0 and first["sums_fix_if_right"] == 0.0
    asked = list(policy.asked)
    assert evaluator.evaluate(live) == first and policy.asked == asked * 2
    every = SignedSumEvaluation(sums, problems=40).build(Resources(0, sums_codec, Scripted(sums, mended), 12, tmp_path))
    assert "sums_fix_if_right" not in every.evaluate(live), "a share of nothing"


def test_settings_that_measure_nothing_are_refused(sums: SignedSumWorld):
    spec = SignedSumEvaluation(sums, "test", 7, 2, 0.5)
    assert from_plain(EvaluatorSpec, to_plain(spec, EvaluatorSpec)) == spec
    with pytest.raises(ValueError, match="problems must be at least 1"):
        SignedSumEvaluation(problems=0)
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        SignedSumEvaluation(temperature=-1.0)
