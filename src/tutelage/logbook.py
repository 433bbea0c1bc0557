"""What a run writes besides checkpoints: metrics, events and samples; and the claim that it lays on its directory."""

import fcntl
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tutelage.config import NOT_SET, Difference, difference, load_yaml, to_plain
from tutelage.episodes import EpisodeGroup
from tutelage.protocols import Codec, Tracker
from tutelage.ranks import Ranks
from tutelage.record import write_atomically, writing
from tutelage.run import Run, is_free_to_change, save_run
from tutelage.samples import SampleWriter
from tutelage.trackers import JsonLines
from tutelage.types import Item, JudgedPool


class ResumeRefused(ValueError):
    """The directory holds another run, corpus or tokenizer than the one that was asked to go on."""


def require_same(known: Mapping[str, str], found: Mapping[str, str], directory: Path, told: str) -> None:
    """Refuse to go on with another tokenizer or corpus; a name that is not known yet is not compared.

    Raises:
        ResumeRefused: naming what differs; ``told`` says what ``directory`` did with the known ones.
    """
    for name, value in found.items():
        if known.get(name, value) != value:
            remedy = (
                "put the old tokenizer back,"
                if name == "tokenizer"
                else "files of it were changed, added or taken away: put the old ones back,"
            )
            raise ResumeRefused(
                f"the {name} is not the one that {directory} {told}: its fingerprint is {value[:12]}…, "
                f"not {known[name][:12]}…; {remedy} or name another directory"
            )


def claim(run: Run, directory: Path, rank: int) -> IO[str]:
    """Take the directory for this process and rank until the file that is returned is closed.

    Two processes that train into one directory would destroy each other's checkpoints.

    Raises:
        ResumeRefused: it holds another run (names the field), or checkpoints of an unknown one, or another process
            trains in it.
    """
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    path = directory / "run.yaml"
    known: Any = load_yaml(path) if path.exists() else None
    if not known and any((directory / "checkpoints").glob("step-*")):
        raise ResumeRefused(
            f"{directory} holds checkpoints, but {path} is {'empty' if path.exists() else 'not there'}: put the "
            f"run.yaml that they were trained with back, name another directory, or delete {directory / 'checkpoints'}"
        )
    if known:
        changed = [d for d in difference(known, to_plain(run)) if not (is_free_to_change(d.path) or _is_later(d))]
        if changed:
            raise ResumeRefused(
                f"{directory} holds a run whose {changed[0].path} is {changed[0].before!r}, not {changed[0].after!r}: "
                "resume with the same run, or name another directory"
            )
    file = (directory / f".lock-{rank}").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ResumeRefused(f"another process is training in {directory}; wait for it or stop it") from error
    return file


def _is_later(found: Difference) -> bool:
    """Whether it is a setting that run.yaml is too old to know, and that is not made use of."""
    return found.before is NOT_SET and found.after is None


class Logbook:
    """The files of one run on this rank; metrics and events are written by rank 0 alone."""

    def __init__(self, run: Run, directory: Path, codec: Codec, ranks: Ranks) -> None:
        self._run = run
        self._directory = directory
        self._first = ranks.rank == 0
        self.samples = SampleWriter(directory / "samples", run.samples, codec, ranks.rank)
        self._metrics: JsonLines | None = None
        self._trackers: list[Tracker] = []

    def open(self, step: int) -> None:
        """Begin to write after ``step``; what was written about later steps is dropped, it will be written again."""
        if not self._first:
            return
        path = self._directory / "run.yaml"
        if not path.exists() or not load_yaml(path):
            save_run(self._run, path)
        self.samples.rewind(step + 1)
        self._trackers = [spec.build(self._directory, self._run.name) for spec in self._run.trackers]
        self._metrics = JsonLines(self._directory / "metrics.jsonl")
        self._metrics.rewind(step)

    def vouch(self, fingerprints: Mapping[str, str]) -> None:
        """Refuse to go on with another tokenizer or corpus than the directory began with; note new ones.

        Raises:
            ResumeRefused: naming which.
        """
        path = self._directory / "fingerprints.json"
        known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        require_same(known, fingerprints, self._directory, "began with")
        if self._first and fingerprints.keys() - known.keys():
            write_atomically(path, json.dumps({**known, **fingerprints}, indent=1).encode())

    def add(self, step: int, groups: Sequence[JudgedPool | EpisodeGroup], items: Sequence[Item | None]) -> None:
        """Keep a step's pools or episodes with what was made of each."""
        self.samples.add(step, groups, items)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write a step's metrics."""
        for tracker in (*([self._metrics] if self._metrics else []), *self._trackers):
            tracker.log(step, numbers)

    def sync(self) -> None:
        """Put samples and metrics on disk, before a checkpoint says that they need not be written again."""
        self.samples.flush()
        if self._metrics:
            self._metrics.sync()

    def event(self, name: str, **facts: Any) -> None:
        """Append to ``events.jsonl``.

        Raises:
            WriteFailed: the disk is full or read-only.
        """
        if self._first:
            line, path = json.dumps({"time": time.time(), "event": name, **facts}), self._directory / "events.jsonl"
            with writing(path), path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def close(self) -> None:
        """Flush and let go."""
        self.samples.flush()
        for tracker in (*self._trackers, *([self._metrics] if self._metrics else [])):
            tracker.close()
