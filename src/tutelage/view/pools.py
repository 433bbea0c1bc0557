"""The pools of a step as the page shows them. All text in them is untrusted and goes out as data, cut to a length."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from tutelage.samples import POOL_KEY, SCHEMA, Rows, pools_of
from tutelage.view.shelf import Contents, pieces, verdicts_of

SUMMED = (*POOL_KEY, "step", "candidate", "source", "role", "total")
TEXT_LIMIT = 20_000
"""Characters of a text that are sent unless the whole is asked for."""
NAME_LIMIT = 200
"""Characters of a name (document, corpus, source, author, axis) that are sent."""
POOLS_LIMIT = 2_000
"""Most pools of a step that are listed."""


class NotThere(ValueError):
    """A step, pool or candidate that was asked for and is not recorded."""


def key_of(row: Mapping[str, Any]) -> str:
    """A short name for a pool of a step, safe in an address whatever its document is called."""
    return hashlib.blake2b(json.dumps([row[name] for name in POOL_KEY]).encode(), digest_size=8).hexdigest()


def pool_list(contents: Sequence[Contents], step: int) -> dict[str, Any]:
    """The pools of a step, told briefly.

    Raises:
        NotThere: nothing of the step is recorded; says what is.
    """
    columns = {name: pc.field(name) for name in SUMMED} | {"told": pc.field("prefix").is_valid()}
    pools = pools_of(list(_rows(contents, step, columns)))
    if not pools:
        raise NotThere(f"no samples of step {step}: {_span(contents)}")
    return {"step": step, "count": len(pools), "pools": [_summary(pool) for pool in pools[:POOLS_LIMIT]]}


def _span(contents: Sequence[Contents]) -> str:
    steps = [step for held in contents for step in held.steps]
    return f"steps {min(steps)} to {max(steps)} are recorded" if steps else "none is recorded yet"


def _rows(contents: Sequence[Contents], step: int, columns: Any, *also: Any) -> Iterable[dict[str, Any]]:
    which = pc.field("step") == step
    for part in also:
        which &= part
    for held in contents:
        if step in held.steps:
            for piece in pieces(held.file, which):
                for batch in piece.batches(columns, which):
                    yield from batch.to_pylist()


def _summary(pool: Rows) -> dict[str, Any]:
    totals = [row["total"] for row in pool if row["total"] is not None]
    roles = {row["role"]: short(row["source"]) for row in reversed(pool) if row["role"]}
    return {
        "key": key_of(pool[0]),
        **_named(pool[0]),
        "candidates": len(pool),
        "chosen": roles.get("chosen"),
        "rejected": roles.get("rejected"),
        "trained": sum(row["role"] == "trained" for row in pool),
        "spread": max(totals) - min(totals) if totals else None,
        "unscored": len(pool) - len(totals),
        "told": any(row["told"] for row in pool),
    }


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "corpus": short(row["corpus"]),
        "document": short(row["document"]),
        "epoch": row["epoch"],
        "cut": row["cut"],
    }


def whole_pool(contents: Sequence[Contents], step: int, key: str, *, limit: int | None = TEXT_LIMIT) -> dict[str, Any]:
    """A pool with its prefix and all that was recorded of its candidates; ``limit`` characters of each text.

    Raises:
        NotThere: the step has no such pool.
    """
    rows = pool_rows(contents, step, key)
    prefix = next((row["prefix"] for row in rows if row["prefix"] is not None), None)
    return {
        "key": key,
        "step": step,
        **_named(rows[0]),
        "prefix": cut(prefix, limit, end=True),
        "candidates": [candidate(row, limit) for row in rows],
    }


def pool_rows(contents: Sequence[Contents], step: int, key: str) -> list[dict[str, Any]]:
    """The rows of one pool, texts and all.

    Raises:
        NotThere: the step has no such pool.
    """
    # Which document it is costs little to find; only its own texts are read.
    found = next((row for row in _rows(contents, step, list(POOL_KEY)) if key_of(row) == key), None)
    if found is None:
        raise NotThere(f"step {step} has no such pool any more: {_span(contents)}")
    same = [pc.field(name).is_null() if found[name] is None else pc.field(name) == found[name] for name in POOL_KEY]
    return list(_rows(contents, step, SCHEMA.names, *same))


def candidate(row: Mapping[str, Any], limit: int | None) -> dict[str, Any]:
    """One candidate as it was recorded."""
    words = dict.fromkeys((row["words"] or "").strip().split("\n"))  # judges of several axes may share a remark
    return {
        "candidate": row["candidate"],
        "source": short(row["source"]),
        "author": short(row["author"]),
        "length": row["length"],
        "policy_version": row["policy_version"],
        "role": row["role"] or "",
        "total": row["total"],
        "verdicts": [_verdict(axis, said) for axis, said in verdicts_of(row["verdicts"]).items()],
        "words": cut("\n".join(words) or None, limit),
        "text": cut(row["text"], limit),
    }


def _verdict(axis: str, said: Any) -> dict[str, Any]:
    if isinstance(said, int | float):
        return {"axis": short(axis), "value": said, "why": None}
    reason = said.get("abstained", "") if isinstance(said, Mapping) else said
    return {"axis": short(axis), "value": None, "why": short(reason)}


def cut(text: str | None, limit: int | None, *, end: bool = False) -> dict[str, Any] | None:
    """At most ``limit`` characters of a text, its ``end`` if asked for, with the length of the whole."""
    if text is None:
        return None
    if limit is None or len(text) <= limit:
        return {"text": text, "length": len(text)}
    return {"text": text[-limit:] if end else text[:limit], "length": len(text)}


def short(name: object) -> str:
    """A name, cut where it is no name any more."""
    text = "" if name is None else str(name)
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1] + "…"
