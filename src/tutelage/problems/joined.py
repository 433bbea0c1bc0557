"""Several sources of problems as one."""

from dataclasses import dataclass

from tutelage.problems.contract import ProblemSet, ProblemSource


@dataclass(frozen=True, slots=True)
class Joined:
    """The problems of several sources, one after the other; they are met in keyed order all the same."""

    sources: tuple[ProblemSource, ...]

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources: name at least one source of problems")

    def read(self) -> ProblemSet:
        """All of them.

        Raises:
            ProblemError: as the sources do.
        """
        sets = [source.read() for source in self.sources]
        return ProblemSet(
            tuple(problem for one in sets for problem in one.problems),
            tuple(solution for one in sets for solution in one.solutions),
            tuple(row for one in sets for row in one.unusable),
            tuple(note for one in sets for note in one.notes),
        )
