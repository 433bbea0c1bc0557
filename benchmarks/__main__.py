"""``python -m benchmarks quick``, ``all``, ``table``, or one row: ``python -m benchmarks step --against trl_grpo``."""

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import results, table
from benchmarks.model import Job
from benchmarks.pairing import ROOT, Side, WorkerFailed, own_python, ratio_of
from benchmarks.results import RESULTS, Result
from benchmarks.rows import KINDS, QUICK, Row, full

WORK = ROOT / "runs" / "benchmarks"
"""Models and logs; git does not see it."""
CORES = len(os.sched_getaffinity(0))


def prepared(device: str) -> dict[str, Any]:
    """The model on disk, made in a process of its own: its ``folder``, ``vocabulary`` and ``device``."""
    command = [str(own_python()), "-m", "benchmarks.model", str(WORK), device]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def machine() -> str:
    """The processor and its cores, or the GPU."""
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"model name\s*: (.*)", text)
    return f"{found[1] if found else platform.processor()}, {CORES} cores"


def run_row(
    row: Row, model: dict[str, Any], *, threads: int, changes: dict[str, dict[str, Any]], told: Sequence[str] = ()
) -> Result:
    """Measure one row; ``told`` are the options of the command line that are not the row's own.

    Raises:
        WorkerFailed: a side failed, or its environment is not there.
    """
    kind = row.kind
    if not kind.python.exists():
        raise WorkerFailed(f"{kind.python} is missing: make peers")
    job = Job("", row.shape, row.prompts, threads=threads, cuts=row.cuts, **model)

    def side(name: str, arm: str, python: Path) -> Side:
        return Side(python, replace(job, arm=arm, settings={**kind.settings, **changes.get(name, {})}))

    logs = WORK / "logs" / f"{row.name}-{row.against}-{'-'.join(map(str, row.shape))}-{row.prompts}-{row.cuts}"
    both = (side("ours", kind.ours, own_python()), side("theirs", kind.theirs, kind.python))
    found = kind.measure(*both, pairs=row.pairs, logs=logs, limit_s=row.limit_s)
    ours, theirs = ([kind.value(step) for step in steps] for steps in (found.ours, found.theirs))
    return Result(
        name=row.name,
        against=row.against,
        shape=row.shape,
        ratio=ratio_of(theirs, ours) if kind.flip else ratio_of(ours, theirs),
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        unit=kind.unit,
        pairs=len(ours),
        prompts=row.prompts,
        cuts=row.cuts,
        grown_mib={"ours": found.ours[-1].grown_mib, "theirs": found.theirs[-1].grown_mib},
        command=" ".join([row.command, *told]),
        machine=machine() if model["device"] == "cpu" else gpu(),
        date=date.today().isoformat(),
        commit=commit(),
        settings={**found.notes, "threads": threads},
    )


def commit() -> str:
    """Short name of what is checked out, with a ``+`` where tracked files of the code or the bench differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout

    differing = git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py", "benchmarks/peers")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if differing.strip() else "")


def gpu() -> str:
    """The GPU's name."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]


def run_all(rows: Sequence[Row], path: Path | None, options: argparse.Namespace) -> int:
    """Measure rows one after the other, each written at once; returns how many failed."""
    model = prepared(options.device)
    slug = re.sub(r"[^a-z0-9]+", "-", (machine() if model["device"] == "cpu" else gpu()).lower()).strip("-")
    path = path or RESULTS / f"{slug}.json"
    if options.missing:
        rows = results.missing(path, rows)
    changes = {"ours": settings_of(options.ours), "theirs": settings_of(options.theirs)}
    failed: list[str] = []
    for row in rows:
        try:
            result = run_row(row, model, threads=options.threads, changes=changes, told=told(options))
        except WorkerFailed as error:
            failed.append(" ".join([row.command, *told(options)]))
            kept = results.stays(path, row.key)
            print(f"{row.name} against {row.against} at {row.shape}: {error}{kept}", file=sys.stderr)
            continue
        results.merge(path, result)
        print(table.line(result), flush=True)
    for command in failed:
        print(f"failed: {command}", file=sys.stderr)
    return len(failed)


def changed(options: argparse.Namespace) -> list[str]:
    """Options by which a row is another one than its name and shape say, as they are written on the command line."""
    found = [f"--{side}={shlex.quote(pair)}" for side in ("ours", "theirs") for pair in getattr(options, side)]
    return found + ([f"--threads={options.threads}"] if options.threads != CORES else [])


def told(options: argparse.Namespace) -> list[str]:
    """What a row's command needs besides, so that it measures and writes the same again."""
    device = [f"--device={options.device}"] if options.device != "auto" else []
    where = [f"--results={shlex.quote(str(options.results))}"] if options.results and changed(options) else []
    return [*changed(options), *device, *where]


def settings_of(pairs: Sequence[str]) -> dict[str, Any]:
    """``rows=8`` as ``{"rows": 8}``; what is no JSON is text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("what", choices=["quick", "all", "table", *sorted({name for name, _ in KINDS})])
    made.add_argument("--against", choices=sorted({peer for _, peer in KINDS}))
    made.add_argument("--shape", default="896,128,16", help="P,N,K: tokens of a prompt, new tokens, continuations")
    made.add_argument("--pairs", type=int, default=5)
    made.add_argument("--prompts", type=int, default=2, help="prompts or documents of a step")
    made.add_argument("--cuts", type=int, default=1, help="forks along one document")
    made.add_argument("--threads", type=int, default=CORES)
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    made.add_argument("--missing", action="store_true", help="of quick or all, only the rows that the file has not")
    made.add_argument("--results", type=Path, help="file to merge the rows into")
    made.add_argument("--ours", action="append", default=[], metavar="NAME=VALUE", help="a setting of our arm")
    made.add_argument("--theirs", action="append", default=[], metavar="NAME=VALUE", help="a setting of their arm")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for.

    Raises:
        SystemExit: the command line cannot be understood, or would put a changed row in the place of a plain one.
    """
    options = parser().parse_args(arguments)
    if changed(options) and options.results is None:
        parser().error(f"{' '.join(changed(options))} makes it another row: name a file for it with --results")
    match options.what:
        case "table":
            table.write()
            return 0
        case "quick":
            return run_all(QUICK, options.results or RESULTS / "quick.json", options)
        case "all":
            failed = run_all(full(), options.results, options)
            table.write()
            return failed
        case name:
            if (name, options.against) not in KINDS:
                peers = ", ".join(peer for known, peer in KINDS if known == name)
                parser().error(f"{name} needs --against with one of: {peers}")
            if not re.fullmatch(r"\d+,\d+,\d+", options.shape):
                parser().error(f"--shape is P,N,K, as 896,128,16; not {options.shape}")
            length, new, count = (int(part) for part in options.shape.split(","))
            row = Row(name, options.against, (length, new, count), options.pairs, options.prompts, options.cuts)
            return run_all([row], options.results, options)


if __name__ == "__main__":
    sys.exit(main())
