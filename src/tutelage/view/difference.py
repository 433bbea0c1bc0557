"""Where one text departs from another, word by word."""

import re
from difflib import SequenceMatcher
from typing import Literal

WORDS_LIMIT = 2_000
"""Most words of both texts together [I]: the time grows with their product."""
LENGTH_LIMIT = 40_000
"""Most characters of both."""

Part = tuple[Literal["same", "gone", "new"], str]
"""``gone`` stands in the first text only, ``new`` in the second only."""


class TooLong(ValueError):
    """Two texts that would take too long to compare."""


def difference(before: str, after: str) -> list[Part]:
    """The second text with what it lacks of the first; its ``same`` and ``new`` parts put together are the second.

    Words are compared without the spaces that follow them.

    Raises:
        TooLong: they have more than ``WORDS_LIMIT`` words or ``LENGTH_LIMIT`` characters.
    """
    if len(before) + len(after) > LENGTH_LIMIT:
        raise TooLong(f"the two texts are too long to compare: more than {LENGTH_LIMIT:,} characters")
    old, new = _words(before), _words(after)
    if len(old) + len(new) > WORDS_LIMIT:
        raise TooLong(f"the two texts are too long to compare: {len(old) + len(new):,} words, at most {WORDS_LIMIT:,}")
    matcher = SequenceMatcher(None, [word.rstrip() for word in old], [word.rstrip() for word in new], autojunk=False)
    parts: list[Part] = []
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            parts.append(("same", "".join(new[new_from:new_to])))
            continue
        if old_from < old_to:
            parts.append(("gone", "".join(old[old_from:old_to])))
        if new_from < new_to:
            parts.append(("new", "".join(new[new_from:new_to])))
    return parts


def _words(text: str) -> list[str]:
    """Words and single other characters, each with the spaces after it; put together they are the text."""
    return re.findall(r"\w+\s*|[^\w\s]\s*|\s+", text)
