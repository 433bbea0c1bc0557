"""Checkpoints: whole or not there, checked when read, and safe to read."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tutelage import state
from tutelage.optimizer import AdamW, Muon, OptimizerSpec
from tutelage.protocols import Cursor
from tutelage.state import CheckpointError, Snapshot


def snapshot(step: int, value: float = 1.0) -> Snapshot:
    weights = torch.full((3, 2), value)
    tensors = {"policy": {"a": weights, "tied": weights, "turned": weights.T}, "optimizer": {}}
    facts = {"cursor": Cursor(step, (("c", (0, 0, 0, step)),)), "optimizer": {"0.0.step": 3.0}, "none": None}
    return Snapshot(step, tensors, facts)


def test_a_checkpoint_comes_back_whole(tmp_path: Path):
    path = state.write(tmp_path, snapshot(7))
    found = state.read(path)
    assert path.name == "step-00000007" and found.step == 7 and dict(found.facts) == snapshot(7).facts
    assert torch.equal(found.tensors["policy"]["turned"], torch.ones(2, 3)) and found.tensors["optimizer"] == {}


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path):
    assert state.latest(tmp_path / "nowhere") is None and state.steps(tmp_path) == []
    for step in (9, 10, 100):
        state.write(tmp_path, snapshot(step))
    (tmp_path / "step-00000100" / "state.json").unlink()
    (tmp_path / "step-00000999").mkdir()
    (tmp_path / ".partial-00001000").mkdir()
    (tmp_path / "step-1000").mkdir()
    assert state.steps(tmp_path) == [9, 10] and state.latest(tmp_path) == tmp_path / "step-00000010"


def flip_a_bit(path: Path) -> None:
    raw = bytearray((path / "policy.safetensors").read_bytes())
    raw[-1] ^= 1
    (path / "policy.safetensors").write_bytes(bytes(raw))


def tear(path: Path) -> None:
    os.truncate(path / "policy.safetensors", 30)


def remove(path: Path) -> None:
    (path / "optimizer.safetensors").unlink()


def facts_become(text: str) -> Any:
    def write(path: Path) -> None:
        (path / "state.json").write_text(text)

    return write


def tear_facts(path: Path) -> None:
    os.truncate(path / "state.json", 50)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_bit, "altered or torn; delete"),
        (tear, "altered or torn; delete"),
        (remove, "no whole checkpoint.*; delete .*step-00000001 to resume"),
        (tear_facts, r"state\.json is torn .*; delete .*step-00000001 to resume from an earlier one"),
        (facts_become("[]"), r"state\.json lacks step, facts, digests; delete .*step-00000001 to resume"),
        (facts_become(""), r"state\.json is torn .*; delete .*step-00000001 to resume"),
        (facts_become('{"step": 1}'), r"state\.json lacks facts, digests; delete .*step-00000001 to resume"),
        (facts_become('{"step": 1, "facts": {"map": 3}, "digests": {}}'), "no whole checkpoint.*; delete"),
    ],
)
def test_a_damaged_file_is_noticed(tmp_path: Path, damage: Any, words: str):
    path = state.write(tmp_path, snapshot(1))
    damage(path)
    with pytest.raises(CheckpointError, match=words):
        state.read(path)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path: Path):
    path = state.write(tmp_path, snapshot(1)).rename(tmp_path / "step-00000005")
    with pytest.raises(CheckpointError, match=r"step-00000005 holds step 1: the folder was renamed.*delete .*000005"):
        state.read(path)


class Killed(BaseException):
    """The process dies here."""


def die_at(monkeypatch: pytest.MonkeyPatch, target: str, call: int) -> None:
    """Let the ``call``-th call of ``target`` never return."""
    module, name = target.rsplit(".", 1)
    holder = {"state": state, "shutil": shutil, "Path": Path}[module]
    real, seen = getattr(holder, name), [0]

    def dying(*positional: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == call:
            raise Killed
        return real(*positional, **named)

    monkeypatch.setattr(holder, name, dying)


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("state.save_file", 1),
        ("state.save_file", 2),
        ("state._sync_and_digest", 2),
        ("state.write_atomically", 1),
        ("state._sync_folder", 1),
        ("Path.rename", 1),
    ],
)
def test_death_while_writing_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, call: int
):
    state.write(tmp_path, snapshot(1))
    with monkeypatch.context() as patch:
        die_at(patch, target, call)
        with pytest.raises(Killed):
            state.write(tmp_path, snapshot(2))
    assert state.steps(tmp_path) == [1] and state.read(tmp_path / "step-00000001").step == 1
    state.write(tmp_path, snapshot(2))
    state.prune(tmp_path, keep_last=1, keep_every=None)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_death_while_pruning_never_leaves_half_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for step in (1, 2, 3):
        state.write(tmp_path, snapshot(step))

    def half(path: Path, **_: Any) -> None:
        if Path(path).exists():
            (Path(path) / "policy.safetensors").unlink()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(Killed):
            state.prune(tmp_path, keep_last=1, keep_every=None)
    assert [state.read(tmp_path / f"step-{step:08d}").step for step in state.steps(tmp_path)] == [2, 3]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_keeps_the_earlier_checkpoint_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    state.write(tmp_path, snapshot(1))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(state, "save_file" if number == errno.ENOSPC else "write_atomically", refuse)
    with pytest.raises(CheckpointError, match=rf"{os.strerror(number)}; the last whole checkpoint is .*step-00000001"):
        state.write(tmp_path, snapshot(2))
    assert state.steps(tmp_path) == [1] and not list(tmp_path.glob(".partial*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"file/step-00000001.*there is no earlier checkpoint"):
        state.write(tmp_path / "file", snapshot(1))


def test_old_checkpoints_go_but_the_last_and_every_so_many_stay(tmp_path: Path):
    for step in range(1, 11):
        state.write(tmp_path, snapshot(step))
    state.prune(tmp_path, keep_last=2, keep_every=4)
    assert state.steps(tmp_path) == [4, 8, 9, 10]
    state.prune(tmp_path, keep_last=0, keep_every=None)
    assert state.steps(tmp_path) == [10]


def test_writing_a_step_again_replaces_it(tmp_path: Path):
    state.write(tmp_path, snapshot(1, 1.0))
    path = state.write(tmp_path, snapshot(1, 2.0))
    assert float(state.read(path).tensors["policy"]["a"][0, 0]) == 2.0


def model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))


def advance(net: nn.Module, optimizers: tuple[torch.optim.Optimizer, ...], steps: range) -> None:
    for step in steps:
        net.zero_grad()
        loss: Tensor = net(torch.tensor([step % 5, 1])).square().sum()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * group["scale"]
            optimizer.step()


@pytest.mark.parametrize("spec", [AdamW(), Muon()])
def test_an_optimiser_goes_on_bit_for_bit(tmp_path: Path, spec: OptimizerSpec):
    net = model(0)
    optimizers = spec.build(net)
    advance(net, optimizers, range(3))
    tensors, plain = state.optimizer_tensors(optimizers)
    assert tensors
    path = state.write(tmp_path, Snapshot(3, {"policy": net.state_dict(), "optimizer": tensors}, {"plain": plain}))
    advance(net, optimizers, range(3, 6))

    other = model(1)
    again = spec.build(other)
    found = state.read(path)
    other.load_state_dict(dict(found.tensors["policy"]))
    state.load_optimizer(again, found.tensors["optimizer"], found.facts["plain"])
    advance(other, again, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = state.write(tmp_path, snapshot(1))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", refuse)
    monkeypatch.setattr("torch.load", refuse)
    assert state.read(path).step == 1
