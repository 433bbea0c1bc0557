"""Where labelled texts come from: pairs, passages and claims whose verdict is known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from tutelage.judge_check import TRAINING_SETS, Item, load_known, read_items
from tutelage.stream import data_root

EVERY = 10**9
"""Items: all that a set has."""


@runtime_checkable
class ItemSource(Protocol):
    """Labelled texts as they stand in a run."""

    def read(self) -> tuple[Item, ...]:
        """All of them.

        Raises:
            ValueError: a file is missing, or a line of it is no labelled text.
        """
        ...


@dataclass(frozen=True, slots=True)
class ItemFiles:
    """Labelled texts from JSON Lines files, in the form that ``tutelage judge-check`` reads and ``label`` writes."""

    files: tuple[str, ...]
    """Their paths; a file holds one axis."""

    def read(self) -> tuple[Item, ...]:
        """The items of all files."""
        return tuple(item for name in self.files for item in read_items(Path(name).expanduser()).items)


@dataclass(frozen=True, slots=True)
class KnownItems:
    """Public labelled texts to train on, from the folder of data; judges are examined with others."""

    sets: tuple[str, ...]
    """``hate_davidson``, ``toxigen_trained``, ``realtoxicityprompts_trained``."""
    data: str | None = None
    """The folder of data; by default the one that ``TUTELAGE_DATA`` names."""
    balanced: bool = True
    """As many of either label, the first of each in an order drawn by key."""

    def read(self) -> tuple[Item, ...]:
        """The items of all sets.

        Raises:
            ValueError: an unknown set, or one that is not in the folder of data.
        """
        folder = data_root() if self.data is None else Path(self.data).expanduser()
        items = [item for name in self.sets for item in load_known(name, folder, EVERY, 0, TRAINING_SETS).items]
        if not self.balanced:
            return tuple(items)
        by_label = [[item for item in items if item.label == label] for label in (0.0, 1.0)]
        return tuple(item for pair in zip(*by_label, strict=False) for item in pair)


def require_both_verdicts(items: Sequence[Item]) -> None:
    """Refuse what a judge could learn to answer without reading.

    Raises:
        ValueError: there are no items, or all of an axis have one label. Pairs are shown in both orders and pass.
    """
    if not items:
        raise ValueError("there are no labelled texts to learn from")
    for axis, count in Counter(item.axis for item in items).items():
        labels = {item.label for item in items if item.axis == axis}
        if axis != "quality" and len(labels) == 1:
            raise ValueError(
                f"all {count} texts on {axis} have the label {labels.pop():g}: a judge would learn to say that and "
                "nothing else; add texts of the other kind"
            )
