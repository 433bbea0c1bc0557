"""``tutelage evaluate``: likelihood of held-out text under Hugging Face folders, with intervals over documents."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from tutelage.codec import Tokenizer
from tutelage.commands.directories import run_directory
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.commands.terminal import messages, results
from tutelage.commands.untrusted import one_line
from tutelage.config import ConfigError, parse_arguments, with_settings
from tutelage.evaluate import document_losses
from tutelage.folders import is_missing
from tutelage.maths.ranges import require
from tutelage.maths.statistics import Interval, bootstrap_ratio, hierarchical_bootstrap
from tutelage.policy import Policy
from tutelage.protocols import StreamSpec
from tutelage.quiet import hush
from tutelage.run import load_run
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.types import Chunk, Document, Tokens
from tutelage.weights import Precision, Pretrained, is_mixed, load_model


@dataclass(frozen=True, slots=True)
class Question:
    """What likelihood is measured on; see ``evaluate_words.Evaluate`` for the fields."""

    models: tuple[str, ...]
    path: str | None = None
    run: Path | None = None
    split: str | None = None
    tokenizer: str | None = None
    documents: int = 200
    max_length: int = 2048
    against: str | None = None
    json_file: Path | None = None
    precision: Precision = "float32"
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self, "documents", at_least=1)
        require(self, "max_length", at_least=2)

    @classmethod
    def of(cls, asked: Evaluate) -> "Question":
        """As it was asked for, without a folder for the results of more.

        Raises:
            UsageError: more was asked for.
        """
        more = {"suites": asked.suites, "judge": asked.judge, "server": asked.server, "form": asked.form}
        more |= {"unsafe": asked.unsafe, "tasks": asked.tasks if asked.tasks != "none" else None}
        given = [f"--{name}" for name, value in more.items() if value]
        if given:
            raise UsageError(f"{given[0]} belongs to the paper's protocol: name the folder of its results by --out DIR")
        return cls(
            models=asked.models,
            path=asked.path,
            run=asked.run,
            split=asked.split,
            tokenizer=asked.tokenizer,
            documents=asked.documents,
            max_length=asked.max_length,
            against=asked.against,
            json_file=asked.json,
            precision=asked.precision,
            imports=asked.imports,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One model on every document."""

    folder: str
    nats: NDArray[np.float64]
    tokens: NDArray[np.float64]
    size: NDArray[np.float64]
    """Bytes of the text whose tokens were scored."""
    tokenizer: str
    """Its fingerprint: only equal ones make nats a token comparable."""


def evaluate_command(question: Question, words: Sequence[str]) -> int:
    """Measure, print a table, write JSON where asked."""
    hush()
    if not question.models:
        raise UsageError("name at least one model folder: tutelage evaluate FOLDER --path CORPUS")
    texts = list(islice(held_out_texts(question, words), question.documents))
    if not texts:
        raise ValueError("the corpus holds no document of this split")
    folders = [model_folder(name) for name in (*question.models, *filter(None, [question.against]))]
    measured: dict[str, Measured] = {}
    for folder in dict.fromkeys(folders):
        messages().print(f"Reading {len(texts)} documents with {one_line(folder)}", soft_wrap=True)
        measured[folder] = measure(folder, texts, question)
    base = measured[folders[-1]] if question.against else None
    found = {folder: figures(one, base if base is not one else None) for folder, one in measured.items()}
    results().print(_table(found, question.against))
    if question.json_file is not None:
        facts = {"corpus": question.path or str(question.run), "documents": len(texts), "against": question.against}
        question.json_file.parent.mkdir(parents=True, exist_ok=True)
        question.json_file.write_text(json.dumps({**facts, "models": found}, indent=2) + "\n", encoding="utf-8")
    return 0


def held_out_texts(question: Question, words: Sequence[str]) -> Iterator[str]:
    """The documents, in keyed order: of a corpus, or of a split that a run did not train on."""
    if (question.path is None) == (question.run is None):
        raise UsageError("name the text by --path CORPUS, or by --run RUN_DIRECTORY for what a run held out")
    if question.path is not None:
        whole = Splits(policy=0.0, validation=0.0, test=1.0) if question.split is None else Splits()
        stream = TextStream((Corpus(question.path),), deduplicate=None, splits=whole)
        yield from stream_with(stream, words).texts(0, question.split or "test")
    elif question.run is not None:
        run = load_run(run_directory(question.run) / "run.yaml", question.imports)
        spec = run.stream
        if isinstance(spec, TextStream):
            yield from stream_with(spec, words).texts(run.seed, question.split or "validation")
        elif words:
            raise UsageError(f"{words[0]}: the stream of this run, {type(spec).__name__}, has no settings here")
        else:
            yield from _decoded(spec, run.tokenizer, run.seed, question.split or "validation")


