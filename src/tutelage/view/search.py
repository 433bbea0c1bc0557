"""Candidates by source, role, score and text, a page at a time and each page within a bounded time.

What row groups' statistics exclude is not read, and of the others only the columns that are asked about and shown.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tutelage.samples import POOL_KEY, TornSamples
from tutelage.view.pools import key_of, short
from tutelage.view.shelf import BATCH, Contents, Gone, Piece, pieces, verdicts_of

SECONDS = 0.7
"""A page ends after this time, full or not [I]; the next goes on from there."""
EXCERPT = 90
"""Characters on either side of what was found."""
SEARCHED = ("text", "words", "prefix")
SHOWN = (*POOL_KEY, "step", "candidate", "source", "role", "total", "verdicts", *SEARCHED)


class BadQuery(ValueError):
    """A question that makes no sense, or a place that no page ended at."""


@dataclass(frozen=True, slots=True)
class Query:
    """What candidates are looked for; what is empty or ``None`` is not asked about."""

    text: str = ""
    """Stands in the candidate, the judge's words or the prefix; capitals are not told apart."""
    source: str = ""
    role: str = ""
    document: str = ""
    """The whole name of a document."""
    axis: str = ""
    """Whose score is meant by ``low`` and ``high``; the total if empty."""
    low: float | None = None
    high: float | None = None
    abstained: bool = False
    """Only where the judge of ``axis`` abstained, or where there is no total."""
    first: int | None = None
    """Steps from this one on."""

    def pushed_down(self) -> Any:
        """The part that Arrow decides while it reads; ``None`` where it is nothing."""
        parts: list[Any] = []
        if self.first is not None:
            parts.append(pc.field("step") >= self.first)
        for name in ("source", "role", "document"):
            if wanted := getattr(self, name):
                parts.append(pc.field(name) == wanted)
        if self.abstained:
            parts.append(_silent(self.axis) if self.axis else pc.field("total").is_null())
        elif not self.axis:
            if self.low is not None:
                parts.append(pc.field("total") >= self.low)
            if self.high is not None:
                parts.append(pc.field("total") <= self.high)
        if self.text:
            held = [_holds(name, self.text) for name in SEARCHED]
            parts.append(held[0] | held[1] | held[2])
        which = None
        for part in parts:
            which = part if which is None else which & part
        return which

    @property
    def needs_number(self) -> bool:
        """Whether ``kept`` decides anything."""
        return bool(self.axis) and not self.abstained and (self.low is not None or self.high is not None)

    def kept(self, batch: Any) -> Any:
        """The part that needs a verdict's number: which rows of a batch have it in range."""
        if not self.needs_number:
            return batch
        number = _key(self.axis) + r"(?P<value>-?[0-9][0-9.eE+-]*)"
        found = pc.struct_field(pc.extract_regex(batch["verdicts"], pattern=number), "value")  # pyright: ignore[reportAttributeAccessIssue]
        scores: Any = pc.cast(found, pa.float64())
        mask: Any = scores.is_valid()
        if self.low is not None:
            mask = pc.and_kleene(mask, pc.greater_equal(scores, self.low))  # pyright: ignore[reportAttributeAccessIssue]
        if self.high is not None:
            mask = pc.and_kleene(mask, pc.less_equal(scores, self.high))  # pyright: ignore[reportAttributeAccessIssue]
        return batch.filter(mask)


def _holds(name: str, text: str) -> Any:
    return pc.match_substring(pc.field(name), pattern=text, ignore_case=True)  # pyright: ignore[reportAttributeAccessIssue]


def _silent(axis: str) -> Any:
    return pc.match_substring_regex(pc.field("verdicts"), pattern=_key(axis) + r'\{"abstained"')  # pyright: ignore[reportAttributeAccessIssue]


