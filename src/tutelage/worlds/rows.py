"""Where a stream stands that writes its documents as they are read: the cursor's row is the number of those read."""

from tutelage.protocols import Cursor


def first_row(corpus: str) -> Cursor:
    """The cursor of a fresh run."""
    return Cursor(0, ((corpus, (0, 0, 0, 0)),))


def next_rows(cursor: Cursor, corpus: str, count: int) -> tuple[range, Cursor]:
    """Numbers of the next ``count`` documents, and the cursor after them.

    Example:
        >>> rows, behind = next_rows(first_row("facts"), "facts", 3)
        >>> rows, behind.taken
        (range(0, 3), 3)

    Raises:
        ValueError: the cursor is another stream's.
    """
    names = tuple(name for name, _ in cursor.positions)
    if names != (corpus,):
        raise ValueError(f"this cursor reads the corpora {names}, the stream the corpus {corpus!r}")
    row = cursor.positions[0][1][3]
    return range(row, row + count), Cursor(cursor.taken + count, ((corpus, (0, 0, 0, row + count)),))
