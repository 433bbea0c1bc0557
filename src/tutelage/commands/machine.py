"""What ``tutelage doctor`` finds out about the machine and the installation."""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tutelage.memory import limits

Verdict = Literal["ok", "warning", "problem", "note"]
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table."""

    subject: str
    verdict: Verdict
    told: str


def machine(directory: Path) -> list[Finding]:
    """Versions against the ranges that the package asks for, and what the machine has."""
    return [*_versions(), *_hardware(), _disk(directory)]


def _versions() -> list[Finding]:
    try:
        asked = metadata.metadata("tutelage")
        wanted = [Requirement(line) for line in metadata.requires("tutelage") or []]
    except metadata.PackageNotFoundError:
        return [
            Finding("installation", "warning", "tutelage is not installed, so versions cannot be compared; run pip")
        ]
    found = [_python(asked["Requires-Python"] or "")]
    found += [_version(need) for need in wanted if need.marker is None]
    wrong = [finding for finding in found if finding.verdict != "ok"]
    named = [finding for finding in found if finding.subject in ("python", "torch", "transformers")]
    others = len(found) - len(named)
    return [*dict.fromkeys([*named, *wrong]), Finding("other libraries", "ok", f"{others} looked at")]


def _python(wanted: str) -> Finding:
    version = platform.python_version()
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    return Finding("python", "ok" if fits else "problem", f"{version} ({wanted})")


def _version(need: Requirement) -> Finding:
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Finding(need.name, "problem", f"missing; pip install '{need}'")
    fits = need.specifier.contains(version, prereleases=True)
    remedy = "" if fits else f"; pip install '{need}'"
    return Finding(need.name, "ok" if fits else "problem", f"{version} ({need.specifier}){remedy}")


def _hardware() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Finding("processor", "ok", f"{cores} cores, {torch.get_num_threads()} threads for torch")]
    memory = available_memory()
    if memory is not None:
        low = memory < 2 * GIGABYTE
        told = f"{memory / GIGABYTE:.1f} GB available"
        found.append(Finding("memory", "warning" if low else "ok", told))
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        told = f"{torch.cuda.get_device_name(index)}, {free / GIGABYTE:.0f} of {total / GIGABYTE:.0f} GB free"
        found.append(Finding(f"GPU {index}", "ok", told))
    if not torch.cuda.is_available():
        found.append(Finding("GPU", "note", "none that torch can use; the processor does the work"))
    return found


def available_memory() -> float | None:
    """Bytes of main memory that a new process may take; ``None`` where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    there = [float(found[1]) * 1024] if found else []
    there += [limit.most - limit.used for limit in limits()]
    return min(there) if there else None


def _disk(directory: Path) -> Finding:
    place = next(folder for folder in (directory, *directory.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Finding("disk", "warning" if free < 5 * GIGABYTE else "ok", f"{free / GIGABYTE:.0f} GB free in {place}")
