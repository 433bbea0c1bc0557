"""Classes and recipes that commands find by ``--import tests.commands.parts``."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.tiny import LLAMA, plain_run, tiny_phase, tiny_run

from tutelage.objectives import NTP
from tutelage.run import Run
from tutelage.study import Job, Study, Train
from tutelage.weights import FromConfig

NAME = "tests.commands.parts"


@dataclass(frozen=True, slots=True)
class SignalAt:
    """A tracker that sends this process a signal after a step: a kill without a race."""

    step: int
    number: int = signal.SIGTERM

    def build(self, directory: Path, name: str) -> "SignalAt":
        return self

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Write:
    """Work that is not training."""

    text: str
    where: str = "note.txt"

    def execute(self, directory: Path, study: Path) -> bool:
        (directory / self.where).write_text(self.text)
        return True


def small(
    tokenizer: str = "tok", *, preset: Literal["tiny", "smaller"] = "tiny", seeds: tuple[int, ...] = (0, 1)
) -> Run:
    """A run so small that it hardly is one.

    Nothing else is to be said.
    """
    steps = 3 if preset == "tiny" else 2
    return tiny_run(Path(tokenizer), tiny_phase(steps=steps), name=f"small-{preset}", seed=sum(seeds))


def several(tokenizer: str = "tok") -> Study:
    """Two runs, one of another kind, and a note."""
    plain = plain_run(Path(tokenizer), 3, name="plain", model=FromConfig("llama", LLAMA))
    taught = tiny_run(Path(tokenizer), tiny_phase(steps=3), name="taught")
    jobs = (
        Job("plain", Train(plain)),
        Job("taught", Train(taught), ("plain",)),
        Job("note", Write("done"), ("taught",)),
    )
    return Study(name="several", jobs=jobs)


def broken() -> int:
    """No recipe at all."""
    return NTP().needs_reference + 3
