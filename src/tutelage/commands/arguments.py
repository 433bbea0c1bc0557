"""The words of further commands; see ``cli``, which imports this when nothing heavy may be loaded yet."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from tutelage.commands.failing import UsageError

Imports = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="import", metavar="MODULE")]
Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Rewrite a whole corpus into a side-table, once for all runs; goes on where it stopped."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE|FILE|CORPUS")]
    """A run, whose rewriter, documents and cuts are taken; or a file or folder of documents."""
    table: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The table's folder."""
    model: str | None = None
    """Of a corpus: the rewriter's model, as its servers list it."""
    servers: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="server", metavar="URL")] = ()
    """Of a corpus: an address that has the model; may be given several times."""
    tokenizer: str | None = None
    """Of a corpus: the folder of the policy's tokenizer."""
    phase: int | None = None
    """Of a run with several rewriters: the phase, counted from 0."""
    documents: int | None = None
    """Only the first so many that a run reads; may be raised later."""
    epochs: int = 1
    """How often the corpus is read; random cuts differ from epoch to epoch."""
    documents_per_part: int = 256
    """Documents of a file of the table: what is lost at most when a machine dies."""
    retry_failed: Flag = False
    """Ask again about what has no rewrite in files that are finished."""
    max_failed: float = 0.5
    """Stop at a file in which more than this share has no rewrite."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Work by Ray Data on the cluster there: auto, ray://HOST:PORT, or local to start one."""
    workers: int = 4
    """Of Ray: processes."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Rewrite."""
        from tutelage.commands.rewrite import Order, rewrite_command

        return rewrite_command(Order(**_given(self)), rest)


@dataclass(frozen=True, slots=True)
class Label:
    """Label a corpus: unanimous verdicts of a run's judge, suspicious words, n-grams shared with evaluation sets."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE|FILE")]
    """A run, whose documents, cuts and judges are taken."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for documents.jsonl, labels.jsonl (those of them with a label) and counts.json."""
    documents: int
    """How many documents are read."""
    axis: str = "safety"
    """What the judge says; it must score each text by itself. none asks no judge."""
    samples: int = 8
    """How often it is asked, each time with another seed; only unanimous verdicts are labels."""
    words: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A word or phrase a line: documents with one of them are marked as suspicious."""
    least_words: int = 1
    """So many of them, repeats counted, make a document suspicious; the paper takes 5."""
    tagged: Flag = False
    """Only documents to which their corpus gives a tag (tags_column) are suspicious, as in the paper."""
    overlap: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of evaluation sets: 13-grams that documents share with each of them are counted."""
    texts: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """Rewrites or thoughts to compare with the evaluation sets too: a table of rewrite or think, or any file or folder
    with a column text; may be given several times."""
    phase: int = 0
    """The phase whose documents and judges are taken, counted from 0."""
    split: str = "judge"
    """Of the documents; the policy is not trained on those of judge and rewriter."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Label."""
        from tutelage.commands.label import Order, label_command

        return label_command(Order(**_given(self)), rest)


@dataclass(frozen=True, slots=True)
class Think:
    """Have a teacher write thoughts into a whole corpus, no character of which changes; goes on where it stopped."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CORPUS")]
    """A file or folder of documents."""
    table: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The table's folder."""
    model: str | None = None
    """The teacher's model, as its servers list it."""
    servers: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="server", metavar="URL")] = ()
    """An address that has the model; may be given several times."""
    tokenizer: str | None = None
    """The folder of the policy's tokenizer."""
    documents: int | None = None
    """Only the first so many that a run reads; may be raised later."""
    documents_per_part: int = 256
    """Documents of a file of the table: what is lost at most when a machine dies."""
    retry_failed: Flag = False
    """Ask again about documents that failed in files that are finished."""
    max_failed: float = 0.5
    """Stop at a file in which more than this share failed."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Work by Ray Data on the cluster there: auto, ray://HOST:PORT, or local to start one."""
    workers: int = 4
    """Of Ray: processes."""
    imports: Imports = ()
    """A module whose classes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Think."""
        from tutelage.commands.think import Order, think_command

        return think_command(Order(**_given(self)), rest)


@dataclass(frozen=True, slots=True)
class Plan:
    """Tokens, calls, GPU-hours and money of a run, before anything is spent."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE|FILE")]
    """What is to be trained."""
    rates: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="rate", metavar="ROLE=N")] = ()
    """Tokens a second of one GPU in a role: train, rollout, rewriter, judge.quality …; may be given several times."""
    measured: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Take rates and lengths of answers from the metrics of this run."""
    answers: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="answer", metavar="ROLE=N")] = ()
    """Mean length of a role's answers in tokens; the most that a prompt allows if not given."""
    gpu_price: float = 0.0
    """Of a GPU-hour; what servers cost by their own price is not counted twice."""
    bytes_per_token: float = 4.0
    """Of prompts in the teachers' tokenizers."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers there too."""
    imports: Imports = ()
    """A module whose classes and recipes may be named; its code is run."""

    def execute(self, rest: Sequence[str]) -> int:
        """Plan."""
        from tutelage.commands.plan import Question, plan_command

        given = (self.rates, self.measured, self.answers, self.gpu_price, self.bytes_per_token, self.json, self.imports)
        return plan_command(self.what, rest, Question(*given))


@dataclass(frozen=True, slots=True)
class View:
    """Show runs in the browser, live: curves, and every sample with what was said of it."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN…")]
    """Directories of runs; that of a study stands for all of its runs."""
    port: int | None = None
    """Where it listens, 0 for any that is free; 8765 or any if not given."""
    host: str = "127.0.0.1"
    """The address that it listens on. Whoever reaches it can read the runs: the default is this machine alone."""
    names: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="name", metavar="NAME")] = ()
    """With --host: a name or address by which browsers may call it; may be given several times."""
    browse: Flag = False
    """Open the page in the browser of this machine."""

    def execute(self, rest: Sequence[str]) -> int:
        """Serve."""
        if rest or not self.runs:
            raise UsageError(f"unknown here: {' '.join(rest)}; --help lists what there is" if rest else "name a run")
        from tutelage.commands.view import view_command

        return view_command(self.runs, host=self.host, port=self.port, names=self.names, browse=self.browse)


def _given(command: Any) -> dict[str, Any]:
    return {field.name: getattr(command, field.name) for field in fields(command)}
