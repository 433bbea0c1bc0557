"""The truth about a policy while it trains."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import LLAMA, WORLD, plain_run, train_all

from tutelage import rng
from tutelage.codec import HFCodec
from tutelage.config import from_plain, to_plain
from tutelage.evaluate import Evaluation, Evaluator, EvaluatorSpec, document_losses
from tutelage.policy import Policy
from tutelage.protocols import Resources, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.trackers import read_metrics
from tutelage.weights import FromConfig, load_model
from tutelage.worlds.facts import FactsEvaluation, measure, score_all, summarise

SPEC = FactsEvaluation(WORLD, natural=8, unsafe=4, clean=3, offset=4)
FIGURES = {
    *("true_factuality", "true_safety", "true_quality", "true_score", "facts_stated", "on_topic", "repetition"),
    *("unsafe_factuality", "unsafe_safety", "unsafe_quality", "unsafe_score"),
    *("effective_entities", "ended", "clean_nll"),
}
UNDEFINED = {"true_factuality", "unsafe_factuality", "on_topic"}
"""Where no fact is stated and no sentence is sound."""


def policy_of(codec: HFCodec, seed: int = 0, louder: float = 1.0) -> Policy:
    model = load_model(FromConfig("llama", LLAMA), codec, seed=seed, device=torch.device("cpu"))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(louder)
    return Policy(model)


def resources_of(codec: HFCodec, policy: Policy, directory: Path) -> Resources:
    return Resources(0, codec, InProcessSampler(policy, eos=codec.eos), WORLD.suffix_length, directory)


def test_the_figures_are_those_of_the_policys_own_text(tiny_codec: HFCodec, tmp_path: Path):
    policy = policy_of(tiny_codec)
    evaluator = SPEC.build(resources_of(tiny_codec, policy, tmp_path))
    assert isinstance(SPEC, EvaluatorSpec) and isinstance(evaluator, Evaluator)
    found = evaluator.evaluate(policy)
    chunks = WORLD.evaluation_chunks("unsafe", 8)[4:]
    seeds = [(rng.seed(0, "facts evaluation", *chunk.key),) for chunk in chunks]
    asked = [SampleRequest(chunk.prefix, seed, 12) for chunk, seed in zip(chunks, seeds, strict=True)]
    texts = [one[0].tokens for one in InProcessSampler(policy, eos=tiny_codec.eos).sample(asked)]
    unsafe = summarise(measure(WORLD, chunks, texts))
    assert (found["facts_unsafe_score"], found["facts_unsafe_safety"]) == (unsafe.score, unsafe.safety)
    losses = document_losses(policy, WORLD.evaluation_chunks("clean", 7)[4:])
    assert found["facts_clean_nll"] == pytest.approx(sum(a for a, _ in losses) / sum(b for _, b in losses))
    assert {name.removeprefix("facts_") for name in found} <= FIGURES
    assert evaluator.evaluate(policy) == found


def test_a_share_of_nothing_is_left_out_and_the_rest_is_there(tiny_codec: HFCodec, tmp_path: Path):
    policy = policy_of(tiny_codec)
    found = SPEC.build(resources_of(tiny_codec, policy, tmp_path)).evaluate(policy)
    assert found["facts_facts_stated"] == 0.0, "a fresh model states nothing"
    assert {name.removeprefix("facts_") for name in found} == FIGURES - UNDEFINED
    assert all(np.isfinite(value) for value in found.values())


def test_another_policy_is_sampled_from_itself(tiny_codec: HFCodec, tmp_path: Path):
    one, other = policy_of(tiny_codec), policy_of(tiny_codec, seed=1, louder=20.0)
    evaluator = SPEC.build(resources_of(tiny_codec, one, tmp_path))
    alone = SPEC.build(resources_of(tiny_codec, other, tmp_path)).evaluate(other)
    first = evaluator.evaluate(one)
    assert evaluator.evaluate(other) == alone != first
    assert evaluator.evaluate(one) == first


def test_its_prefixes_are_not_those_of_a_report():
    for kind in ("natural", "unsafe", "clean"):
        first = WORLD.evaluation_chunks(kind, 6)
        assert WORLD.evaluation_chunks(kind, 2, offset=4) == first[4:]
        assert WORLD.evaluation_chunks(kind, 1, offset=6)[0] not in first
    assert FactsEvaluation().offset == 400


def test_a_run_logs_the_truth_beside_the_loss(tiny_tokenizer: Path, tmp_path: Path):
    named = FactsEvaluation(WORLD, natural=3, unsafe=2, clean=2, offset=2, name="world")
    run = plain_run(tiny_tokenizer, 4, evaluations=(Evaluation(named, every=2),))
    train_all(run, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows if "evaluation/world_true_score" in row] == [2, 4]
    assert [row["step"] for row in rows if "evaluation/world_clean_nll" in row] == [2, 4]


def test_settings_that_measure_nothing_are_refused(tiny_codec: HFCodec, tmp_path: Path):
    assert from_plain(EvaluatorSpec, to_plain(SPEC, EvaluatorSpec)) == SPEC
    for field in ("natural", "unsafe", "clean", "max_tokens"):
        with pytest.raises(ValueError, match=f"{field} must be at least 1"):
            FactsEvaluation(WORLD, **{field: 0})
    with pytest.raises(ValueError, match="offset must be at least 0"):
        FactsEvaluation(WORLD, offset=-1)
    with pytest.raises(ValueError, match="tokenizer"):
        FactsEvaluation().build(resources_of(tiny_codec, policy_of(tiny_codec), tmp_path))


def test_the_oracles_own_scores_are_measured():
    chunks = WORLD.evaluation_chunks("natural", 40)
    measures = measure(WORLD, chunks, [chunk.suffix for chunk in chunks])
    exact = [score_all(WORLD, chunk, [chunk.suffix])[0] for chunk in chunks]
    assert measures.quality.tolist() == [scores.quality for scores in exact]
    assert measures.factuality_score.tolist() == [scores.factuality for scores in exact]
    assert measures.safe + measures.quality + measures.factuality_score == pytest.approx(measures.score)
    summary = summarise(measures)
    assert summary.quality == pytest.approx(np.mean([scores.quality for scores in exact]))
    assert summary.factuality_score == pytest.approx(np.mean([scores.factuality for scores in exact]))
    assert summary.quality != summary.factuality_score
