"""Where a reader stands that counts its documents: the cursor holds the epoch and the number read in it."""

from tutelage import rng
from tutelage.protocols import Cursor
from tutelage.stream.order import permutation


def first_place(corpus: str) -> Cursor:
    """The cursor of a fresh run."""
    return Cursor(0, ((corpus, (0, 0, 0, 0)),))


def next_places(
    cursor: Cursor, corpus: str, count: int, size: int | None = None
) -> tuple[list[tuple[int, int]], Cursor]:
    """Epoch and row of the next ``count`` documents, and the cursor after them.

    After ``size`` rows the next epoch begins; ``None`` never begins another.

    Example:
        >>> places, behind = next_places(first_place("facts"), "facts", 3, size=2)
        >>> places, behind.taken
        ([(0, 0), (0, 1), (1, 0)], 3)

    Raises:
        ValueError: the cursor is another stream's.
    """
    names = tuple(name for name, _ in cursor.positions)
    if names != (corpus,):
        raise ValueError(f"this cursor reads the corpora {names}, the stream the corpus {corpus!r}")
    epoch, _, _, row = cursor.positions[0][1]
    places: list[tuple[int, int]] = []
    for _ in range(count):
        if row == size:
            epoch, row = epoch + 1, 0
        places.append((epoch, row))
        row += 1
    return places, Cursor(cursor.taken + count, ((corpus, (epoch, 0, 0, row)),))


def next_in_order(
    cursor: Cursor, corpus: str, count: int, size: int, *key: rng.Key
) -> tuple[list[tuple[int, int]], Cursor]:
    """The same in the order that ``key`` and the epoch decide: epoch and number of each document.

    Raises:
        ValueError: the cursor is another stream's.
    """
    places, behind = next_places(cursor, corpus, count, size)
    orders = {epoch: permutation(size, *key, epoch) for epoch in {epoch for epoch, _ in places}}
    return [(epoch, int(orders[epoch][row])) for epoch, row in places], behind
