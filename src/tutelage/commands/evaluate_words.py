"""The words of ``tutelage evaluate``; what it does lies in ``evaluate`` and ``protocol``, imported when called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tutelage.commands.arguments import Flag, Imports
from tutelage.commands.failing import UsageError


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure models: likelihood of held-out text; with --out the paper's protocol; with --correction self-correction.

    --stream.text-column NAME and the like say how text is read, --model.temperature 0 and the like how the judge's
    model is asked, --task.max-new-tokens 1024 and the like how problems are.
    """

    models: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL…")]
    """Hugging Face folders, or directories of finished runs."""
    path: str | None = None
    """A file or folder of documents."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Instead of a path: a run, whose held-out documents are read."""
    split: str | None = None
    """Which keyed split: all documents of a path if not given, and the validation split of a run."""
    tokenizer: str | None = None
    """Read all models with this tokenizer; each with its own if not given."""
    documents: int = 200
    """Documents to read for their likelihood."""
    max_length: int = 2048
    """Most tokens of a window; the model's context if that is shorter."""
    against: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """The base: comparisons are with it, and differences to it are told."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers there too."""
    precision: Literal["float32", "float64", "bfloat16", "mixed", "auto"] = "float32"
    """How the models are computed."""
    imports: Imports = ()
    """A module that the run's classes come from; its code is run."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Measure by the paper's protocol, and keep tables, page and all that was written and said here; with --correction
    keep what became of the episodes."""
    suites: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="SUITE…")] = None
    """Of quality, coherence, safety, factuality, standard, diversity, likelihood; all that can be if not given."""
    judge: Annotated[str | None, tyro.conf.arg(metavar="MODEL|FILE")] = None
    """Who reads: a chat model's folder; with --server its name there; or a run.yaml, whose judges are taken."""
    server: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="URL")] = ()
    """A server that has the judge, as http://localhost:8000/v1; may be given several times. With --correction the
    models themselves are there."""
    form: Literal["reasoned", "label", "likelihood"] | None = None
    """How verdicts are given; as the prompts have it if not given."""
    samples: int = 8
    """How often each question is asked, pairs in either order."""
    unsafe: Annotated[str | None, tyro.conf.arg(metavar="PATH|held-out")] = None
    """Where unsafe beginnings are looked for: the judge must find them so every time."""
    data: Path = Path("../shared/data")
    """Folder that holds the public sets."""
    items: int = 1000
    """Most items of a set, drawn by the seed; sets are no larger than in the paper."""
    suffix_length: int | None = None
    """Tokens of a continuation; 128 if not given, or as the run has it."""
    tasks: Literal["none", "local", "hub"] = "none"
    """Standard tasks through lm-eval: from files under --data, or with data that lm-eval fetches."""
    shown: int = 20
    """Beginnings on the page with all continuations and verdicts, drawn by the seed."""
    seed: int = 0
    """Of the items drawn, the fences and the answers."""
    correction: Flag = False
    """Measure how well the models solve problems and correct themselves."""
    problems: Annotated[str | None, tyro.conf.arg(metavar="SET|FILE")] = None
    """Of --correction: gsm8k, math, mbpp or humaneval, each its test problems below --data; or a file of JSON lines.
    With --run the task of that run."""
    turns: int = 2
    """Of --correction: attempts of an episode, at most ten."""
    episodes: int = 1
    """Of --correction: episodes of a problem, which vote; needs a temperature."""
    temperature: float | None = None
    """Of --correction: 0, which decodes greedily, if not given."""
    first_attempts: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Of --correction: also behind these first attempts of another model, {"problem": id, "attempt": text} a line."""
    neutral: Annotated[str | None, tyro.conf.arg(metavar="default|TEXT")] = None
    """Of --correction: also with a second instruction that asks for no correction, the control at the same budget."""

    def execute(self, rest: Sequence[str]) -> int:
        """Measure."""
        if self.correction:
            from tutelage.commands.correcting import correction_command

            return correction_command(self, rest)
        _refuse_alone(self)
        if self.out is not None:
            from tutelage.commands.protocol import protocol_command

            return protocol_command(self, self.out, rest)
        from tutelage.commands.evaluate import Question, evaluate_command

        return evaluate_command(Question.of(self), rest)


def _refuse_alone(asked: Evaluate) -> None:
    """Refuse words that only --correction knows."""
    given: dict[str, object] = {
        "problems": asked.problems,
        "turns": asked.turns != 2,
        "episodes": asked.episodes != 1,
        "temperature": asked.temperature is not None,
        "first-attempts": asked.first_attempts,
        "neutral": asked.neutral,
    }
    for name, value in given.items():
        if value:
            raise UsageError(f"--{name} belongs to --correction")
