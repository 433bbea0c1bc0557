"""Where the parts of a table begin, found before they are dealt to many workers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.bulk.settings import Extent
from tutelage.bulk.work import Workbench, finished, is_over, read_task, room
from tutelage.protocols import Cursor
from tutelage.record import RecordError, from_json, to_json, write_atomically, writing
from tutelage.rewrites import Part

Span = tuple[Cursor, Cursor]
"""Where a part begins, and where the corpus goes on behind it."""


def survey(bench: Workbench, extent: Extent, done: Mapping[int, Part]) -> Iterator[Span]:
    """The parts in turn: as they are ``done``, and where they are not, as the corpus is cut between those that are.

    The corpus is read once for it; what was found is kept in ``survey.jsonl`` for the next time.
    """
    path = bench.table / "survey.jsonl"
    asked = {"documents": extent.documents, "corpus": bench.header.corpus, "part": bench.bulk.documents_per_part}
    known = _known(path, asked)
    lines = [json.dumps(asked), *(json.dumps(to_json(pair)) for pair in known.items())]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())  # without what was torn
    cursor, number = bench.stream.start(), 0
    with writing(path), path.open("a", encoding="utf-8") as file:
        while not is_over(cursor, bench.bulk, extent):
            part, most = finished(done, number, cursor), room(bench.bulk, done, number, cursor, extent)
            after = known.get(cursor) if part is None else part.after
            if after is None or (part is None and not _is_cut(bench, extent, (cursor, after), most)):
                after = read_task(bench, number, cursor, extent, most).after
                file.write(json.dumps(to_json((cursor, after))) + "\n")
                file.flush()
            yield cursor, after
            cursor, number = after, number + 1


def _is_cut(bench: Workbench, extent: Extent, span: Span, most: int) -> bool:
    """Whether a part of ``most`` documents ends where an earlier survey found it."""
    documents = span[1].taken - span[0].taken
    return documents == most or (documents < most and is_over(span[1], bench.bulk, extent))


def _known(path: Path, asked: dict[str, Any]) -> dict[Cursor, Cursor]:
    """What an earlier survey of the same found, by where it begins; up to its first torn line."""
    try:
        first, *lines = path.read_text("utf-8").split("\n")
        if json.loads(first) != asked:
            return {}
    except (OSError, ValueError):
        return {}
    found: dict[Cursor, Cursor] = {}
    for line in filter(None, lines):
        try:
            before, after = from_json(json.loads(line))
        except (ValueError, RecordError):
            break
        found[before] = after
    return found
