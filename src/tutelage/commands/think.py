"""``tutelage think``: a teacher's thoughts into a whole corpus, for supervised training and for practice by RL."""

from collections.abc import Sequence
from pathlib import Path

from tutelage.bulk import Bulk
from tutelage.codec import Tokenizer
from tutelage.commands.failing import UsageError
from tutelage.commands.rewrite import ALL, Order, changed, fill_table
from tutelage.commands.terminal import results
from tutelage.endpoints import Endpoint
from tutelage.stream import Corpus, TextStream
from tutelage.thinking import PromptThinker, WholeDocuments
from tutelage.thinking.table import LONGEST

__all__ = ["Order", "think_command"]


def think_command(order: Order, words: Sequence[str]) -> int:
    """Write the table, or what it lacks.

    Raises:
        UsageError: the corpus, the teacher or the tokenizer is missing, or a word makes no sense.
        Interrupted: after a signal, the parts in progress finished.
    """
    fill_table(order, _bulk(order, words), "documents with thoughts")
    table = f"{{class: ThoughtTable, table: {order.table}}}"
    results().print(f"Read it in a run by: {{class: ThoughtStream, use: sft, stream: {table}}}", soft_wrap=True)
    return 0


def _bulk(order: Order, words: Sequence[str]) -> Bulk:
    if not Path(order.what).expanduser().exists():
        raise UsageError(f"there is no corpus {order.what!r}: name a file or a folder of documents")
    if not (order.model and order.servers and order.tokenizer):
        raise UsageError(
            "name the teacher by --model NAME --server http://HOST:PORT/v1 and the policy's tokenizer by --tokenizer "
            "FOLDER"
        )
    texts = TextStream((Corpus(order.what),), min_prefix=1, min_suffix=1, window_chars=LONGEST, splits=ALL)
    teacher = PromptThinker(Endpoint(order.model, order.servers, role="thinker"))
    return changed(order, words, WholeDocuments(texts), teacher, Tokenizer(order.tokenizer))
