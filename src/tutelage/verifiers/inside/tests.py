"""Runs tests against a program in another sandbox, which it calls over a link, one check after the other."""

import builtins
import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from tutelage.verifiers.inside.limits import restrict
from tutelage.verifiers.inside.values import Link, LinkError, NotPlain, decode, encode

NOT_RAISED = ("StopIteration", "StopAsyncIteration", "GeneratorExit")
"""Exceptions that would end a loop of the tests as if it were through."""
WORDS = 300


class ProgramRaised(Exception):
    """The program raised something that is no builtin exception."""


class NeverStarted(Exception):
    """The program's sandbox ended or stayed silent before there was anything of the program in it."""


class Remote:
    """Something of the program's that is not plain: a function, a class, an object. It equals itself only."""

    __slots__ = ("_number", "_program")

    def __init__(self, program: "Program", number: int) -> None:
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "_number", number)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """Call it there, with plain values and such stand-ins."""
        program: Program = self._program
        return program.ask("call", self._number, program.encode(list(positional)), program.encode(named))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._program.ask("get", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._program.ask("set", self._number, name, self._program.encode(value))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._program.ask("items", self._number))


class Program:
    """The program as its tests see it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._remotes: dict[int, Remote] = {}
        self._numbers: dict[Remote, int] = {}
        self.calls = 0
        self.failure: str | None = None
        """Why the program can no longer be asked; whatever the tests make of that, they have failed."""

    def encode(self, value: Any) -> Any:
        """A value of the tests as it is sent."""
        return encode(value, self._number)

    def _number(self, value: object) -> int:
        if isinstance(value, Remote) and value in self._numbers:
            return self._numbers[value]
        raise NotPlain(f"the tests pass a {type(value).__name__}, which cannot be sent to a program")

    def _remote(self, number: int) -> Remote:
        if number not in self._remotes:
            self._remotes[number] = Remote(self, number)
            self._numbers[self._remotes[number]] = number
        return self._remotes[number]

    def ask(self, *request: Any) -> Any:
        """Have the program do something.

        Raises:
            LinkError: it can no longer be asked.
            Exception: what the program raised.
        """
        if self.failure is not None:
            raise LinkError(self.failure)
        self.calls += request[0] == "call"
        try:
            self._link.send(request)
            kind, *content = self._link.receive()
            if kind == "value" and len(content) == 1:
                return decode(content[0], self._remote)
            if kind != "raised" or len(content) != 2:
                raise LinkError("sent what is no answer")
        except (LinkError, RecursionError, MemoryError) as error:
            self.failure = f"the program {error}"
            raise LinkError(self.failure) from error
        name, text = (str(part)[:WORDS] for part in content)
        raise raised(name, text)

    def start(self, texts: list[str]) -> None:
        """Wait for the sandbox and run the program in it.

        Raises:
            NeverStarted: the sandbox is not there.
            LinkError, Exception: the program ended or raised while it was run.
        """
        try:
            ready = self._link.receive() == ["ready"]
        except LinkError as error:
            raise NeverStarted(str(error)) from error
        if not ready:
            raise NeverStarted("no greeting")
        self.ask("run", texts)


def raised(name: str, text: str) -> Exception:
    """The builtin exception of this name, or one that says it."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and name not in NOT_RAISED:
        try:
            return kind(text)
        except TypeError:  # it wants other arguments
            pass
    return ProgramRaised(f"{name}: {text}")


def run_tests(job: dict[str, Any], program: Program) -> None:
    """Run the tests; they passed if nothing is raised.

    Raises:
        BaseException: whatever the tests raise.
    """
    random.seed(0)  # tests that draw their cases draw the same ones
    names: dict[str, Any] = {"__name__": "tests"}
    exec(compile(job["helpers"], "<helpers>", "exec", dont_inherit=True), names)
    for name in job["names"]:
        try:
            names[name] = program.ask("name", name)
        except KeyError:
            names.pop(name, None)
    exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), names)


def check(job: dict[str, Any], channel: int) -> dict[str, Any]:
    """One check: whether the program passes its tests, or why that cannot be said."""
    program = Program(Link(channel, time.monotonic() + job["wall_s"]))
    try:
        program.start([job["preamble"], job["program"]])
        run_tests(job, program)
    except NeverStarted as error:
        return {"lost": f"its sandbox {error}"}
    except NotPlain as error:
        return {"abstained": str(error)}
    except BaseException as error:
        return {"right": False, "why": program.failure or described(error)}
    if program.failure is not None:  # the tests took it for an exception that they expected
        return {"right": False, "why": program.failure}
    if not program.calls:
        return {"abstained": "the tests never called the program"}
    return {"right": True, "why": ""}


def described(error: BaseException) -> str:
    """What was raised, in a line."""
    try:
        text = str(error)
    except Exception:  # a number too long to be written
        text = ""
    return f"{type(error).__name__}: {text}"[:WORDS] if text else type(error).__name__


def receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The next job and the channel to its program; ``None`` when there is no other."""
    text, channels = b"", list[int]()
    while not text.endswith(b"\n"):
        part, found, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not part:
            return None
        text, channels = text + part, channels + found
    return json.loads(text), channels[0]


def main() -> None:
    """Check until the control is closed."""
    restrict(json.loads(sys.argv[1]))
    control = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    control.sendall(b'{"ready": true}\n')
    while (job := receive(control)) is not None:
        outcome = check(*job)
        os.close(job[1])
        control.sendall(json.dumps(outcome).encode() + b"\n")


if __name__ == "__main__":
    main()
