"""What ``tutelage doctor`` finds out about the models beside the policy: those of judges, sources and rewriters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tutelage.chat import LocalChat
from tutelage.commands.machine import GIGABYTE, Finding
from tutelage.config.mapping import parts_of
from tutelage.folders import is_missing
from tutelage.judges import ClassifierJudge, LikelihoodJudge
from tutelage.run import Run
from tutelage.study import Train, Work
from tutelage.weights import ModelSpec, Pretrained, require_safetensors, weight_type

Jobs = Mapping[str, Work]
"""The work of a study's jobs by name; empty for a run that is none's."""


@dataclass(frozen=True, slots=True)
class Planned:
    """As much of a tokenizer that a job will make as tells a model's size."""

    vocab_size: int
    eos: int = 0


def is_made(path: str) -> bool:
    """Whether another job of the study makes it: ``@job/path``."""
    return path.startswith("@")


def maker(path: str, jobs: Jobs) -> Work | None:
    """The job that makes ``@job/path``."""
    return jobs.get(path.removeprefix("@").partition("/")[0])


def planned_vocabulary(path: str, jobs: Jobs) -> Planned | None:
    """The ids that a tokenizer to be made will have at most, where its job's settings say so."""
    work = maker(path, jobs)
    if isinstance(work, Train):
        return planned_vocabulary(work.run.tokenizer.path, jobs)
    size = getattr(work, "vocab_size", None)
    return Planned(size) if isinstance(size, int) else None


def planned_model(spec: ModelSpec, jobs: Jobs) -> ModelSpec | None:
    """The configuration that a model to be made will have: that of the run which trains it."""
    while isinstance(spec, Pretrained) and is_made(spec.path):
        work = maker(spec.path, jobs)
        if not isinstance(work, Train):
            return None
        spec = work.run.model
    return spec


@dataclass(frozen=True, slots=True)
class Teacher:
    """A part of a run that names a model."""

    field: str
    """Dotted path of the setting, as ``phases.0.judges.0.judge.path``."""
    path: str
    spec: Any
    """What has the field."""


def teachers(run: Run) -> Iterator[Teacher]:
    """Every model that the run's sources and judges name."""
    for number, phase in enumerate(run.phases):
        for name in ("sources", "judges"):
            for place, part in parts_of(getattr(phase, name), object, f"phases.{number}.{name}"):
                if is_dataclass(part) and isinstance(path := getattr(part, "path", None), str):
                    yield Teacher(f"{place}.path", path, part)


def examined(teacher: Teacher) -> tuple[Finding, float]:
    """Whether its folder is there and can be loaded, and the bytes of its weights; no weights are read."""
    subject, path = teacher.field, teacher.path
    folder = Path(path).expanduser()
    if is_missing(path):
        return Finding(subject, "problem", f"there is no such folder {folder.absolute()}"), 0.0
    if not folder.exists():
        return Finding(subject, "warning", f"{path} is no folder here; it would be looked for on the hub"), 0.0
    if not isinstance(teacher.spec, LikelihoodJudge | LocalChat | ClassifierJudge):
        return Finding(subject, "note", f"{path} is there; {type(teacher.spec).__name__} reads it by itself"), 0.0
    try:
        parameters, width = _size_of(teacher.spec, folder)
    except (ValueError, OSError, KeyError) as error:
        return Finding(subject, "problem", f"{path}: {error}"), 0.0
    size = float(parameters * width)
    return Finding(subject, "ok", f"{path}, {parameters / 1e6:,.2f} M parameters, {shown_size(size)}"), size


def _size_of(spec: LikelihoodJudge | LocalChat | ClassifierJudge, folder: Path) -> tuple[int, int]:
    """Parameters, and bytes of each as it would be loaded.

    Raises:
        ValueError: configuration, tokenizer or weights cannot be loaded from the folder.
    """
    classifies = isinstance(spec, ClassifierJudge)
    kind: Any = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    home = getattr(spec, "tokenizer", None) or folder
    tokenizer: Any = AutoTokenizer.from_pretrained(home, trust_remote_code=False)
    if isinstance(spec, LocalChat) and not spec.plain_prompt and not tokenizer.chat_template:
        raise ValueError("its tokenizer has no chat template; choose an instruction-tuned model or set plain_prompt")
    require_safetensors(folder, kind.__name__)
    if not any(folder.glob("*.safetensors")):
        raise ValueError("the folder holds no weights (*.safetensors)")
    with torch.device("meta"):
        model = kind.from_config(config, trust_remote_code=False)
    return sum(p.numel() for p in model.parameters()), width_of(spec, str(config.dtype or "float32"))


def width_of(spec: Any, saved: str) -> int:
    """Bytes of a weight as ``spec`` loads it; ``saved`` names the type on disk, as ``float32`` or ``torch.float32``."""
    if isinstance(spec, LikelihoodJudge):
        kept = weight_type(spec.precision)
    else:
        named = getattr(spec, "dtype", "auto")
        kept = getattr(torch, saved.removeprefix("torch.") if named == "auto" else named, torch.float32)
    return torch.empty((), dtype=kept).element_size()


def shown_size(size: float) -> str:
    """``1.20 GB`` or ``3.4 MB``."""
    return f"{size / GIGABYTE:.2f} GB" if size >= 0.1 * GIGABYTE else f"{size / 1e6:.1f} MB"