def _key(axis: str) -> str:
    """A pattern of an axis as a key of JSON; quotes inside of strings have a backslash before them and do not match."""
    return "[{ ]" + re.escape(json.dumps(axis)) + ": "


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: so many hits of a row group of a file were given."""

    file: str
    group: int
    given: int

    def __str__(self) -> str:
        """As the page sends it back."""
        return f"{self.file}:{self.group}:{self.given}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The inverse.

        Raises:
            BadQuery: it is no place.
        """
        match = re.fullmatch(r"(step-[\w.-]{1,80}):(\d{1,9}):(\d{1,9})", text)
        if match is None:
            raise BadQuery("no page ended at this place: search again")
        return cls(match[1], int(match[2]), int(match[3]))


def search(
    contents: Sequence[Contents],
    query: Query,
    start: Place | None = None,
    *,
    limit: int = 50,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Up to ``limit`` hits from ``start`` on, in the order of recording, and the place to go on at.

    Returns:
        ``hits``; ``next``, empty at the end; ``until``, the step read last; ``torn``, why files were passed over.
    """
    hits: list[dict[str, Any]] = []
    torn: list[str] = []
    read: Piece | None = None
    ends = time.monotonic() + seconds
    which = query.pushed_down()
    for held in contents:
        if start is not None and held.file.path.name < start.file:
            continue
        if query.first is not None and held.file.last < query.first:
            continue
        try:
            for piece in pieces(held.file, which):
                given = _given(piece, start)
                if given is None:
                    continue
                if read is not None and time.monotonic() > ends:
                    return _page(hits, Place(piece.file.path.name, piece.number, given), read.last, torn)
                found = _hits(piece, query, which, given, limit - len(hits))
                hits += found
                if len(hits) >= limit:
                    place = Place(piece.file.path.name, piece.number, given + len(found))
                    return _page(hits, place, hits[-1]["step"], torn)
                read = piece
        except TornSamples as error:
            torn.append(str(error))
        except Gone:
            continue  # the page is told of the files that take its place
    return _page(hits, None, contents[-1].file.last if contents else None, torn)


def _given(piece: Piece, start: Place | None) -> int | None:
    """How many hits of a row group were given on earlier pages; ``None`` where all were."""
    if start is None or start.file != piece.file.path.name or piece.number > start.group:
        return 0
    return start.given if piece.number == start.group else None


def _hits(piece: Piece, query: Query, which: Any, given: int, wanted: int) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = []
    # Texts are most of a file: they are not read where no score is in range.
    if query.needs_number and not any(query.kept(batch).num_rows for batch in piece.batches(["verdicts"], which)):
        return hits
    for batch in piece.batches(SHOWN, which):
        rows = query.kept(batch)
        passed = min(given, rows.num_rows)
        given -= passed
        hits += [_hit(row, query) for row in rows.slice(passed, min(wanted - len(hits), BATCH)).to_pylist()]
        if len(hits) >= wanted:
            break
    return hits


def _page(hits: list[dict[str, Any]], at: Place | None, until: int | None, torn: list[str]) -> dict[str, Any]:
    return {"hits": hits, "next": str(at) if at else "", "until": until, "torn": torn}


def _hit(row: dict[str, Any], query: Query) -> dict[str, Any]:
    said = verdicts_of(row["verdicts"])
    score = said.get(query.axis) if query.axis else row["total"]
    return {
        "step": row["step"],
        "key": key_of(row),
        "document": short(row["document"]),
        "candidate": row["candidate"],
        "source": short(row["source"]),
        "role": row["role"] or "",
        "score": score if isinstance(score, int | float) else None,
        **_excerpt(row, query.text),
    }


def _excerpt(row: dict[str, Any], text: str) -> dict[str, Any]:
    """What was found with what stands around it; the beginning of the candidate where no text was asked for."""
    for where in SEARCHED if text else ():
        told = row[where] or ""
        if match := re.search(re.escape(text), told, re.IGNORECASE):
            begin = max(0, match.start() - EXCERPT)
            return {
                "where": where,
                "before": ("…" if begin else "") + told[begin : match.start()],
                "found": match[0][:EXCERPT],
                "after": told[match.end() : match.end() + EXCERPT],
            }
    told = row["text"] or ""
    return {"where": "text" if row["text"] is not None else "", "before": told[: 2 * EXCERPT], "found": "", "after": ""}
