"""The command line: arguments only. What a command does lies in ``commands``, imported when it is called.

So ``tutelage --help`` answers at once, though torch takes seconds to load. Exit codes: 0 done, 1 failed, 2 a command
line that makes no sense, 130 and 143 after SIGINT and SIGTERM.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tutelage import __version__
from tutelage.commands.arguments import Flag, Imports, Label, Plan, Rewrite, Think, View
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.commands.judge_check import JudgeCheck
from tutelage.commands.untrusted import visible
from tutelage.signals import Interrupted

DESCRIPTION = (
    "Pretrain language models under the tutelage of better ones. --debug shows tracebacks, --version the release."
)


@dataclass(frozen=True, slots=True)
class Train:
    """Train a recipe or a run.yaml; --path.to.field VALUE changes any setting."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE|FILE")]
    """A recipe's name (see: tutelage recipes), whose own parameters are flags too; or a YAML file of a run or study."""
    directory: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where it is kept; runs/NAME if not given. Resumes what is there, and refuses another run's directory."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""
    print_config: Flag = False
    """Print what would be trained as YAML, and stop."""

    def execute(self, rest: Sequence[str]) -> int:
        """Train."""
        from tutelage.commands.train import train_command

        return train_command(
            self.what, rest, directory=self.directory, imports=self.imports, print_config=self.print_config
        )


@dataclass(frozen=True, slots=True)
class Demo:
    """Run the proving ground: all methods in a miniature world, in minutes on two cores."""

    seeds: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="SEED…")] = None
    """Seeds to repeat it with; 1 2 3 if not given."""
    directory: Path = Path("runs/demo")
    """Where it is kept."""

    def execute(self, rest: Sequence[str]) -> int:
        """Run it."""
        _refuse(rest)
        from tutelage.commands.demo import demo_command

        return demo_command(seeds=self.seeds, directory=self.directory)


@dataclass(frozen=True, slots=True)
class Show:
    """Read the candidates and verdicts of any step of a run."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run's directory."""
    step: int | None = None
    """Which update, counted from 1 as in metrics.jsonl; the last one whose text was kept if not given."""
    document: str | None = None
    """Only the pools of this document."""
    limit: int = 5
    """Most pools to show."""
    whole: Flag = False
    """Show whole prefixes, not only their ends."""

    def execute(self, rest: Sequence[str]) -> int:
        """Print them."""
        _refuse(rest)
        from tutelage.commands.show import show_command

        return show_command(self.run, step=self.step, document=self.document, limit=self.limit, whole=self.whole)


@dataclass(frozen=True, slots=True)
class Replay:
    """Feed a recorded step to the trainer alone; nothing is written."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run's directory."""
    step: int
    """Which update, counted from 1 as in metrics.jsonl."""
    limit: int = 5
    """Most pools to show."""
    imports: Imports = ()
    """A module that the run's classes come from; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Replay it."""
        _refuse(rest)
        from tutelage.commands.replay import replay_command

        return replay_command(self.run, self.step, limit=self.limit, imports=self.imports)


@dataclass(frozen=True, slots=True)
class Export:
    """Write the policy of a checkpoint as a Hugging Face folder."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run's directory."""
    step: int | None = None
    """Which checkpoint; the newest if not given."""
    best: Annotated[str | None, tyro.conf.arg(metavar="METRIC")] = None
    """Instead of a step: the one with the highest mean of this metric, as accuracy/turn2; of those that are kept."""
    window: int = 20
    """Of --best: steps that the mean is over."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where to write it; hf/ inside the checkpoint if not given."""
    imports: Imports = ()
    """A module that the run's classes come from; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Write it."""
        _refuse(rest)
        from tutelage.commands.export import export_command

        how: dict[str, Any] = {"best": self.best, "window": self.window, "imports": self.imports}
        return export_command(self.run, step=self.step, out=self.out, **how)


@dataclass(frozen=True, slots=True)
class Recipes:
    """List the recipes, or print one as YAML."""

    name: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RECIPE]")] = None
    """Which one; all are listed if not given."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Print."""
        from tutelage.commands.recipes import recipes_command

        return recipes_command(self.name, rest, imports=self.imports)


@dataclass(frozen=True, slots=True)
class Doctor:
    """Check the machine, and a run's data, tokenizer, model and memory."""

    what: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RECIPE|FILE]")] = None
    """What is to be trained; only the machine is looked at if not given."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Look."""
        from tutelage.commands.doctor import doctor_command

        return doctor_command(self.what, rest, imports=self.imports)


Command = (
    Train
    | Demo
    | Evaluate
    | JudgeCheck
    | Show
    | Replay
    | Export
    | Recipes
    | Doctor
    | Rewrite
    | Label
    | Think
    | Plan
    | View
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        sys.stdout.write(f"tutelage {__version__}\n")
        return 0
    try:
        command, rest = tyro.cli(
            Command,  # pyright: ignore[reportArgumentType]
            prog="tutelage",
            description=DESCRIPTION,
            args=words,
            return_unknown_args=True,
        )
        return command.execute(rest)
    except UsageError as error:
        return _fail(2, str(error), debug)
    except (Interrupted, KeyboardInterrupt) as stop:
        number = stop.number if isinstance(stop, Interrupted) else 2
        told = f"{stop.told}. " if isinstance(stop, Interrupted) and stop.told else ""
        return _fail(128 + number, f"Stopped by a signal. {told}Resume with the same command.", debug)
    except BrokenPipeError:
        # The reader of our output left, as `head` does; what is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _fail(1, _told(error), debug)


def _refuse(rest: Sequence[str]) -> None:
    if rest:
        raise UsageError(f"unknown here: {' '.join(rest)}; --help lists what there is")


def _told(error: Exception) -> str:
    """An expected error's own message; an unexpected one's with its type and a way on."""
    expected = isinstance(error, ValueError | OSError) or type(error).__name__ in ("RunStopped", "StudyStopped")
    if expected and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}. This is not an error that was foreseen; --debug shows where it happened"


def _fail(code: int, told: str, debug: bool) -> int:
    """One paragraph on standard error. What an error quotes may come from outside, so it is made visible first."""
    if debug:
        traceback.print_exc()
    rank = os.environ.get("RANK")
    sys.stderr.write(f"tutelage{f' (rank {rank})' if rank else ''}: {visible(told)}\n")
    return code
