"""What problems come from."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tutelage.episodes import Problem


class ProblemError(ValueError):
    """Problems that cannot be used; file, line and fault are named."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that is no problem one could learn from."""

    where: str
    """File and line."""
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """Problems in the order of their files, and what is to be said of them."""

    problems: tuple[Problem, ...]
    solutions: tuple[str | None, ...]
    """The data's own solution of each problem, for baselines that imitate; ``None`` where it has none."""
    unusable: tuple[Unusable, ...] = ()
    """Rows that were left out."""
    notes: tuple[str, ...] = ()
    """Where the data is not what its protocol asks for."""

    def __post_init__(self) -> None:
        if len(self.problems) != len(self.solutions):
            raise ValueError(f"{len(self.problems)} problems with {len(self.solutions)} solutions")


@runtime_checkable
class ProblemSource(Protocol):
    """Problems as they stand in a run."""

    def read(self) -> ProblemSet:
        """All of them.

        Raises:
            ProblemError: a file is missing or more of it is unusable than the settings allow.
        """
        ...
