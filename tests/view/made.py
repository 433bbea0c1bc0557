"""Directories of runs written by hand, as a run would write them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tutelage.samples import SCHEMA

SOURCES = ("suffix", "rewrite", "rollout", "rollout")
EVIL = (
    "<script>document.body.dataset.stolen = 1</script><img src=x onerror='document.body.dataset.stolen = 1'> </div>"
    "\u202egnp.exe\u202c \x00\x1b[31m </script><svg onload=document.body.dataset.stolen=1> javascript:alert(1) "
    "${document.body.dataset.stolen = 1} {{7*7}} עברית"
)
RUN = """phases:
  - objective:
      class: tutelage.objectives.OnlineDPO
    sources:
      - class: tutelage.sources.SuffixSource
"""


def row(step: int, document: str, candidate: int, /, **changes: Any) -> dict[str, Any]:
    """One candidate: the suffix, a rewrite that is chosen, and two rollouts, of which the last is rejected."""
    quality = 0.1 * candidate + 0.01 * step
    source = SOURCES[candidate % 4]
    return {
        "step": step,
        "corpus": "books",
        "document": document,
        "epoch": 0,
        "cut": 12,
        "candidate": candidate,
        "source": source,
        "author": "writer" if source == "rewrite" else "",
        "length": 5,
        "policy_version": step if source == "rollout" else None,
        "role": {1: "chosen", 3: "rejected"}.get(candidate, ""),
        "total": quality + 1.0,
        "verdicts": json.dumps({"quality": quality, "safety": 1.0}),
        "words": "It reads well." if candidate == 1 else "",
        "prefix": f"The beginning of {document}," if candidate == 0 else None,
        "text": f" {source} {candidate} of {document} at step {step}.",
    } | changes


def rows(steps: Iterable[int], documents: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Pools of four for some documents of each step."""
    return [row(step, f"d{step}-{i}", k, **changes) for step in steps for i in range(documents) for k in range(4)]


def write_samples(directory: Path, made: Sequence[dict[str, Any]], rank: int = 0, group: int = 2_000) -> Path:
    """One file of samples, whole."""
    name = f"step-{made[0]['step']:08d}-{made[-1]['step']:08d}.rank-{rank:04d}.parquet"
    path = directory / "samples" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(made), schema=SCHEMA), path, compression="zstd", row_group_size=group)
    return path


def metrics(step: int, **changes: Any) -> dict[str, Any]:
    """A line of ``metrics.jsonl``."""
    return {
        "step": step,
        "loss/total": 2.0 / step,
        "chosen/suffix": 0.25,
        "chosen/rewrite": 0.75,
        "pool/tie": 0.0,
        "abstained/quality": 0.1,
        "dpo/margin": 0.1 * step,
        "seconds/train": 0.5,
        "seconds/judge.quality": 0.25,
        "tokens/trained": 100.0,
        "run/share": step / 10,
    } | changes


def write_lines(path: Path, lines: Iterable[Any], mode: str = "w") -> None:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def write_run(directory: Path, steps: int = 6, documents: int = 3) -> Path:
    """A run in progress: settings, metrics, an event, and samples in two files."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.yaml").write_text(RUN)
    write_lines(directory / "metrics.jsonl", (metrics(step) for step in range(1, steps + 1)))
    write_lines(directory / "events.jsonl", [{"time": 1.7e9, "event": "phase", "phase": 0, "step": 0}])
    half = max(1, steps // 2)
    write_samples(directory, rows(range(1, half + 1), documents))
    if half < steps:
        write_samples(directory, rows(range(half + 1, steps + 1), documents))
    return directory
