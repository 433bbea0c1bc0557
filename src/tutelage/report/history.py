"""What runs spent, and how they went, from their ``metrics.jsonl``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.trackers import read_metrics

History = list[dict[str, Any]]
"""The lines of a ``metrics.jsonl``."""

ROLES = ("policy", "rollout", "judge", "rewriter", "stream")
"""Whose seconds are told apart: the update, sampling, judging, rewriting, reading."""


def histories(directories: Sequence[Path]) -> list[History]:
    """The metrics of runs.

    Raises:
        ValueError: a run has none.
    """
    for directory in directories:
        if not (directory / "metrics.jsonl").is_file():
            raise ValueError(f"{directory} holds no metrics.jsonl: it is no directory of a run that was trained")
    return [read_metrics(directory / "metrics.jsonl") for directory in directories]


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens and seconds of one run, or the mean of several."""

    steps: float = 0.0
    trained_tokens: float = 0.0
    """Tokens that went through the update; a prefix counts once for all its continuations."""
    sampled_tokens: float = 0.0
    seconds: float = 0.0
    seconds_by_role: Mapping[str, float] = field(default_factory=dict[str, float])

    def plain(self) -> dict[str, Any]:
        """For a file; token counts are whole where they can be."""
        return {
            "steps": self.steps,
            "trained_tokens": self.trained_tokens,
            "sampled_tokens": self.sampled_tokens,
            "seconds": self.seconds,
            "seconds_by_role": dict(self.seconds_by_role),
        }


WAITED = "seconds/wait_for_judges"
"""Of a run with a queue: nobody's work, for the judges' own seconds are counted."""


def spending(runs: Sequence[History]) -> Spending:
    """The mean over runs (seeds) of what each spent."""
    roles: dict[str, float] = dict.fromkeys(ROLES, 0.0)
    trained = sampled = 0.0
    for row in (row for rows in runs for row in rows):
        trained += row.get("tokens/trained", 0.0)
        sampled += row.get("tokens/sampled", 0.0)
        for name, value in row.items():
            if name.startswith("seconds/") and name != WAITED:
                roles[_role(name.removeprefix("seconds/"))] += value
    count = max(len(runs), 1)
    mean = {role: seconds / count for role, seconds in roles.items()}
    steps = sum(row.get("step") != 0 for rows in runs for row in rows) / count  # step 0 is before the first update
    return Spending(steps, trained / count, sampled / count, sum(mean.values()), mean)


def _role(part: str) -> str:
    """``judge.facts`` → ``judge``; sources that only read count as stream."""
    match part.partition(".")[0]:
        case "train":
            return "policy"
        case "rollout":
            return "rollout"
        case "judge":
            return "judge"
        case "rewrite":
            return "rewriter"
        case _:
            return "stream"


def curves(runs: Sequence[History], names: Sequence[str], points: int = 50) -> dict[str, list[float | None]]:
    """Metrics over training: means over bins of equal trained tokens, and over runs.

    Returns:
        ``tokens``: the bins' middles in trained tokens; ``step``: likewise in updates; and of each metric that occurs
        its means, ``None`` where a bin holds none.
    """
    longest = max((len(rows) for rows in runs), default=0)
    points = max(1, min(points, longest))
    totals: dict[str, Any] = {name: np.zeros((2, points)) for name in names}
    for rows in runs:
        trained = np.array([row.get("tokens/trained", 0.0) for row in rows])
        share = (np.cumsum(trained) - trained / 2) / max(float(trained.sum()), 1.0)
        bins = np.minimum((share * points).astype(int), points - 1)
        for row, place in zip(rows, bins.tolist(), strict=True):
            for name in names:
                if isinstance(row.get(name), int | float):
                    totals[name][:, place] += (row[name], 1)
    mean = spending(runs)
    middles = (np.arange(points) + 0.5) / points
    found: dict[str, list[float | None]] = {
        "tokens": (middles * mean.trained_tokens).tolist(),
        "step": (middles * mean.steps).tolist(),
    }
    for name, (total, count) in totals.items():
        if count.any():
            found[name] = [t / n if n else None for t, n in zip(total.tolist(), count.tolist(), strict=True)]
    return found


def metric_names(runs: Sequence[History], start: str) -> tuple[str, ...]:
    """The metrics that begin like this and occur anywhere, sorted."""
    return tuple(sorted({name for rows in runs for row in rows for name in row if name.startswith(start)}))


def wins_by_source(runs: Sequence[History], points: int = 40) -> dict[str, list[float | None]]:
    """Share of pools won by each source over training, under the sources' names; empty for objectives without."""
    names = metric_names(runs, "chosen/")
    if not names:
        return {}
    return {name.removeprefix("chosen/"): values for name, values in curves(runs, names, points).items()}
