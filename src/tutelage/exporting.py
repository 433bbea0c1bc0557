"""A run's checkpoints as models: any of them, or the one that did best by a metric of the run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tutelage import state
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.record import write_atomically
from tutelage.run import load_run
from tutelage.trackers import read_metrics
from tutelage.weights import load_model

REWARD = "accuracy/turn2"
"""Training reward of a run that corrects: what the paper chooses its checkpoint by [P]."""
HELD_OUT = "evaluation/held_out/accuracy/turn2"
"""The same on problems that are not trained on, where ``HeldOutCorrections`` is among the run's evaluations."""


def export_checkpoint(directory: Path, step: int, target: Path, imports: tuple[str, ...] = ()) -> None:
    """Write policy and tokenizer of the checkpoint of ``step`` as a Hugging Face folder."""
    run = load_run(directory / "run.yaml", imports)
    codec = run.tokenizer.build()
    model = load_model(run.model, codec, seed=run.seed, device=torch.device("cpu"))
    snapshot = state.read(directory / "checkpoints" / f"step-{step:08d}")
    model.load_state_dict(dict(snapshot.tensors["policy"]))
    Policy(model).save_hf(target)
    codec.save(target)


def best_step(directory: Path, metric: str, window: int) -> tuple[int, dict[int, float]]:
    """The checkpoint with the highest mean of ``metric`` over the last ``window`` steps before it, of equals the first.

    Only checkpoints that are kept can be chosen (``checkpoint.keep_every``).

    Returns:
        Its step, and the mean of every checkpoint that has one.

    Raises:
        ValueError: no checkpoint, or none with that metric.
    """
    rows = read_metrics(directory / "metrics.jsonl")
    means: dict[int, float] = {}
    for step in state.steps(directory / "checkpoints"):
        values = [float(row[metric]) for row in rows if step - window < row["step"] <= step and metric in row]
        if values:
            means[step] = float(np.mean(values))
    if not means:
        known = sorted({name for row in rows for name in row if name.rpartition("/")[2] == metric.rpartition("/")[2]})
        close = f"; like it are {', '.join(known[:8])}" if known else ""
        raise ValueError(f"{directory} keeps no checkpoint with the metric {metric!r} in {window} steps{close}")
    return max(means, key=lambda step: (means[step], -step)), means


@dataclass(frozen=True, slots=True)
class ExportBest:
    """Write the checkpoint of a run that did best by a metric to ``hf/``, and ``chosen.json``: all that could be."""

    run: str
    """Directory of a run that keeps checkpoints (``checkpoint.keep_every``)."""
    metric: str = REWARD
    """As in ``metrics.jsonl``; its highest is the best."""
    window: int = 20
    """Steps that its mean is over."""

    def __post_init__(self) -> None:
        require(self, "window", at_least=1)

    def execute(self, directory: Path, study: Path) -> bool:
        """Choose and write."""
        step, means = best_step(Path(self.run), self.metric, self.window)
        export_checkpoint(Path(self.run), step, directory / "hf")
        found: dict[str, Any] = {"metric": self.metric, "window": self.window, "chosen": step, "means": means}
        write_atomically(directory / "chosen.json", json.dumps(found, indent=1).encode())
        return True
