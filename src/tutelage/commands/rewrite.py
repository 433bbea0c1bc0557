"""``tutelage rewrite``: the rewriter over a whole corpus into a side-table, which runs then read for nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import ConsoleRenderable, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tutelage.bulk import Bulk, BulkStatus, Extent, Watch, bulk_of_run, rewrite_corpus
from tutelage.codec import Tokenizer
from tutelage.commands.choosing import choose, known
from tutelage.commands.failing import UsageError
from tutelage.commands.progress import BAR, Display, duration
from tutelage.commands.servers import surveyed
from tutelage.commands.terminal import messages, results
from tutelage.config import ConfigError, parse_arguments, with_settings
from tutelage.endpoints import ENDING, Ended, Endpoint, forget, survey
from tutelage.protocols import RewriterSpec, StreamSpec
from tutelage.quiet import hush
from tutelage.run import Run
from tutelage.signals import Interrupted, asking, raising
from tutelage.sources import PromptRewriter
from tutelage.stream import Corpus, Splits, TextStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for; the fields of ``cli.Rewrite``."""

    what: str
    table: Path
    model: str | None = None
    servers: tuple[str, ...] = ()
    tokenizer: str | None = None
    phase: int | None = None
    documents: int | None = None
    epochs: int = 1
    documents_per_part: int = 256
    retry_failed: bool = False
    max_failed: float = 0.5
    ray: str | None = None
    workers: int = 4
    imports: tuple[str, ...] = ()


def rewrite_command(order: Order, words: Sequence[str]) -> int:
    """Write the table, or what it lacks.

    Raises:
        Interrupted: after a signal, the parts in progress finished.
    """
    bulk = bulk_of_corpus(order, words) if _is_corpus(order) else _bulk_of_config(order, words)
    fill_table(order, bulk, "rewrites")
    results().print(
        f"Read it in a run by: {{class: RewriteSource, rewriter: {{class: StoredRewrites, table: {order.table}}}}}",
        soft_wrap=True,
    )
    return 0


def fill_table(order: Order, bulk: Bulk, what: str) -> None:
    """Write the table of ``bulk``, or what it lacks, and show how far it is; ``what`` names its rows.

    Servers are looked at first: one that is away or has another model is told of before the corpus is read. What is
    finished needs none, so that this ends nothing; the first request does.

    Raises:
        Interrupted: after a signal, the parts in progress finished.
    """
    hush()
    if order.ray is None:  # Whether workers elsewhere reach their servers is not to be seen from here.
        for finding in surveyed(bulk.rewriter, survey):
            if finding.verdict == "problem":
                messages().print(finding.told, soft_wrap=True)
    extent = Extent(order.documents, order.retry_failed, order.max_failed)
    with Display(messages()) as display:

        def watch(status: BulkStatus) -> None:
            display.show(lambda: _picture(status, what), lambda: _line(status, what))

        work = _here if order.ray is None else _on_ray
        seen, status = work(order, bulk, extent, watch)
        display.show(lambda: _picture(status, what), lambda: _line(status, what), now=True)
    forget()
    if status.passed_over:
        told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in status.passed_over.items())
        messages().print(f"Not read: {told}", soft_wrap=True)
    if seen:
        raise Interrupted(seen[0], f"What is finished is in {order.table}")


def _here(order: Order, bulk: Bulk, extent: Extent, watch: Watch) -> tuple[list[int], BulkStatus]:
    """On this machine; with the signal that ended it early, if one did: parts in progress are finished first.

    Raises:
        Interrupted: after a signal at once where it waited for servers, which may never come back.
    """
    ENDING.clear()
    with asking(ENDING.set) as seen:
        try:
            status = rewrite_corpus(bulk, order.table, extent, watch=watch, stopped=lambda: bool(seen))
        except Ended as ended:
            raise Interrupted(seen[0], f"What is finished is in {order.table}") from ended
    return seen, status


