"""Whether a verifier can check every problem at all: tried with answers that are known to be right."""

from collections.abc import Sequence

from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemError, ProblemSet, Unusable
from tutelage.problems.reading import SHOWN
from tutelage.types import Scored
from tutelage.verifiers import Verifier


def unverifiable(problems: Sequence[Problem], right: Sequence[str], verifier: Verifier) -> tuple[Unusable, ...]:
    """The problems of which ``right``, an attempt known to be right, is not verified as such, with the reason."""
    verdicts = verifier.check(problems, right)
    return tuple(
        Unusable(problem.id, "its own answer is verified as wrong" if isinstance(verdict, Scored) else verdict.reason)
        for problem, verdict in zip(problems, verdicts, strict=True)
        if verdict != Scored(1.0)
    )


def verifiable(found: ProblemSet, verifier: Verifier, max_unusable: float) -> ProblemSet:
    """``found`` without the problems that cannot be verified, which its ``unusable`` then names.

    What is known to be right is a problem's solution, or, where it has none, its key in a box.

    Raises:
        ProblemError: more than a share of ``max_unusable`` cannot, or nothing is left.
    """
    right = [
        f"\\boxed{{{problem.key}}}" if solution is None else solution
        for problem, solution in zip(found.problems, found.solutions, strict=True)
    ]
    faults = unverifiable(found.problems, right, verifier)
    if len(faults) > max_unusable * len(found.problems) or len(faults) == len(found.problems):
        shown = "".join(f"\n  {fault}" for fault in faults[:SHOWN])
        raise ProblemError(f"{len(faults)} of {len(found.problems)} problems cannot be verified:{shown}")
    bad = {fault.where for fault in faults}
    kept = [i for i, problem in enumerate(found.problems) if problem.id not in bad]
    return ProblemSet(
        tuple(found.problems[i] for i in kept),
        tuple(found.solutions[i] for i in kept),
        (*found.unusable, *faults),
        found.notes,
    )
