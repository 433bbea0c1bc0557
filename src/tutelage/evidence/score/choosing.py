"""Which trial of an arm is reported: a rule on the validation split, the same for every arm.

The highest mean of t2 over the seeds, at temperature 1, on the problems of ``validation``; of equals the first.
"""

from collections.abc import Callable, Mapping, Sequence

CHOSEN_BY = "t2"


def choose(trials: Mapping[str, Sequence[str]], validation: Callable[[str], float]) -> dict[str, str]:
    """The chosen trial of every arm; ``validation`` gives a trial's figure."""
    return {arm: max(names, key=validation) for arm, names in trials.items()}
