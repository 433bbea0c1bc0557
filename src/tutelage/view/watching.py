"""One run as the page sees it: how far it is, whether it still moves, and what is wrong with its files."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.config import ConfigError, load_yaml
from tutelage.view.numbers import Numbers
from tutelage.view.pools import short
from tutelage.view.shelf import Contents, Mark, Shelf, last_with_text, mark_of

QUIET_AFTER = 120.0
"""Seconds without a word after which a run is not called running any more [I]."""
EVENTS = 12
"""Events that are told, the last ones."""
EVENTS_TAIL = 65_536
"""Bytes of ``events.jsonl`` that are read from its end."""


class WatchedRun:
    """A run's directory, read again only where it changed."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        """As the page calls it."""
        self.numbers = Numbers(directory / "metrics.jsonl")
        self.shelf = Shelf(directory / "samples")
        self._settings: tuple[Mark | None, Mapping[str, Any], str] = (None, {}, "")

    def marks(self) -> dict[str, Any]:
        """Changes with what the run writes: of ``status`` any file, of ``samples`` those alone."""
        files = ("metrics.jsonl", "events.jsonl", "run.yaml")
        samples = self.shelf.marks()
        return {"samples": samples, "status": [*(mark_of(self.directory / name) for name in files), samples]}

    def settings(self) -> tuple[Mapping[str, Any], str]:
        """``run.yaml`` as plain data, and what is wrong with it; its classes are not loaded."""
        path = self.directory / "run.yaml"
        mark = mark_of(path)
        if mark is None:
            why = "has not begun or is no run: it holds no run.yaml yet. The page shows the run as soon as it is there."
            return {}, f"{self.directory} {why}"
        if mark != self._settings[0]:
            try:
                plain: Any = load_yaml(path)
                wrong = "" if isinstance(plain, dict) and "phases" in plain else f"{path} describes no run"
                self._settings = (mark, plain if not wrong else {}, wrong)
            except ConfigError as error:
                self._settings = (mark, {}, str(error))
        return self._settings[1], self._settings[2]

    def status(self) -> dict[str, Any]:
        """State, progress, phases, events and messages."""
        self.numbers.refresh()
        plain, wrong = self.settings()
        events = self._events()
        last = self.numbers.last()
        written = self._written()
        return {
            "name": self.name,
            "directory": str(self.directory),
            "state": _state(last, events, written),
            "step": int(last.get("step", 0)),
            "share": last.get("run/share"),
            "loss": last.get("loss/total"),
            "written": written,
            "now": time.time(),
            "phases": [_phase(phase) for phase in _listed(plain.get("phases"))],
            "events": events[-EVENTS:],
            "messages": [*([wrong] if wrong else []), *self._messages(plain, last)],
            "rewound": self.numbers.rewound,
        }

    def _messages(self, plain: Mapping[str, Any], last: Mapping[str, float]) -> list[str]:
        told: list[str] = []
        if plain and not last:
            told.append("No step has been made yet: the curves begin with the first one.")
        if self.numbers.damaged:
            many = f"{self.numbers.damaged} line{'s' if self.numbers.damaged > 1 else ''}"
            told.append(f"{many} of metrics.jsonl cannot be read and were passed over.")
        if self.numbers.rewound:
            told.append("The run went back to a checkpoint while this page was open: steps after it are made again.")
        return told

    def _written(self) -> float | None:
        files = (self.directory / name for name in ("metrics.jsonl", "events.jsonl", "run.yaml"))
        return max((mark[1] / 1e9 for mark in map(mark_of, files) if mark), default=None)

    def _events(self) -> list[dict[str, Any]]:
        try:
            with (self.directory / "events.jsonl").open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - EVENTS_TAIL))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return []
        return [event for event in map(_event, lines) if event]

    def samples(self) -> dict[str, Any]:
        """What samples there are, or why there are none."""
        contents, torn = self.shelf.look()
        steps = sorted({step for held in contents for step in held.steps})
        plain, _ = self.settings()
        every = _mapped(plain.get("samples")).get("text_every", 1)
        return {
            "steps": _spans(steps),
            "count": sum(sum(held.steps.values()) for held in contents),
            "sources": [short(source) for source in sorted({s for held in contents for s in held.sources})],
            "axes": [short(axis) for axis in dict.fromkeys(a for held in contents for a in held.axes)],
            "last_told": last_with_text(contents),
            "text_every": every if isinstance(every, int) and every > 0 else 1,
            "torn": torn,
            "why": "" if steps else self._why_none(plain, torn),
        }

    def _why_none(self, plain: Mapping[str, Any], torn: list[str]) -> str:
        if torn:
            return "None of the files of samples can be read."
        if plain and not any(_mapped(phase).get("sources") for phase in _listed(plain["phases"])):
            return "This run has no sources, so nothing is sampled: it trains on the documents alone."
        every = _mapped(plain.get("checkpoint")).get("every")
        when = f"every {every} steps" if isinstance(every, int) else "at every checkpoint"
        return f"No samples are on disk yet: they are written with the checkpoints, {when}, and when the run ends."

    def contents(self) -> list[Contents]:
        """The files of samples that can be read."""
        return self.shelf.look()[0]


def _state(last: Mapping[str, float], events: list[dict[str, Any]], written: float | None) -> str:
    """``waiting`` (no step yet), ``running``, ``finished``, or ``quiet``: nothing was written for a while."""
    if events and events[-1]["event"] == "finished":
        return "finished"
    if not last:
        return "waiting"
    return "running" if written is not None and time.time() - written < QUIET_AFTER else "quiet"


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(line)
        time_, name = float(found.pop("time")), str(found.pop("event"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    facts = ", ".join(f"{short(key)} {short(value)}" for key, value in found.items() if value is not None)
    return {"time": time_, "event": short(name), "facts": short(facts)}


def _phase(phase: Any) -> dict[str, Any]:
    """Class names without their modules."""
    plain = _mapped(phase)
    return {
        "objective": _class(plain.get("objective")),
        "sources": [_class(source) for source in _listed(plain.get("sources"))],
        "judges": [_class(judge) for judge in _listed(plain.get("judges"))],
    }


def _listed(plain: Any) -> list[Any]:
    """Settings may be of another version, or of nobody's: what has another shape than expected counts as absent."""
    return plain if isinstance(plain, list) else []


def _mapped(plain: Any) -> dict[str, Any]:
    return plain if isinstance(plain, dict) else {}


def _class(plain: Any) -> str:
    return short(plain.get("class", "?")).rpartition(".")[2] if isinstance(plain, dict) else short(plain)


def _spans(steps: list[int]) -> list[list[int]]:
    """``1, 2, 3, 7`` → ``[[1, 3], [7, 7]]``."""
    spans: list[list[int]] = []
    for step in steps:
        if spans and spans[-1][1] == step - 1:
            spans[-1][1] = step
        else:
            spans.append([step, step])
    return spans
