"""The words of ``tutelage judge-check``; what it does lies in ``judging``, imported when it is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, slots=True)
class JudgeCheck:
    """Measure a judge by labelled texts; --model.temperature 0 and the like change how its model is asked."""

    judge: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL|FILE")]
    """A model's folder; with --server the model's name there; or a run.yaml, whose own judges are measured."""
    server: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="URL")] = ()
    """A server that has the model, as http://localhost:8000/v1; may be given several times."""
    sets: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="SET…")] = None
    """Which labelled sets; all that are found if neither they nor a file are given."""
    file: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A JSON Lines file of your own labelled texts; may be given several times."""
    data: Path = Path("../shared/data")
    """Folder that holds the labelled sets."""
    items: int = 100
    """Most texts of a set, drawn by the seed."""
    samples: int = 2
    """How often each question is asked."""
    injections: int | None = None
    """How many texts that talk to the judge; the whole suite if not given, 0 for none."""
    form: Literal["reasoned", "label", "likelihood"] | None = None
    """How verdicts are given; as the prompts have it if not given."""
    require: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="[SET.]FIGURE=NUMBER")] = ()
    """What must be reached, as accuracy=0.8; exits with 1 otherwise. May be given several times."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers there too."""
    seed: int = 0
    """Of the texts drawn, the fences and the answers."""
    imports: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="import", metavar="MODULE")] = ()
    """A module that the run's classes come from; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Measure."""
        from tutelage.commands.judging import judge_check_command

        return judge_check_command(self, rest)
