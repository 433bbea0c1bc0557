"""Where a run's numbers go. JSON lines always; TensorBoard, trackio, wandb and mlflow where the user asks.

Nothing leaves the machine unless a tracker that the user named sends it.
"""

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tutelage.protocols import Tracker
from tutelage.record import write_atomically, writing


@runtime_checkable
class TrackerSpec(Protocol):
    """A tracker as it stands in a run."""

    def build(self, directory: Path, name: str) -> Tracker:
        """The working tracker of the run ``name`` in ``directory``."""
        ...


class JsonLines:
    """``metrics.jsonl``: one object a step, ``{"step": 1, "loss/total": …}``, appended and flushed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line."""
        with writing(self._path):
            self._file.write(json.dumps({"step": step, **metrics}) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Have what was appended on disk, also after a power cut."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def rewind(self, step: int) -> None:
        """Drop the lines after ``step``, and those that are torn or damaged; the file is replaced whole."""
        self._file.close()
        kept = [line for line in _lines(self._path) if _step_of(line) <= step]
        write_atomically(self._path, "".join(line + "\n" for line in kept).encode())
        self._file = self._path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        with writing(self._path):
            self._file.close()


def _lines(path: Path) -> list[str]:
    """Lines, with a mark for every byte that is not UTF-8: what was damaged must not hide the rest."""
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _step_of(line: str) -> float:
    """The step that a line is about; infinity where the line is torn or damaged."""
    try:
        step = float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return float("inf")
    return step if step.is_integer() and "\ufffd" not in line else float("inf")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; torn and damaged ones, as a crash may leave them, are passed over."""
    rows: list[dict[str, Any]] = []
    for line in _lines(path):
        if _step_of(line) != float("inf"):
            rows.append(json.loads(line))
    return rows


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"the tracker needs {module}: pip install {extra}") from error


@dataclass(frozen=True, slots=True)
class TensorBoard:
    """Event files under ``DIRECTORY/tensorboard``."""

    def build(self, directory: Path, name: str) -> Tracker:
        """Open the writer."""
        return _TensorBoardTracker(
            _optional("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(directory / "tensorboard"))
        )


class _TensorBoardTracker:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True, slots=True)
class Trackio:
    """A local trackio project."""

    project: str = "tutelage"
    """The project that the run belongs to."""

    def build(self, directory: Path, name: str) -> Tracker:
        """Start the run."""
        module = _optional("trackio", "trackio")
        module.init(project=self.project, name=name)
        return _ModuleTracker(module)


@dataclass(frozen=True, slots=True)
class Wandb:
    """A Weights & Biases run; ``offline`` keeps it on this machine."""

    project: str = "tutelage"
    """The project that the run belongs to."""
    offline: bool = True
    """Keep it on this machine; nothing is sent."""

    def build(self, directory: Path, name: str) -> Tracker:
        """Start the run."""
        module = _optional("wandb", "wandb")
        module.init(project=self.project, name=name, dir=str(directory), mode="offline" if self.offline else "online")
        return _ModuleTracker(module)


class _ModuleTracker:
    """trackio and wandb share this face."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._module.log(dict(metrics), step=step)

    def close(self) -> None:
        self._module.finish()


@dataclass(frozen=True, slots=True)
class MLflow:
    """An MLflow run; without ``uri`` it is kept under ``DIRECTORY/mlflow``."""

    experiment: str = "tutelage"
    """The experiment that the run belongs to."""
    uri: str | None = None
    """A tracking server; none keeps it in the run's directory."""

    def build(self, directory: Path, name: str) -> Tracker:
        """Start the run."""
        module = _optional("mlflow", "mlflow")
        module.set_tracking_uri(self.uri or (directory / "mlflow").resolve().as_uri())
        module.set_experiment(self.experiment)
        module.start_run(run_name=name)
        return _MLflowTracker(module)


class _MLflowTracker:
    def __init__(self, module: Any) -> None:
        self._module = module

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._module.log_metrics({name.replace("/", "."): value for name, value in metrics.items()}, step=step)

    def close(self) -> None:
        self._module.end_run()
