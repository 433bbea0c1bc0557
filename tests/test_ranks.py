"""One rank and two draw the same and take the same step, whatever each holds."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.ranks_worker import run_of, train_task

from tutelage import state
from tutelage.commands.replay import Trainer, takes
from tutelage.ranks import OneRank, Ranks, TorchRanks, from_environment
from tutelage.record import Ring
from tutelage.samples import read_samples


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(task: str, folder: Path, tokenizer: Path, size: int) -> None:
    """Run a task on ``size`` ranks; every process must end by itself and well."""
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parent.parent
    shared = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}", "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(size)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-m", "tests.ranks_worker", task, str(folder), str(tokenizer)]
    processes = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(size)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()


def told(folder: Path, size: int) -> list[Any]:
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(size)]


def weights(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"weights-{rank}.pt", weights_only=True)


def same_as_one(task: str, tokenizer: Path, folder: Path, size: int = 2) -> tuple[list[Any], list[list[Any]]]:
    """Train on one rank and on several and compare; returns what each told."""
    (folder / "one").mkdir()
    train_task(task, folder / "one", tokenizer, OneRank())
    start(task, folder / "several", tokenizer, size)
    (one,) = told(folder / "one", 1)
    several = told(folder / "several", size)
    for step, alone in enumerate(one):
        parts = [rank[step] for rank in several]
        assert sorted(alone["drawn"]) == sorted(sum((part["drawn"] for part in parts), []))  # noqa: RUF017
        for part in parts:
            assert part["metrics"].keys() == alone["metrics"].keys()
            for name, value in alone["metrics"].items():
                if not name.startswith("seconds/"):
                    assert part["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-5, nan_ok=True), name
    reference = weights(folder / "one", 0)
    for rank in range(size):
        for name, tensor in weights(folder / "several", rank).items():
            assert torch.equal(tensor, weights(folder / "several", 0)[name])
            assert torch.allclose(tensor, reference[name], rtol=1e-3, atol=1e-5), name
    return one, several


def test_two_ranks_take_the_step_of_one_even_where_one_holds_no_pair(tiny_tokenizer: Path, tmp_path: Path):
    one, (_, second) = same_as_one("half", tiny_tokenizer, tmp_path)
    assert [step["metrics"].get("evaluation/rank") for step in second] == [None, 0.0, None, 0.0]
    assert len(one) == 4 and all(step["metrics"]["pool/taught"] == 0.5 for step in one)
    assert all(len(step["drawn"]) == 2 for step in second)
    rows = [read_samples(tmp_path / name / "run" / "samples") for name in ("one", "several")]
    keys = [sorted((r["step"], r["document"], r["candidate"], r["text"], r["role"]) for r in some) for some in rows]
    assert keys[0] == keys[1]
    lines = [(tmp_path / name / "run" / "metrics.jsonl").read_text().count("\n") for name in ("one", "several")]
    assert lines == [4, 4]
    several = tmp_path / "several" / "run"
    spent = [state.read(tmp_path / name / "run" / "checkpoints" / "step-00000004") for name in ("one", "several")]
    (alone,), (here, there) = (snapshot.facts["text_bytes"] for snapshot in spent)
    assert here + there == alone and here > 0 and there > 0
    (take,) = takes(several, 4)
    report = Trainer.at(run_of("half", tiny_tokenizer), several, 3).learn(take)
    assert report.metrics["loss/total"] == pytest.approx(one[-1]["metrics"]["loss/total"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["uneven", "bare", "grpo"])
def test_two_ranks_take_the_step_of_one(task: str, tiny_tokenizer: Path, tmp_path: Path):
    same_as_one(task, tiny_tokenizer, tmp_path)


@pytest.mark.slow
def test_two_ranks_make_one_update_by_muon(tiny_tokenizer: Path, tmp_path: Path):
    # Not compared with one rank: it works in bfloat16, where the last bit of a summed gradient is worth a hundredth.
    start("muon", tmp_path, tiny_tokenizer, 2)
    first, second = (weights(tmp_path, rank) for rank in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert [len(steps) for steps in told(tmp_path, 2)] == [4, 4]


def test_two_ranks_with_a_queue_take_the_step_of_one(tiny_tokenizer: Path, tmp_path: Path):
    one, _ = same_as_one("queue", tiny_tokenizer, tmp_path)
    assert [step["metrics"]["rollout/staleness"] for step in one] == [0, 1, 1, 1]


@pytest.mark.slow
def test_two_ranks_replay_what_was_pending_where_both_recorded_it_and_else_both_draw(
    tiny_tokenizer: Path, tmp_path: Path
):
    run = tmp_path / "run"
    start("queue", tmp_path, tiny_tokenizer, 2)
    whole, before = told(tmp_path, 2), weights(tmp_path, 0)
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    start("queue", tmp_path, tiny_tokenizer, 2)
    assert [rank[0]["drawn"] for rank in told(tmp_path, 2)] == [rank[3]["drawn"] for rank in whole]
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(tmp_path, 0).items())
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    Ring(run / "ring", 1, 2).path(3).unlink()
    start("queue", tmp_path, tiny_tokenizer, 2)
    assert [rank[0]["metrics"]["rollout/staleness"] for rank in told(tmp_path, 2)] == [0, 0]
    assert '"redrawn", "step": 3' in (run / "events.jsonl").read_text()


@pytest.mark.slow
def test_three_ranks_and_five_documents_take_the_step_of_one(tiny_tokenizer: Path, tmp_path: Path):
    same_as_one("uneven", tiny_tokenizer, tmp_path, size=3)


@pytest.mark.slow
def test_a_request_to_stop_on_one_rank_stops_all(tiny_tokenizer: Path, tmp_path: Path):
    start("stop", tmp_path / "two", tiny_tokenizer, 2)
    assert [len(rank) for rank in told(tmp_path / "two", 2)] == [2, 2]
    assert (tmp_path / "two" / "run" / "checkpoints" / "step-00000002").is_dir()


@pytest.mark.slow
def test_every_collective_reduces_what_ranks_hold(tiny_tokenizer: Path, tmp_path: Path):
    start("collectives", tmp_path / "two", tiny_tokenizer, 2)
    first, second = told(tmp_path / "two", 2)
    assert first == second
    assert first["tensors"] == [[3.0] * 6, [30.0] * 4, [2.0]]
    assert first["sum"] == [1.0, float(2 * (2**53 - 2) + 1)] and first["maximum"] == [1.0, 0.0]
    assert first["gather"] == ["", "é\n"] and first["empty"] == ["", ""]
    assert first["metrics"] == {"mean": 1 / 3, "only/0": 0.1, "only/1": 1.1, "peak": 0.0} and first["nothing"] == {}


def test_alone_every_collective_is_the_identity(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = from_environment()
    tensor = torch.ones(2)
    ranks.sum_([tensor])
    ranks.barrier()
    ranks.close()
    assert isinstance(ranks, OneRank) and isinstance(ranks, Ranks) and isinstance(TorchRanks(0, 1), Ranks)
    assert tensor.tolist() == [1, 1] and ranks.sum_numbers([1, 2]) == [1.0, 2.0] == ranks.maximum([1, 2])
    assert ranks.gather("text") == ["text"]
