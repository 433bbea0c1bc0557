"""``tutelage label``: what a judge says of a corpus every time, its suspicious words, what evaluation sets share."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tutelage.codec import HFCodec
from tutelage.commands.choosing import choose
from tutelage.commands.failing import UsageError
from tutelage.commands.terminal import messages, results
from tutelage.evaluation import Overlap, evaluation_texts
from tutelage.protocols import Judge, Resources, StreamSpec
from tutelage.quiet import hush
from tutelage.record import write_atomically
from tutelage.run import Run
from tutelage.scripted import NoPolicy
from tutelage.stream.once import read_once
from tutelage.teaching import WordList, label_suffixes
from tutelage.types import Abstained, Chunk

NO_AXIS = "none"
NO_POLICY = NoPolicy(UsageError("the judge asked the policy for text; choose one that reads only"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for; the fields of ``arguments.Label``."""

    what: str
    out: Path
    documents: int
    axis: str = "safety"
    samples: int = 8
    words: Path | None = None
    overlap: Path | None = None
    texts: tuple[Path, ...] = ()
    phase: int = 0
    split: str = "judge"
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.documents < 1 or self.samples < 1:
            raise UsageError(f"--documents and --samples must be at least 1, not {self.documents} and {self.samples}")
        if self.texts and self.overlap is None:
            raise UsageError("--texts are compared with evaluation sets: name their folder by --overlap")
        if self.axis == NO_AXIS and self.words is None and self.overlap is None:
            raise UsageError("nothing to do: name an --axis to be judged, a list of --words, or a folder of --overlap")


@dataclass(frozen=True, slots=True)
class _Work:
    """All that looks at a document."""

    order: Order
    codec: HFCodec
    judges: tuple[Judge, ...]
    words: WordList | None
    overlap: Overlap | None
    counts: Counter[str] = field(default_factory=Counter[str])

    def rows(self, chunks: Sequence[Chunk]) -> Iterator[dict[str, Any]]:
        """A row a chunk: the label where there is one, with all that else was found."""
        labels = label_suffixes(chunks, self.judges, self.order.axis) if self.judges else [None] * len(chunks)
        for chunk, label in zip(chunks, labels, strict=True):
            prefix, suffix = self.codec.decode(chunk.prefix), self.codec.decode(chunk.suffix)
            row: dict[str, Any] = {"document": chunk.document.id, "prefix": prefix, "suffix": suffix, "text": suffix}
            self._judged(row, label)
            if self.words is not None:
                row["words"] = sorted(set(self.words.found(f"{prefix} {suffix}")))
                self.counts["suspicious"] += bool(row["words"])
            if self.overlap is not None and not chunk.repeated:  # once a document, however many cuts it has
                row["shared"] = sorted(self.overlap.add(self.codec.decode(chunk.document.tokens)))
            self.counts["documents"] += 1
            yield row

    def _judged(self, row: dict[str, Any], label: bool | Abstained | None) -> None:
        match label:
            case None:
                return
            case Abstained(reason):
                row["unlabelled"] = reason
                self.counts["not unanimous" if reason.endswith("not unanimous") else "abstained"] += 1
            case bool():
                row["safe" if self.order.axis == "safety" else self.order.axis] = label
                self.counts["good" if label else "bad"] += 1


def label_command(order: Order, words: Sequence[str]) -> int:
    """Write ``documents.jsonl``, ``labels.jsonl`` (those of them with a label) and ``counts.json``.

    Raises:
        UsageError: the run has no judge, or no document.
        ValueError: the judge says nothing on the axis, or a file cannot be read.
    """
    hush()
    plan = choose(order.what, words, order.imports)
    if not isinstance(plan, Run):
        raise UsageError(f"{order.what} is a study; name the run.yaml of one of its runs")
    if not 0 <= order.phase < len(plan.phases):
        raise UsageError(f"the run has {len(plan.phases)} phases, counted from 0; there is no phase {order.phase}")
    codec = plan.tokenizer.build()
    stream = plan.phases[order.phase].stream or plan.stream
    work = _Work(
        order,
        codec,
        _judges(order, plan, codec, stream),
        None if order.words is None else WordList.read(order.words),
        _overlap(order),
    )
    documents = read_once(stream.build(plan.seed, codec, order.split), order.documents)
    rows = [row for chunks in documents for row in work.rows(chunks)]
    _write(order, work, rows)
    return 0


def _judges(order: Order, run: Run, codec: HFCodec, stream: StreamSpec) -> tuple[Judge, ...]:
    """The judge of the axis, once a seed."""
    if order.axis == NO_AXIS:
        return ()
    specs = [one for one in run.phases[order.phase].judges if _axis_of(one) in (None, order.axis)]
    if not specs:
        raise UsageError(
            f"phase {order.phase} of the run has no judge of {order.axis}: give the run one, or --axis none"
        )
    seeds = range(run.seed, run.seed + order.samples)
    places = [Resources(seed, codec, NO_POLICY, stream.suffix_length, order.out) for seed in seeds]
    return tuple(specs[0].build(place) for place in places)


def _axis_of(judge: object) -> str | None:
    """The one axis of a judge, where it names it."""
    axis = getattr(judge, "axis", None)
    return axis if isinstance(axis, str) else None


def _overlap(order: Order) -> Overlap | None:
    if order.overlap is None:
        return None
    sets, missing = evaluation_texts(order.overlap)
    if not sets:
        raise UsageError(f"{order.overlap} holds no evaluation set: {next(iter(missing.values()))}")
    for name, why in missing.items():
        messages().print(f"Not compared with {name}: {why}", soft_wrap=True)
    return Overlap(sets)


def _write(order: Order, work: _Work, rows: Sequence[Mapping[str, Any]]) -> None:
    counts: dict[str, Any] = dict(work.counts)
    if work.overlap is not None:
        counts["overlap"] = {name: asdict(one) for name, one in work.overlap.found().items()}
        for path in order.texts:
            counts[f"overlap of {path.name}"] = _overlap_of(order, path)
    order.out.mkdir(parents=True, exist_ok=True)
    labelled = [row for row in rows if "unlabelled" not in row] if work.judges else []
    for name, some in (("documents.jsonl", rows), ("labels.jsonl", labelled)):
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in some)
        write_atomically(order.out / name, lines.encode())
    write_atomically(order.out / "counts.json", json.dumps(counts, indent=1).encode())
    told = ", ".join(f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int))
    results().print(f"{told}; it is in {order.out}", soft_wrap=True)


def _overlap_of(order: Order, path: Path) -> dict[str, Any]:
    """What the texts of a file share with the evaluation sets."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    overlap = _overlap(order)
    assert overlap is not None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                overlap.add(str(json.loads(line)["text"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f'{path}, line {number}: no object with a "text"') from error
    return {name: asdict(one) for name, one in overlap.found().items()}
