"""Everything a step changes, and the checkpoint that holds it: atomic, complete, and safe to read.

A checkpoint is a folder ``step-N`` that appears whole or not at all: it is written beside its final place, synced,
and renamed. It holds weights, optimiser and reference as safetensors, and the rest as JSON; nothing is unpickled.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tutelage.policy import Policy
from tutelage.record import RecordError, WriteFailed, from_json, to_json, write_atomically

_STEP = re.compile(r"step-(\d{8})")


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, or that is not there or not whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a checkpoint holds."""

    step: int
    """Updates made."""
    tensors: Mapping[str, Mapping[str, Tensor]]
    """By file: ``policy``, ``optimizer``, and ``reference`` where the objective has one."""
    facts: Mapping[str, Any]
    """Nouns and plain values: cursor, phase, counters, fingerprints, optimiser settings."""


def write(folder: Path, snapshot: Snapshot) -> Path:
    """Write ``folder/step-N``; what stood there before stays intact until the new one is whole.

    Raises:
        CheckpointError: the disk is full or read-only; earlier checkpoints are untouched.
    """
    final = folder / f"step-{snapshot.step:08d}"
    partial = folder / f".partial-{snapshot.step:08d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        digests: dict[str, str] = {}
        for name, tensors in snapshot.tensors.items():
            path = partial / f"{name}.safetensors"
            # A copy of its own for every tensor: tied weights share memory, which safetensors refuses.
            save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, path)
            digests[path.name] = _sync_and_digest(path)
        facts = json.dumps({"step": snapshot.step, "facts": to_json(dict(snapshot.facts)), "digests": digests})
        write_atomically(partial / "state.json", facts.encode())
        _sync_folder(partial)
        _remove(final)
        partial.rename(final)
        _sync_folder(folder)
    except (OSError, SafetensorError, WriteFailed) as error:
        shutil.rmtree(partial, ignore_errors=True)
        kept = latest(folder)
        where = f"the last whole checkpoint is {kept}" if kept else "there is no earlier checkpoint"
        raise CheckpointError(
            f"cannot write the checkpoint {final}: {error.__cause__ or error}; {where}. "
            "Free space or mend the permissions, then resume"
        ) from error
    return final


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def steps(folder: Path) -> list[int]:
    """Steps of the whole checkpoints in ``folder``, ascending."""
    found = (_STEP.fullmatch(path.name) for path in folder.glob("step-*")) if folder.is_dir() else ()
    return sorted(int(m[1]) for m in found if m and (folder / m[0] / "state.json").is_file())


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint."""
    known = steps(folder)
    return folder / f"step-{known[-1]:08d}" if known else None


def read(path: Path) -> Snapshot:
    """Read a checkpoint and check every file's digest.

    Raises:
        CheckpointError: a file is missing, torn or altered, or the folder was renamed; says what to delete.
    """
    try:
        plain = _plain(path)
        tensors: dict[str, dict[str, Tensor]] = {}
        for name, digest in plain["digests"].items():
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise CheckpointError(f"{path / name} was altered or torn; {_remedy(path)}")
            tensors[name.removesuffix(".safetensors")] = load_file(path / name)
        return Snapshot(plain["step"], tensors, from_json(plain["facts"]))
    except (OSError, RecordError, SafetensorError, AttributeError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: {error}; {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    return f"delete {path} to resume from an earlier one"


def _plain(path: Path) -> dict[str, Any]:
    """What ``state.json`` holds, its shape and its step checked."""
    file = path / "state.json"
    try:
        plain: Any = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: {file} is torn ({error}); {_remedy(path)}") from error
    found = cast("dict[str, Any]", plain) if isinstance(plain, dict) else {}
    shapes = {"step": int, "facts": dict, "digests": dict}
    missing = [key for key, kind in shapes.items() if not isinstance(found.get(key), kind)]
    if missing:
        raise CheckpointError(f"{path} is no whole checkpoint: {file} lacks {', '.join(missing)}; {_remedy(path)}")
    if path.name != f"step-{found['step']:08d}":
        raise CheckpointError(
            f"{path} holds step {found['step']}: the folder was renamed; give it its name back, or {_remedy(path)}"
        )
    return found


def prune(folder: Path, *, keep_last: int, keep_every: int | None) -> None:
    """Delete old checkpoints: all but the last ``keep_last`` and those at multiples of ``keep_every``."""
    known = steps(folder)
    kept = set(known[-max(keep_last, 1) :]) | {s for s in known if keep_every and s % keep_every == 0}
    for step in known:
        if step not in kept:
            _remove(folder / f"step-{step:08d}")
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _remove(path: Path) -> None:
    """Delete a checkpoint so that none ever stands there in part."""
    doomed = path.with_name(f".partial-{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def restore(snapshot: Snapshot, policy: Policy, optimizers: tuple[torch.optim.Optimizer, ...]) -> Policy | None:
    """Put weights, version and the optimiser's state back; returns the reference, where the snapshot has one."""
    facts = snapshot.facts
    policy.model.load_state_dict(dict(snapshot.tensors["policy"]))
    policy.version = facts["version"]
    load_optimizer(optimizers, snapshot.tensors["optimizer"], facts["optimizer"])
    if "reference" not in snapshot.tensors:
        return None
    reference = policy.frozen_copy()
    reference.model.load_state_dict(dict(snapshot.tensors["reference"]))
    return reference


def optimizer_tensors(
    optimizers: tuple[torch.optim.Optimizer, ...],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as flat tensors and plain numbers."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for i, optimizer in enumerate(optimizers):
        for index, slots in optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                if isinstance(value, Tensor):
                    tensors[f"{i}.{index}.{key}"] = value
                else:
                    plain[f"{i}.{index}.{key}"] = value
    return tensors, plain


def load_optimizer(
    optimizers: tuple[torch.optim.Optimizer, ...], tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> None:
    """Put the state of ``optimizer_tensors`` back."""
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for name, value in {**tensors, **plain}.items():
            owner, index, key = name.split(".", 2)
            if int(owner) == i:
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
