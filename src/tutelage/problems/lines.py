"""Problems of one's own, as JSON lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.problems.contract import ProblemSet
from tutelage.problems.reading import Found, gathered, rows, text_of


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Problems of a JSON Lines file: ``{"id": …, "question": …, "key": …}``, and ``solution`` where there is one.

    Other fields with a text or number become tags.
    """

    path: str
    max_unusable: float = 0.0
    """Share of rows that may lack something or stand there twice; beyond it nothing is read."""

    def __post_init__(self) -> None:
        require(self, "max_unusable", at_least=0, at_most=1)

    def read(self) -> ProblemSet:
        """All problems of the file.

        Raises:
            ProblemError: as the settings say.
        """
        return gathered(self._found(), self.max_unusable)

    def _found(self) -> Iterator[Found]:
        for where, row in rows(Path(self.path)):
            if isinstance(row, str):
                yield Found(where, row)
                continue
            others = sorted(set(row) - {"id", "question", "key", "solution"})
            tags = tuple((name, text_of(row, name)) for name in others if text_of(row, name))
            identity = text_of(row, "id") or where.removeprefix(f"{Path(self.path).parent}/")
            problem = Problem(identity, text_of(row, "question"), text_of(row, "key"), tags)
            yield Found(where, problem, text_of(row, "solution") or None)