def _on_ray(order: Order, bulk: Bulk, extent: Extent, watch: Watch) -> tuple[list[int], BulkStatus]:
    """By Ray; a signal ends it at once, and loses the parts in progress."""
    from tutelage.bulk.on_ray import rewrite_on_ray

    assert order.ray is not None
    messages().print("Looking for where parts begin: the corpus is read once, or what was not read of it before")
    with raising():
        places = (bulk, order.table, extent)
        status = rewrite_on_ray(*places, address=order.ray, workers=order.workers, imports=order.imports, watch=watch)
    return [], status


def _is_corpus(order: Order) -> bool:
    path = Path(order.what).expanduser()
    is_run = path.suffix in (".yaml", ".yml") or (path / "run.yaml").is_file()
    return order.what not in known() and not is_run and path.exists()


def _bulk_of_config(order: Order, words: Sequence[str]) -> Bulk:
    if order.model or order.servers or order.tokenizer:
        raise UsageError(f"{order.what} names its rewriter and tokenizer itself: change them by --path.to.field value")
    file = Path(order.what) / "run.yaml"
    plan = choose(str(file) if file.is_file() else order.what, words, order.imports)
    if not isinstance(plan, Run):
        raise UsageError(f"{order.what} is a study; name the run.yaml of one of its runs")
    return bulk_of_run(plan, order.phase, epochs=order.epochs, documents_per_part=order.documents_per_part)


def bulk_of_corpus(order: Order, words: Sequence[str]) -> Bulk:
    """A corpus by its path, all of it, cut as ``TextStream`` does by default; ``words`` change ``stream`` and the rest.

    Raises:
        UsageError: the rewriter or the tokenizer is missing, or a word makes no sense.
    """
    if not (order.model and order.servers and order.tokenizer):
        raise UsageError(
            f"{order.what} is a corpus: name the rewriter by --model NAME --server http://HOST:PORT/v1 and the "
            "policy's tokenizer by --tokenizer FOLDER; or name a run instead"
        )
    stream = TextStream((Corpus(order.what),), splits=ALL)
    rewriter = PromptRewriter(Endpoint(order.model, order.servers, role="rewriter"))
    return changed(order, words, stream, rewriter, Tokenizer(order.tokenizer))


ALL = Splits(policy=1.0, validation=0.0, test=0.0)
"""Of a corpus that is named by itself."""


def changed(
    order: Order, words: Sequence[str], stream: StreamSpec, rewriter: RewriterSpec, tokenizer: Tokenizer
) -> Bulk:
    """A bulk of these, with what ``words`` change of it.

    Raises:
        UsageError: a word makes no sense.
    """
    bulk = Bulk(
        stream=stream,
        rewriter=rewriter,
        tokenizer=tokenizer,
        epochs=order.epochs,
        documents_per_part=order.documents_per_part,
    )
    try:
        return with_settings(bulk, parse_arguments(words), imports=order.imports)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _picture(status: BulkStatus, what: str) -> ConsoleRenderable:
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=status.share or 0.0, width=BAR)
    grid.add_row(Text(what, "bold"), bar, Text(_numbers(status, what)))
    return Group(grid)


def _line(status: BulkStatus, what: str) -> str:
    return f"{what}: {_numbers(status, what)}"


def _numbers(status: BulkStatus, what: str) -> str:
    parts = [f"{status.share:.0%}"] if status.share is not None else []
    parts += [f"{status.documents:,} documents", f"{status.rows - status.failed:,} {what}"]
    parts += [f"{status.failed:,} failed"] if status.failed else []
    parts += [f"{status.new_documents / max(status.elapsed, 1e-9):,.1f} documents/s"] if status.new_documents else []
    parts += [duration(status.elapsed), f"to go {duration(0.0 if status.share == 1.0 else status.eta)}"]
    if status.tokens:
        parts.append(f"{status.tokens:,.0f} tokens")
    if status.cost:
        final = f" of about {status.final_cost:,.2f}" if status.final_cost is not None and status.share != 1.0 else ""
        parts.append(f"cost {status.cost:,.2f}{final}")
    return " · ".join(parts)
