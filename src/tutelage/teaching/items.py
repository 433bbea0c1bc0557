"""Where labelled texts come from: pairs, passages and claims whose verdict is known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from tutelage.judge_check import Item, read_items


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
