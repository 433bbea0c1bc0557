"""Hostile programs: none passes, none leaves a trace, and what comes after them is checked as if they had not been."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.verifiers.attacks import ATTACKS, SQUARE_TESTS, WRONG, Attack

from tutelage.episodes import Problem
from tutelage.types import Scored
from tutelage.verifiers import Code, CodeKey, CodeVerifier, Limits
from tutelage.verifiers.sandbox import Sandbox

SQUARE = Problem("square", "", CodeKey(SQUARE_TESTS, ("square",)).text)
RIGHT = "def square(x):\n    return x * x\n"


@dataclass
class Outside:
    """What attacks are after."""

    folder: Path
    secret: str
    listener: socket.socket
    hidden: socket.socket
    on_disk: socket.socket

    def aimed(self, attack: Attack) -> str:
        names = {
            "@CANARY@": str(self.folder),
            "@SECRET@": str(self.folder / "secret.txt"),
            "@PORT@": str(self.listener.getsockname()[1]),
            "@PID@": str(os.getpid()),
            "@HIDDEN@": self.secret[:8],
        }
        text = attack.program
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    def problem(self, attack: Attack) -> Problem:
        if not attack.steals:
            return SQUARE
        known = (self.secret, socket.gethostname())
        return Problem("secret", "", CodeKey(f"assert square(3) in {known!r}", ("square",)).text)

    @property
    def untouched(self) -> bool:
        for asked in (self.listener, self.hidden, self.on_disk):
            try:
                asked.accept()
            except BlockingIOError:
                continue
            return False
        names = sorted(path.name for path in self.folder.iterdir())
        return names == ["secret.txt", "socket"] and (self.folder / "secret.txt").read_text() == self.secret


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder, secret = tmp_path_factory.mktemp("outside"), secrets.token_hex(16)
    (folder / "secret.txt").write_text(secret)
    os.environ["TUTELAGE_SECRET"] = secret
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as hidden, socket.socket(socket.AF_UNIX) as disk:
        listener.bind(("127.0.0.1", 0))
        hidden.bind(f"\0{secret[:8]}")
        disk.bind(str(folder / "socket"))
        for asked in (listener, hidden, disk):
            asked.listen()
            asked.setblocking(False)
        yield Outside(folder, secret, listener, hidden, disk)
    del os.environ["TUTELAGE_SECRET"]


@pytest.fixture(scope="module")
def verifier(outside: Outside) -> Iterator[CodeVerifier]:
    with Code(Limits(cpu_s=1, wall_s=4.0, memory_mib=200, scratch_mib=1), workers=4).build() as verifier:
        yield verifier


def run_all(verifier: CodeVerifier, outside: Outside, attacks: list[Attack]) -> list[str]:
    """The names of attacks that were not simply wrong, with what they got."""
    programs = [outside.aimed(attack) for attack in attacks]
    outcomes = verifier.outcomes([outside.problem(attack) for attack in attacks], programs)
    return [
        f"{attack.name}: {outcome.verdict}"
        for attack, outcome in zip(attacks, outcomes, strict=True)
        if outcome.verdict != Scored(0.0) or not outcome.why
    ]


def processes_of(verifier: CodeVerifier) -> list[str]:
    """Command lines of what still runs in the verifier's sandboxes."""
    found: list[str] = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if verifier._sandbox._folder.name in text:
            found.append(text)
    return found


def test_there_are_at_least_fifty_attacks_and_each_has_its_name():
    assert len(ATTACKS) >= 50
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_no_quick_attack_passes_and_none_leaves_a_trace(verifier: CodeVerifier, outside: Outside):
    attacks = [attack for attack in ATTACKS if not attack.slow]
    assert run_all(verifier, outside, attacks) == []
    assert outside.untouched
    assert verifier._crew.replaced == 0
    assert verifier.check([SQUARE, SQUARE], [RIGHT, WRONG]) == [Scored(1.0), Scored(0.0)]


def test_one_that_never_ends_is_ended(verifier: CodeVerifier, outside: Outside):
    attacks = [attack for attack in ATTACKS if attack.name in ("loops in C", "stops itself", "floods its output")]
    assert len(attacks) == 3
    assert run_all(verifier, outside, attacks) == []
    assert verifier.check([SQUARE], [RIGHT]) == [Scored(1.0)]


@pytest.mark.slow
def test_no_attack_on_the_limits_passes_and_none_leaves_a_trace(verifier: CodeVerifier, outside: Outside):
    attacks = [attack for attack in ATTACKS if attack.slow]
    assert run_all(verifier, outside, attacks) == []
    assert outside.untouched
    assert verifier.check([SQUARE, SQUARE], [RIGHT, WRONG]) == [Scored(1.0), Scored(0.0)]


def test_nothing_of_an_attack_outlives_the_verifier(outside: Outside):
    attacks = [attack for attack in ATTACKS if attack.name in ("starts a process", "starts a daemon", "stops itself")]
    with Code(Limits(cpu_s=1, wall_s=1.0, memory_mib=200), workers=2).build() as verifier:
        assert run_all(verifier, outside, attacks) == []
        assert processes_of(verifier)
    until = time.monotonic() + 10  # a killed process is listed until the kernel has taken it apart
    while processes_of(verifier) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_of(verifier) == []
    assert not Path(verifier._sandbox._folder.name).exists()


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.fools], ids=lambda attack: attack.name)
def test_the_forgeries_fool_a_checker_that_shares_the_interpreter(attack: Attack, tmp_path: Path):
    """Such a checker, so that the table is known to be of real attacks: program, tests, and the exit code counts."""
    sandbox = Sandbox(Limits())
    try:
        program = f"{attack.program}\n{SQUARE_TESTS}\n"
        found = subprocess.run(
            [*sandbox._walls, "--", sandbox._python, "-S", "-s", "-B", "-c", program],
            env=sandbox._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    finally:
        sandbox.close()
    assert found.returncode == 0, found.stderr.decode()


def test_a_program_is_not_told_what_another_one_left_behind(code: CodeVerifier):
    leave = "open('/tmp/left', 'w').write('9')\nimport os\nos.environ['LEFT'] = '9'\ndef square(x): return -1\n"
    find = "import os\ndef square(x): return x * x if os.path.exists('/tmp/left') or 'LEFT' in os.environ else -1\n"
    assert code.check([SQUARE] * 4, [leave, find, leave + "#", find + "#"]) == [Scored(0.0)] * 4


def test_a_program_lives_in_namespaces_of_its_own(code: CodeVerifier):
    assert code.check([SQUARE], [RIGHT]) == [Scored(1.0)]
    process, _ = code._programs._spare[0]
    pid = process.pid
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    assert pid != process.pid
    for kind in ("user", "net", "pid", "ipc", "uts", "mnt"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_python_itself_is_the_interpreter_of_a_sandbox(code: CodeVerifier):
    tests = f"assert version() == {list(sys.version_info[:3])}"
    program = "import sys\ndef version(): return list(sys.version_info[:3])"
    assert code.check([Problem("version", "", tests)], [program]) == [Scored(1.0)]
