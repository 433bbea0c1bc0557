"""What a verifier is: it holds the answer key. A judge, in contrast, reads text without one."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from tutelage.episodes import Problem
from tutelage.types import Verdict


@runtime_checkable
class Verifier(Protocol):
    """Checks attempts against answer keys, a batch at a time; processes and sandboxes hide inside."""

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 for a right attempt and 0 for a wrong one, in order, between them for one that is right in part.

        A check that crashed or hung is an abstention.
        """
        ...

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The final answer of each attempt in a form by which equal answers are equal texts; ``None`` without one.

        Votes are counted by it, and it says whether a second attempt changed the first one's answer.
        """
        ...


@runtime_checkable
class VerifierSpec(Protocol):
    """A verifier as it stands in a run."""

    def build(self) -> AbstractContextManager[Verifier]:
        """The working verifier, whose processes end with the context.

        Raises:
            RuntimeError: this machine lacks what the verifier needs, named with the remedy.
        """
        ...
