"""What an allocation that failed looks like, and what a container leaves of the machine's memory."""

import os
from pathlib import Path

import pytest
import torch

from tutelage import memory
from tutelage.memory import Limit, is_out_of_memory, limits, total_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError("Unable to allocate 1 GiB for an array"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)"),
    ],
)
def test_an_allocation_that_failed_is_known_by_type_or_words(error: Exception):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA error: device-side assert triggered"), ValueError("CUDA error: out of memory")],
)
def test_other_errors_are_not_taken_for_it(error: Exception):
    assert not is_out_of_memory(error)


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A root folder with one process and its control groups."""
    for name, text in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_limits_of_a_group_and_of_those_that_hold_it_count(tmp_path: Path):
    files = {
        "job/step/memory.max": "max\n",
        "job/step/memory.current": "5\n",
        "job/memory.max": "4000\n",
        "job/memory.current": "1000\n",
        "memory.max": "9000\n",
        "memory.current": "6000\n",
    }
    assert limits(machine(tmp_path, "0::/job/step\n", files)) == (Limit(4000.0, 1000.0), Limit(9000.0, 6000.0))


def test_a_container_sees_its_limit_at_the_root_whatever_the_hosts_path(tmp_path: Path):
    files = {"memory/memory.limit_in_bytes": "7000", "memory/memory.usage_in_bytes": "1000", "memory.max": "1"}
    cgroup = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/\n"
    assert limits(machine(tmp_path, cgroup, files)) == (Limit(7000.0, 1000.0),)


def test_without_a_limit_the_machine_is_the_limit(tmp_path: Path):
    files = {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "1000"}
    assert limits(machine(tmp_path, "4:memory:/\n", files)) == ()
    assert limits(tmp_path / "nowhere") == ()


def test_memory_in_all_is_the_lower_of_machine_and_container(monkeypatch: pytest.MonkeyPatch):
    cpu, there = torch.device("cpu"), float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for most, expected in ((4000.0, 4000.0), (2 * there, there)):
        for used in (0.0, 3000.0):  # what is used now must not change a plan
            monkeypatch.setattr(memory, "limits", lambda most=most, used=used: (Limit(most, used),))
            assert total_memory(cpu) == expected