def stream_with(stream: TextStream, words: Sequence[str]) -> TextStream:
    """The stream with ``--stream.path.to.field value`` applied."""
    try:
        pairs = [(path.removeprefix("stream."), value) for path, value in parse_arguments(words)]
        return with_settings(stream, pairs)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _decoded(spec: StreamSpec, tokenizer: Tokenizer, seed: int, split: str) -> Iterator[str]:
    codec = tokenizer.build()
    stream = spec.build(seed, codec, split)
    cursor = stream.start()
    while True:
        chunks, cursor = stream.read(cursor, 1)
        yield codec.decode(chunks[0].document.tokens)


def model_folder(name: str) -> str:
    """The folder of a model: ``name``, or the ``hf/`` of the run whose directory it is.

    Raises:
        ValueError: no such folder, a study, or a run that is not finished.
    """
    folder = Path(name).expanduser()
    if is_missing(name):
        raise ValueError(f"there is no model folder {name}")
    if not folder.is_dir() or (folder / "config.json").is_file():
        return name
    finished = run_directory(folder) / "hf"
    if not finished.is_dir():
        raise ValueError(
            f"{name} is a run that is not finished; write its checkpoint as a model: tutelage export {name}"
        )
    return str(finished)


def measure(folder: str, texts: Sequence[str], question: Question) -> Measured:
    """Score every document with the model in ``folder``, read by its own tokenizer or the one named."""
    codec = Tokenizer(question.tokenizer or folder).build()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    spec = Pretrained(folder, question.precision)
    model = load_model(spec, codec, seed=0, device=device)
    policy = Policy(model, mixed=is_mixed(spec.precision, device))
    length = min(question.max_length, policy.context_length or question.max_length)
    numbers: list[tuple[float, float, float]] = []
    for index, tokens in enumerate(codec.encode_many(texts)):
        losses = document_losses(policy, windows(tokens, length, str(index)))
        size = len(codec.decode(tokens[1:]).encode())
        numbers.append((sum(n for n, _ in losses), sum(n for _, n in losses), size))
    nats, counts, sizes = np.array(numbers, dtype=np.float64).T
    return Measured(folder, nats, counts, sizes, codec.fingerprint)


def windows(tokens: Tokens, length: int, name: str) -> list[Chunk]:
    """Windows of at most ``length`` tokens that overlap by one, so that all tokens but the first are scored once."""
    document = Document(id=name, corpus="evaluation", epoch=0, tokens=tokens)
    starts = range(0, len(tokens) - 1, length - 1)
    return [Chunk(document, tokens[i : i + 1], tokens[i + 1 : i + length], i + 1) for i in starts]


def figures(one: Measured, base: Measured | None) -> dict[str, Any]:
    """Nats a token and bits a byte with 95 % intervals over documents; the difference to ``base``, paired."""
    bits = one.nats / math.log(2)
    found: dict[str, Any] = {
        "nll": asdict(bootstrap_ratio([one.nats], [one.tokens], seed=0)),
        "bits_per_byte": asdict(bootstrap_ratio([bits], [one.size], seed=0)),
        "tokens": int(one.tokens.sum()),
        "bytes": int(one.size.sum()),
    }
    if base is not None:
        theirs = base.nats / math.log(2)
        found["bits_per_byte_difference"] = asdict(_difference(bits, one.size, theirs, base.size))
        if base.tokenizer == one.tokenizer:
            found["nll_difference"] = asdict(_difference(one.nats, one.tokens, base.nats, base.tokens))
    return found


def _difference(*columns: NDArray[np.float64]) -> Interval:
    """``Σa/Σb − Σc/Σd``, the documents drawn together: what is hard about a document cancels."""

    def apart(means: NDArray[np.float64]) -> float:
        a, b, c, d = means.tolist()
        return a / b - c / d if b and d else math.nan

    return hierarchical_bootstrap([np.stack(columns, axis=1)], statistic=apart, seed=0)


def _table(found: Mapping[str, Mapping[str, Any]], against: str | None) -> Table:
    told = f"; differences to {one_line(against, 60)}, document by document" if against else ""
    table = Table(caption=f"95 % intervals over documents{told}", caption_justify="left")
    titles = ("model", "tokens", "nats a token", "bits a byte")
    for title in (*titles, *(("difference in bits a byte",) if against else ())):
        # A path stays whole; figures have spaces to be broken at.
        named = title == "model"
        table.add_column(title, justify="left" if named else "right", overflow="fold", no_wrap=named)
    for folder, numbers in found.items():
        cells = [one_line(folder, 60), f"{numbers['tokens']:,}", _cell(numbers["nll"]), _cell(numbers["bits_per_byte"])]
        if against:
            apart = numbers.get("bits_per_byte_difference")
            cells.append("–" if apart is None else _cell(apart, "+"))
        table.add_row(*map(Text, cells))
    return table


def _cell(interval: Mapping[str, float], sign: str = "") -> str:
    mean, low, high = (format(interval[key], f"{sign}.4f") for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
