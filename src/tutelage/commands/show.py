"""``tutelage show``: read the candidates and verdicts of any step.

Step N is the N-th update, counted from 1, as in ``metrics.jsonl`` and ``tutelage replay``.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import ConsoleRenderable, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from tutelage.commands.directories import run_directory
from tutelage.commands.terminal import results
from tutelage.commands.untrusted import one_line, visible
from tutelage.config import load_yaml
from tutelage.samples import Rows, pools_of, read_samples

STYLES = {"chosen": "bold green", "rejected": "bold red", "trained": "bold cyan"}
PREFIX_END = 600
"""Characters of a prefix that are shown: its end, which the candidates continue."""


def show_command(
    run: Path, *, step: int | None = None, document: str | None = None, limit: int = 5, whole: bool = False
) -> int:
    """Print the pools of one step; see ``cli.Show``."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    folder = run_directory(run) / "samples"
    require_sampled(run, folder)
    console = results()
    if step is None:
        known = recorded_steps(folder)
        if not known:
            read_samples(folder)  # raises with what is there
        step, told = (recorded_steps(folder, with_text=True) or known)[-1], "the last one whose text was kept"
        console.print(f"Recorded: steps {ranges(known)}. Step {step}{f', {told}' if step != known[-1] else ''}:")
    pools = pools_of(read_samples(folder, step))
    wanted = [pool for pool in pools if document is None or pool[0]["document"] == document]
    if not wanted:
        ids = ", ".join(one_line(str(pool[0]["document"]), 40) for pool in pools[:20])
        raise ValueError(f"step {step} holds no document {document!r}; it holds {ids}")
    for pool in wanted[:limit]:
        console.print(pool_picture(pool, whole=whole))
    if len(wanted) > limit:
        console.print(f"{limit} of {len(wanted)} pools; see the others with --limit {len(wanted)}")
    return 0


def require_sampled(run: Path, folder: Path) -> None:
    """Refuse a run of which no samples can be expected.

    Raises:
        ValueError: no phase of it has sources.
    """
    # Plain data: the run's own classes may stand in modules that were not named here.
    plain: Any = load_yaml(run / "run.yaml")
    if not any(folder.glob("step-*.parquet")) and not any(map(_samples, plain["phases"])):
        raise ValueError(f"{run} has no sources, so nothing was sampled: it trains on the documents alone")


def _samples(phase: Mapping[str, Any]) -> bool:
    """Whether a phase writes candidates or attempts."""
    return bool(phase.get("sources")) or "problems" in (phase.get("task") or {})


def recorded_steps(folder: Path, *, with_text: bool = False) -> list[int]:
    """The steps that have samples, or samples with their text, ascending; text itself is not read."""
    found: set[int] = set()
    which = pc.field("text").is_valid() if with_text else None
    for path in sorted(folder.glob("step-*.parquet")):
        found.update(pq.read_table(path, columns=["step"], filters=which)["step"].unique().to_pylist())
    return sorted(found)


def ranges(numbers: Iterable[int]) -> str:
    """``1–3, 7, 9–12``."""
    parts: list[str] = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts.append(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(parts)


def pool_picture(pool: Rows, *, whole: bool = False) -> ConsoleRenderable:
    """A prefix and its candidates with what was said of them."""
    first = pool[0]
    title = (
        f"{one_line(first['corpus'], 40)} · {one_line(first['document'])} · epoch {first['epoch']} · cut {first['cut']}"
    )
    parts: list[ConsoleRenderable] = [Rule(Text(title), align="left")]
    prefix = first["prefix"]
    if prefix is not None:
        cut = prefix if whole or len(prefix) <= PREFIX_END else "…" + prefix[-PREFIX_END:]
        parts.append(Text(visible(cut), "dim"))
    else:
        parts.append(Text("(the text of this step was not kept; see samples.text_every and samples.text_bytes)", "dim"))
    for row in pool:
        parts += _candidate(row)
    return Group(*parts, Text(""))


def _candidate(row: Mapping[str, Any]) -> list[ConsoleRenderable]:
    head = Text()
    head.append(f"{row['candidate']}  {one_line(row['source'], 24)}", "bold")
    if row["author"]:
        head.append(f" by {one_line(row['author'], 40)}")
    head.append(f" · {row['length']} tokens · {scores(row)}")
    if row["role"]:
        head.append(f" · {row['role']}", STYLES.get(row["role"], "bold"))
    parts: list[ConsoleRenderable] = [head]
    if row["text"] is not None:
        parts.append(Padding(Text(visible(row["text"])), (0, 0, 0, 3)))
    # Judges of several axes may share one remark.
    words = "\n".join(dict.fromkeys((row["words"] or "").strip().split("\n")))
    if words:
        parts.append(Padding(Text(f"judge: {visible(words)}", "italic dim"), (0, 0, 0, 3)))
    return parts


def scores(row: Mapping[str, Any]) -> str:
    """``quality 0.5, safety abstained (refused), in all 0.5``."""
    verdicts: Mapping[str, Any] = json.loads(row["verdicts"])
    said = [f"{one_line(axis, 24)} {_score(verdict)}" for axis, verdict in verdicts.items()]
    if not said:
        return "not judged"
    if len(said) > 1 and row["total"] is not None:
        said.append(f"in all {row['total']:.3g}")
    return ", ".join(said)


def _score(verdict: Any) -> str:
    if isinstance(verdict, Mapping):
        return f"abstained ({one_line(str(verdict.get('abstained', '')), 60)})"
    return f"{verdict:.3g}"
