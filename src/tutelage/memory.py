"""How much memory there is, and when it does not suffice."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

SAID = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)
"""Words of errors that torch raises where an allocation fails and it has no exception of its own."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on an accelerator or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a control group may take of main memory, in bytes."""

    most: float
    used: float


def limits(root: Path = Path("/")) -> tuple[Limit, ...]:
    """What containers and job schedulers allow this process: its control groups' limits, of either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ()
    return tuple(limit for line in lines for limit in _limits(root / "sys/fs/cgroup", line))


def _limits(mount: Path, line: str) -> Iterator[Limit]:
    """Of a group and those that hold it; in a container the path may be the host's, of which only the root is here."""
    _, controllers, path = line.split(":", 2)
    if controllers == "":
        most, used = "memory.max", "memory.current"
    elif "memory" in controllers.split(","):
        mount, most, used = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
    else:
        return
    group = PurePosixPath(path)
    for place in (group, *group.parents):
        folder = mount / place.relative_to("/")
        try:
            limit = Limit(*(float((folder / name).read_text(encoding="utf-8")) for name in (most, used)))
        except (OSError, ValueError):  # no such group here, or no limit: "max"
            continue
        if limit.most < 2**62:  # version 1 writes the largest number of pages where there is no limit
            yield limit


def total_memory(device: torch.device) -> float:
    """Bytes that this process may ever hold on a device: a constant of the machine, not what happens to be free."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    there = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min([there, *(limit.most for limit in limits())])
