"""Which trial of an arm is reported: a rule on the validation split, the same for every arm.

The highest mean of t2 over the first ``TUNED`` seeds, at temperature 1, on the problems of ``validation``; of equals
the first. The seeds that come after have that trial alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.evidence.score.figures import ScoreFigures
from tutelage.record import write_atomically
from tutelage.study import Work

CHOSEN_BY = "t2"
FILE = "chosen.json"


def choose(trials: Mapping[str, Sequence[str]], validation: Callable[[str], float]) -> dict[str, str]:
    """The chosen trial of every arm; ``validation`` gives a trial's figure."""
    return {arm: max(names, key=validation) for arm, names in trials.items()}


def validated(figures: ScoreFigures, name: str) -> float:
    """What a trial is chosen by; 0 where it was not examined so."""
    measure = f"{CHOSEN_BY}_validation"
    return float(figures.mean(name, measure)[0]) if figures.has(name, measure) else 0.0


@dataclass(frozen=True, slots=True)
class ChooseTrial:
    """Choose the trial of an arm; writes ``chosen.json``."""

    trials: tuple[str, ...]
    seeds: tuple[int, ...]
    """Of the trials that are compared."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Compare and write."""
        figures = ScoreFigures(study, self.seeds)
        found = {name: validated(figures, name) for name in self.trials}
        chosen = choose({"": self.trials}, found.__getitem__)[""]
        write_atomically(directory / FILE, json.dumps({"chosen": chosen, "validation": found}).encode())
        return True


@dataclass(frozen=True, slots=True)
class TrainChosen:
    """Train and examine the trial that was chosen; nothing where this seed has that trial as it is."""

    chosen: str
    """File of a ``ChooseTrial``."""
    works: Mapping[str, Work]
    """What a trial is, of those that this seed has not."""

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on."""
        name = json.loads(Path(self.chosen).read_text("utf-8"))["chosen"]
        return name not in self.works or self.works[name].execute(directory, study)
