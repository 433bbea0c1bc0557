"""Rounds of imitation: how large an update is, what a round costs, and what becomes of a model that solves nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.correction.parts import RATE, SHAPE, NextDigit, correction_run, task

from tutelage.codec import HFCodec, Tokenizer
from tutelage.correction import Exam
from tutelage.correction.outcomes import Outcomes
from tutelage.evidence.score import TrainOnTraces, work
from tutelage.objectives import NTP
from tutelage.phases import Phase, Steps, WhenAbove
from tutelage.policy import Policy
from tutelage.run import load_run
from tutelage.stream import Traces, count_traces
from tutelage.trackers import read_metrics
from tutelage.weights import FromConfig, Pretrained, load_model


@pytest.fixture(scope="module")
def base(digits: Path, digits_codec: HFCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "hf"
    model = FromConfig("llama", SHAPE)
    Policy(load_model(model, digits_codec, seed=0, device=torch.device("cpu"))).save_hf(folder)
    digits_codec.save(folder)
    return folder


def imitating(base: str, digits: Path, **changes: Any) -> TrainOnTraces:
    phase = Phase(NTP(on="suffix"), Steps(4), RATE, documents_per_step=100)
    run = correction_run(digits, phase, model=Pretrained(base), stream=Traces("of the round", 8))
    settings: dict[str, Any] = {"task": task(verifier=NextDigit(even=True)), "kind": "star_plus", "problems": 6}
    settings |= {"run": run, "exams": {"test": Exam(task(), 2)}, "rounds": 2}
    return TrainOnTraces(**(settings | changes))


def test_every_round_makes_all_updates_from_the_base_and_learns_each_trace_so_often(
    base: Path, digits: Path, tmp_path: Path
):
    assert imitating(str(base), digits, epochs=2.0).execute(tmp_path, tmp_path)
    for number in (1, 2):
        run = load_run(tmp_path / f"round-{number}" / "run" / "run.yaml")
        rows = read_metrics(tmp_path / f"round-{number}" / "run" / "metrics.jsonl")
        with_traces = tmp_path / f"round-{number}" / "star_plus.npz"
        count = count_traces(with_traces)
        assert run.model == Pretrained(str(base)) and len(rows) == 4
        assert run.phases[0].documents_per_step == round(2.0 * count / 4) > 1
    assert (tmp_path / "hf").resolve() == (tmp_path / "round-2" / "run" / "hf").resolve()


def test_an_update_is_at_most_as_large_as_the_run_says(base: Path, digits: Path, tmp_path: Path):
    assert imitating(str(base), digits, epochs=1000.0, rounds=1).execute(tmp_path, tmp_path)
    assert load_run(tmp_path / "round-1" / "run" / "run.yaml").phases[0].documents_per_step == 100


def test_the_metrics_are_of_all_rounds_and_bear_what_was_sampled(base: Path, digits: Path, tmp_path: Path):
    assert imitating(str(base), digits).execute(tmp_path, tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [(row["step"], row["traces/round"]) for row in rows] == [(i + 1, 1 + i // 4) for i in range(8)]
    assert [row.get("attempts/sampled", 0.0) for row in rows] == [72.0, 0, 0, 0, 72.0, 0, 0, 0]
    assert rows[0]["tokens/sampled"] > 72 and rows[4]["seconds/rollout"] > 0 and rows[0]["tokens/trained"] > 0


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_model_that_solves_nothing_stays_what_it_is_and_has_sampled_all_the_same(
    rounds: int, base: Path, digits: Path, tmp_path: Path
):
    hopeless = task(max_new_tokens=1)
    assert imitating(str(base), digits, task=hopeless, rounds=rounds).execute(tmp_path, tmp_path)
    assert (tmp_path / "hf").resolve() == base.resolve() and (tmp_path / "test.npz").is_file()
    (row,) = read_metrics(tmp_path / "metrics.jsonl")
    assert row["step"] == 0 and row["attempts/sampled"] == 72.0 * rounds


def test_a_model_of_the_hub_that_solves_nothing_is_kept_by_its_weights(
    base: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A name is no folder; what it stands for is loaded as it was to be trained."""

    def load(spec: Any, *args: Any, **words: Any) -> Any:
        return load_model(replace(spec, path=str(base)) if spec.path == "org/model" else spec, *args, **words)

    monkeypatch.setattr(work, "load_model", load)
    monkeypatch.setattr("tutelage.correction.asking.load_model", load)
    hopeless = task(max_new_tokens=1)
    assert imitating("org/model", digits, task=hopeless, rounds=1).execute(tmp_path, tmp_path)
    assert not (tmp_path / "hf").is_symlink() and Tokenizer(str(tmp_path / "hf")).build().vocab_size == 14
    assert Outcomes.load(tmp_path / "test.npz").right.shape == (2, 6, 2)


def test_a_round_is_one_phase_of_a_number_of_steps(base: Path, digits: Path):
    one = imitating(str(base), digits)
    endless = replace(one.run.phases[0], until=WhenAbove("nll", 1.0, at_most=3))
    with pytest.raises(ValueError, match="a round of imitation is one phase of a number of steps"):
        replace(one, run=replace(one.run, phases=(endless,)))
    with pytest.raises(ValueError, match="epochs must be above 0"):
        replace(one, epochs=0.0)


def test_traces_that_another_job_collected_are_paid_for_too(base: Path, digits: Path, tmp_path: Path):
    shared = tmp_path / "collected"
    shared.mkdir()
    one, place = imitating(str(base), digits, kind="pair_sft", rounds=1), made(tmp_path / "own")
    spent = {"of": "x", "spent": {"pair_sft": {"attempts/sampled": 72.0}}}
    assert one.execute(place, tmp_path)
    (shared / "pair_sft.npz").write_bytes((place / "round-1" / "pair_sft.npz").read_bytes())
    (shared / "collected.json").write_text(json.dumps(spent))
    given = replace(one, collected=str(shared / "pair_sft.npz"))
    assert given.execute(made(tmp_path / "given"), tmp_path)
    assert read_metrics(tmp_path / "given" / "metrics.jsonl")[0]["attempts/sampled"] == 72.0
    assert not (tmp_path / "given" / "round-1" / "collected.json").exists(), "nothing was sampled again"


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
