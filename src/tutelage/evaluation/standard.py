"""The standard tasks through lm-eval, in a process of its own: no code of it is loaded here."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tutelage.evaluation.kept import Kept, key_of

HUB: Mapping[str, tuple[str, int]] = {
    "boolq": ("boolq", 0),
    "piqa": ("piqa", 0),
    "hellaswag": ("hellaswag", 0),
    "arc_easy": ("arc_easy", 0),
    "arc_challenge": ("arc_challenge", 0),
    "openbookqa": ("openbookqa", 0),
    "siqa": ("social_iqa", 0),
    "mmlu": ("mmlu", 5),
}
"""lm-eval's own tasks by ours, and examples before a question [P: 5 of MMLU; 0 elsewhere is I]."""
TOLD = 1500
"""Characters of lm-eval's last words that an error repeats."""

Scores = Mapping[str, float]
"""Whether a question was answered rightly, by the question's key."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """What lm-eval is asked to do."""

    names: Mapping[str, str]
    """lm-eval's names by ours."""
    folder: Path | None = None
    """Of local tasks; nothing is fetched then."""
    shots: Mapping[str, int] | None = None
    """By our names; local tasks have their examples in their text."""


def hub_tasks() -> Tasks:
    """lm-eval's own tasks, whose data it fetches from the hub."""
    return Tasks({name: told for name, (told, _) in HUB.items()}, shots={name: n for name, (_, n) in HUB.items()})


def find_lm_eval() -> str:
    """The executable: beside this Python, or on the path.

    Raises:
        ValueError: there is none; says how to install it.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("lm_eval", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        raise ValueError(
            "lm-eval is not installed, and the standard tasks run in it: pip install 'tutelage[eval]', or install "
            "lm-eval[hf] in an environment of its own and put its lm_eval on the PATH"
        )
    return found


def run_tasks(
    model: str, digest: str, tasks: Tasks, out: Path, kept: Kept, tokenizer: str | None = None
) -> dict[str, Scores]:
    """Every question of every task, right or wrong, by our name of the task; tasks that were finished are not repeated.

    Raises:
        ValueError: lm-eval is not there, or failed; its last words are told.
    """
    keys = {
        name: key_of("lm-eval", digest, told, (tasks.shots or {}).get(name, 0)) for name, told in tasks.names.items()
    }
    missing = [name for name, key in keys.items() if key not in kept]
    for shots in sorted({(tasks.shots or {}).get(name, 0) for name in missing}):
        due = [name for name in missing if (tasks.shots or {}).get(name, 0) == shots]
        _run(_arguments(model, tokenizer), [tasks.names[name] for name in due], shots, tasks.folder, out)
        kept.put({keys[name]: read_samples(out, tasks.names[name]) for name in due})
    return {name: kept[key] for name, key in keys.items()}


def _arguments(model: str, tokenizer: str | None) -> str:
    for path in filter(None, (model, tokenizer)):
        if "," in path or "=" in path:
            raise ValueError(f"lm-eval cannot take a path with a comma or an equals sign: rename {path}")
    return f"pretrained={model},dtype=float32{f',tokenizer={tokenizer}' if tokenizer else ''}"


def _run(arguments: str, tasks: Sequence[str], shots: int, folder: Path | None, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    words = [find_lm_eval(), "--model", "hf", "--model_args", arguments]
    words += ["--tasks", ",".join(tasks), "--num_fewshot", str(shots), "--batch_size", "8", "--device", device]
    words += ["--output_path", str(out), "--log_samples"]
    environment = dict(os.environ)
    if folder is not None:
        words += ["--include_path", str(folder)]
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if ended.returncode:
        told = (ended.stderr or ended.stdout).strip()[-TOLD:]
        raise ValueError(f"lm-eval failed with exit code {ended.returncode} ({arguments}); its last words: {told}")


def read_samples(out: Path, task: str) -> dict[str, float]:
    """The accuracy of every question that lm-eval wrote down for ``task`` or the tasks of a group of that name.

    Raises:
        ValueError: it wrote nothing down, or no accuracy.
    """
    found: dict[str, float] = {}
    for file in sorted(out.rglob(f"samples_{task}_*.jsonl")):
        part = re.sub(r"_\d{4}-\d\d-\d\dT.*", "", file.stem)
        for line in file.read_text("utf-8").split("\n"):
            if line.strip():
                row: Any = json.loads(line)
                if not isinstance(row, dict) or "acc" not in row or "doc_id" not in row:
                    raise ValueError(f"{file}: a sample has no accuracy; is this version of lm-eval older than 0.4?")
                found[f"{part}/{row['doc_id']}"] = float(row["acc"])
    if not found:
        raise ValueError(f"lm-eval wrote no sample of {task} under {out}: is this version of it older than 0.4?")
    return found
