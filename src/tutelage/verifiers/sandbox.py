"""A sandbox that the kernel enforces: bubblewrap, a filter of system calls, and hard limits.

Nothing of the machine is in it but a read-only Python and its libraries: no network, no other process, no environment,
no files, and a small scratch folder in memory that goes with it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tutelage.maths.ranges import require
from tutelage.verifiers.seccomp import compile_filter

INSIDE = Path(__file__).resolve().parent / "inside"
BOX = "/box"
"""Where the files of ``inside`` stand in a sandbox."""
NOBODY = "65534"
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/lib32")
MIB = 1 << 20


class NoSandbox(RuntimeError):
    """This machine cannot make a sandbox that holds; what is missing is said."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may take; beyond it is wrong."""

    cpu_s: int = 10
    """Seconds of processor time, starting Python included; the slowest of MBPP's own solutions takes some three."""
    wall_s: float = 30.0
    """Seconds in all, waiting included; far more than ``cpu_s``, or a busy machine makes right programs wrong."""
    memory_mib: int = 512
    """Address space of the program's only process."""
    scratch_mib: int = 4
    """Of files in its scratch folder."""

    def __post_init__(self) -> None:
        require(self, "cpu_s", "scratch_mib", at_least=1)
        require(self, "memory_mib", at_least=64)
        require(self, "wall_s", at_least=self.cpu_s)

    def of_program(self) -> Mapping[str, int]:
        """As hard limits of the kernel; no process besides, no dump of memory, no locked memory."""
        return {
            "AS": self.memory_mib * MIB,
            "CPU": self.cpu_s,
            "FSIZE": self.scratch_mib * MIB,
            "NOFILE": 64,
            "NPROC": 1,
            "CORE": 0,
            "MEMLOCK": 0,
        }

    def of_tests(self) -> Mapping[str, int]:
        """The same for tests, whose process checks one program after the other."""
        return {"AS": 4 * self.memory_mib * MIB, "FSIZE": MIB, "NOFILE": 64, "NPROC": 1, "CORE": 0, "MEMLOCK": 0}


class Sandbox:
    """Starts Python files of ``inside`` in sandboxes of their own."""

    def __init__(self, limits: Limits, readable: Sequence[str] = ()) -> None:
        """Look for what is needed.

        Raises:
            NoSandbox: bubblewrap is missing.
            SeccompMissing: libseccomp is.
        """
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise NoSandbox("bubblewrap is missing (Debian, Ubuntu: apt-get install bubblewrap)")
        syscalls = compile_filter()
        self._folder = tempfile.TemporaryDirectory(prefix="tutelage-sandbox-")
        self._filter = Path(self._folder.name) / "filter"
        self._filter.write_bytes(syscalls)
        empty = Path(self._folder.name) / "empty"
        empty.mkdir()
        self._python = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
        self._walls = [
            *(bwrap, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox", "--cap-drop", "ALL"),
            *("--die-with-parent", "--new-session"),
            *runtime(self._python, empty),
            *(word for path in readable for word in ("--ro-bind", path, path)),
            *("--ro-bind", str(INSIDE), f"{BOX}/tutelage/verifiers/inside"),
            *("--size", str(limits.scratch_mib * MIB), "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"),
        ]
        self._environment = {
            "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}",
            "PYTHONPATH": BOX,
            "PYTHONHASHSEED": "0",  # sets of texts in the same order each time
            "LANG": "C.UTF-8",
            "PATH": "/nowhere",
            "HOME": "/tmp",
        }

    def start(
        self, script: str, limits: Mapping[str, int], channel: socket.socket, complaints: int | IO[bytes]
    ) -> "subprocess.Popen[bytes]":
        """Run ``script`` of ``inside`` in a fresh sandbox with ``channel`` as its only way out."""
        file = f"{BOX}/tutelage/verifiers/inside/{script}.py"
        with self._filter.open("rb") as syscalls:
            command = [*self._walls, "--seccomp", str(syscalls.fileno()), "--", self._python, "-S", "-s", "-B"]
            return subprocess.Popen(
                [*command, file, json.dumps(dict(limits))],
                stdin=channel.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env=self._environment,
                cwd="/",
                pass_fds=(syscalls.fileno(),),
            )

    def close(self) -> None:
        """Remove what sandboxes were made from."""
        self._folder.cleanup()


def runtime(python: str, empty: Path) -> Iterator[str]:
    """Words for bubblewrap: the interpreter, its library and what they load, read-only; installed packages masked."""
    for path in LIBRARIES:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    own = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    folders = sorted({os.path.realpath(path) for path in own if path and os.path.isdir(path)}, key=len)
    shown: list[str] = [path for path in LIBRARIES if os.path.isdir(path) and not os.path.islink(path)]
    for path in (*folders, python):
        if not any(path.startswith(f"{known}/") or path == known for known in shown):
            yield from ("--ro-bind", path, path)
            shown.append(path)
    for folder in shown:
        for packages in sorted({*Path(folder).glob("python3*/site-packages"), *Path(folder).glob("site-packages")}):
            yield from ("--ro-bind", str(empty), str(packages))
    for packages in (Path("/usr/lib/python3/dist-packages"),):
        if packages.is_dir():
            yield from ("--ro-bind", str(empty), str(packages))
