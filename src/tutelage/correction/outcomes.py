"""What became of episodes, as arrays: all figures of self-correction are ratios of their sums."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.episode_metrics import RIGHT
from tutelage.episodes import EpisodeGroup, Turn
from tutelage.types import Scored

COLUMNS = ("episodes", "t1", "t2", "i_to_c", "c_to_i", "changed", "wrong")
"""Of a table of sums: how many episodes have both verdicts; right first and last; wrong then right; right then wrong;
another answer; wrong first."""
FIGURES: Mapping[str, tuple[Mapping[str, float], str]] = {
    "t1": ({"t1": 1.0}, "episodes"),
    "t2": ({"t2": 1.0}, "episodes"),
    "delta": ({"t2": 1.0, "t1": -1.0}, "episodes"),
    "i_to_c": ({"i_to_c": 1.0}, "episodes"),
    "c_to_i": ({"c_to_i": 1.0}, "episodes"),
    "change_rate": ({"changed": 1.0}, "episodes"),
    "mended": ({"i_to_c": 1.0}, "wrong"),
}
"""Figures as sums over sums: of episodes, and ``mended`` of the wrong first attempts."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """P problems, k episodes each, T attempts each; all arrays have shape ``(P, k, T)``."""

    ids: tuple[str, ...]
    """Of the problems."""
    right: NDArray[np.bool_]
    known: NDArray[np.bool_]
    """Whether the verifier reached a verdict; where it did not, ``right`` is false and nothing is counted."""
    answers: NDArray[np.int64]
    """Final answers, equal ones of a problem as equal numbers; −1 where there is none."""
    cut: NDArray[np.bool_]
    """Whether the attempt was cut off."""
    tokens: NDArray[np.int64]
    """Length of the attempt; 0 where a server wrote it and did not say."""

    @property
    def turns(self) -> int:
        """Attempts of an episode."""
        return self.right.shape[2]

    def sums(self, last: int = -1) -> NDArray[np.float64]:
        """``COLUMNS`` of every problem, shape ``(P, 7)``: the first attempt against the ``last``."""
        known = self.known[..., 0] & self.known[..., last]
        before, after = self.right[..., 0] & known, self.right[..., last] & known
        changed = (self.answers[..., 0] != self.answers[..., last]) & known
        parts = (known, before, after, ~before & after, before & ~after, changed, known & ~before)
        return np.stack([part.sum(axis=1) for part in parts], axis=1).astype(np.float64)

    def accuracies(self) -> NDArray[np.float64]:
        """Right and known attempts of every problem at each turn, shape ``(P, T, 2)``."""
        return np.stack([(self.right & self.known).sum(axis=1), self.known.sum(axis=1)], axis=2).astype(np.float64)

    def save(self, path: Path) -> None:
        """Write ``path``, whole or not at all."""
        part = path.with_suffix(".part.npz")
        arrays = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "ids"}
        np.savez_compressed(part, ids=np.array(self.ids), **arrays)
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        """What ``save`` wrote.

        Raises:
            ValueError: nothing is there, or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                arrays: dict[str, Any] = {item.name: found[item.name] for item in fields(cls)}
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path} holds no outcomes of episodes: {error}") from error
        ids: tuple[str, ...] = tuple(arrays.pop("ids").tolist())
        return cls(ids=ids, **arrays)


def figures_of(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every figure of sums of shape ``(..., 7)``, in points: 100 × a share; not a number where nothing was counted."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, (parts, whole) in FIGURES.items():
        weights = np.array([parts.get(column, 0.0) for column in COLUMNS])
        with np.errstate(divide="ignore", invalid="ignore"):
            found[name] = np.asarray(100.0 * (sums @ weights) / sums[..., COLUMNS.index(whole)])
    return found


def outcomes_of(groups: Sequence[EpisodeGroup]) -> Outcomes:
    """What became of episodes, those of each problem together, problems in the order in which they were first met.

    Raises:
        ValueError: problems have different numbers of episodes, or episodes of attempts.
    """
    met: dict[str, list[Sequence[Turn]]] = {}
    for group in groups:
        met.setdefault(group.problem.id, []).extend(episode.turns for episode in group.episodes)
    shapes = {(len(episodes), len(turns)) for episodes in met.values() for turns in episodes}
    if len(shapes) != 1:
        raise ValueError(f"every problem needs as many episodes, and every episode as many attempts: {sorted(shapes)}")
    turns = [[list(episode) for episode in episodes] for episodes in met.values()]
    values = [[[t.reward.value if isinstance(t.reward, Scored) else None for t in e] for e in p] for p in turns]
    return Outcomes(
        tuple(met),
        right=np.array([[[v is not None and v > RIGHT for v in e] for e in p] for p in values], np.bool_),
        known=np.array([[[v is not None for v in e] for e in p] for p in values], np.bool_),
        answers=numbered([[[t.answer for t in e] for e in p] for p in turns]),
        cut=np.array([[[t.finish == "length" for t in e] for e in p] for p in turns], np.bool_),
        tokens=np.array([[[len(t.completion) for t in e] for e in p] for p in turns], np.int64),
    )


def numbered(answers: Sequence[Sequence[Sequence[str | None]]]) -> NDArray[np.int64]:
    """Answers as numbers, by problem in the order in which they were first given; −1 for none."""
    found: list[list[list[int]]] = []
    for problem in answers:
        known: dict[str, int] = {}
        found.append([[-1 if a is None else known.setdefault(a, len(known)) for a in e] for e in problem])
    return np.array(found, np.int64)
