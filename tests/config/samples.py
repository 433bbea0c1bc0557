"""Settings trees to test with: two objectives, an open choice, phases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

MODULE = "tests.config.samples"


@runtime_checkable
class Teacher(Protocol):
    def teach(self, texts: Sequence[str]) -> list[float]: ...


@runtime_checkable
class TeacherSpec(Protocol):
    def build(self, seed: int) -> Teacher: ...


@dataclass(frozen=True, slots=True)
class LengthTeacher:
    scale: float = 1.0

    def teach(self, texts: Sequence[str]) -> list[float]:
        return [self.scale * len(text) for text in texts]


@dataclass(frozen=True, slots=True)
class LengthSpec:
    """A teacher that likes length."""

    scale: float = 1.0
    """Points a character."""

    def build(self, seed: int) -> LengthTeacher:
        return LengthTeacher(self.scale)


@dataclass(frozen=True, slots=True)
class PathSpec:
    path: Path

    def build(self, seed: int) -> LengthTeacher:
        return LengthTeacher()


@dataclass(frozen=True, slots=True)
class NumberSpec:
    """Has a ``build``, but not of a teacher."""

    def build(self, seed: int) -> int:
        return seed


@dataclass(slots=True)
class MutableSpec:
    def build(self, seed: int) -> LengthTeacher:
        return LengthTeacher()


def built(seed: int) -> LengthTeacher:
    raise AssertionError("a file must never call a function")


@dataclass(frozen=True, slots=True)
class Preference:
    """Best against worst."""

    beta: float = 0.1
    """How hard the reference holds; 0.1 in the paper."""
    anchor: float | None = None
    """Weight of the plain loss."""


@dataclass(frozen=True, slots=True)
class Gradient:
    clip: float = 0.2
    norm: Literal["group", "none"] = "group"
    members: int = 16


Objective = Preference | Gradient


@dataclass(frozen=True, slots=True)
class Corpus:
    path: Path
    weight: float = 1.0
    columns: tuple[str, ...] = ("text",)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"a weight is above 0, not {self.weight}")


@dataclass(frozen=True, slots=True)
class Phase:
    until: int
    """Last step."""
    objective: Objective = Preference()
    teachers: tuple[TeacherSpec, ...] = (LengthSpec(),)
    rate: float = 5e-6


@dataclass(frozen=True, slots=True)
class Optimiser:
    betas: tuple[float, float] = (0.9, 0.95)
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """A whole run in small."""

    name: str
    corpus: Corpus
    phases: tuple[Phase, ...]
    optimiser: Optimiser = Optimiser()
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    final: Objective | None = None
    checks: tuple[Preference, ...] = ()
    seed: int = 0


def course() -> Course:
    return Course(
        "small",
        Corpus(Path("data/text"), limit=3),
        (Phase(10), Phase(20, Gradient(clip=0.1), teachers=(LengthSpec(2.5), PathSpec(Path("x"))))),
        limits={"nll": 3.5},
    )
