"""Text from outside on its way to a terminal: corpora, models and judges must not steer it."""

import unicodedata

KEPT = frozenset("\n\t\u200c\u200d\u00ad")
"""Shown as they are: line breaks, tabs, and the joiners that some scripts need."""
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal obeys rather than shows: controls, direction marks, surrogates, separators."""


def visible(text: str) -> str:
    r"""``text`` with every character that a terminal would obey written out, as ``\x1b``; newlines and tabs stay.

    Example:
        >>> visible("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    return "".join(c if c in KEPT or unicodedata.category(c) not in HIDDEN else _spelt(c) for c in text)


def one_line(text: str, length: int = 80) -> str:
    """``visible`` on one line, cut to ``length`` characters."""
    line = " ".join(visible(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _spelt(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
