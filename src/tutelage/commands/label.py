"""``tutelage label``: what a judge says of a corpus every time, its suspicious words, what evaluation sets share."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tutelage.codec import HFCodec
from tutelage.commands.choosing import choose
from tutelage.commands.failing import UsageError
from tutelage.commands.label_rows import Found, Rows
from tutelage.commands.rewrite import ALL
from tutelage.commands.terminal import messages, results
from tutelage.config import fingerprint, to_plain
from tutelage.endpoints import deciding
from tutelage.evaluation import Overlap, evaluation_texts
from tutelage.protocols import Judge, JudgeSpec, Resources, StreamSpec
from tutelage.quiet import hush
from tutelage.rewrites import finished_parts, read_header, read_rows
from tutelage.run import Run
from tutelage.scripted import NoPolicy
from tutelage.stream import Corpus, TextStream
from tutelage.stream.once import read_once
from tutelage.teaching import Divided, Label, WordList, label_suffixes
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
    least_words: int = 1
    tagged: bool = False
    overlap: Path | None = None
    texts: tuple[Path, ...] = ()
    phase: int = 0
    split: str = "judge"
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.documents, self.samples, self.least_words) < 1:
            given = f"{self.documents}, {self.samples} and {self.least_words}"
            raise UsageError(f"--documents, --samples and --least-words must be at least 1, not {given}")
        if self.texts and self.overlap is None:
            raise UsageError("--texts are compared with evaluation sets: name their folder by --overlap")
        if self.tagged and self.words is None:
            raise UsageError("--tagged narrows what --words find suspicious: name a list of --words")
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

    def rows(self, chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
        """A row a chunk: the label where there is one, with all that else was found."""
        labels = label_suffixes(chunks, self.judges, self.order.axis) if self.judges else [None] * len(chunks)
        return [self._row(chunk, label) for chunk, label in zip(chunks, labels, strict=True)]

    def shared(self, chunk: Chunk) -> list[str]:
        """The evaluation sets that a document shares something with; once a document, however many cuts it has."""
        if self.overlap is None or chunk.repeated:
            return []
        return sorted(self.overlap.add(self.codec.decode(chunk.document.tokens)))

    def _row(self, chunk: Chunk, label: Label | None) -> dict[str, Any]:
        prefix, suffix = self.codec.decode(chunk.prefix), self.codec.decode(chunk.suffix)
        row: dict[str, Any] = {"document": chunk.document.id, "prefix": prefix, "suffix": suffix, "text": suffix}
        row |= {} if label is None else self._judged(label)
        if chunk.document.tags:
            row["tags"] = list(chunk.document.tags)
        if self.words is not None:
            met = self.words.found(f"{prefix} {suffix}")
            row["words"] = sorted(set(met))
            tagged = bool(chunk.document.tags) or not self.order.tagged
            row["suspicious"] = len(met) >= self.order.least_words and tagged
        if self.overlap is not None:
            row["shared"] = self.shared(chunk)
        return row

    def _judged(self, label: Label) -> dict[str, Any]:
        found: Found
        match label:
            case Divided():
                found = "not unanimous"
            case Abstained():
                found = "abstained"
            case bool():
                axis = "safe" if self.order.axis == "safety" else self.order.axis
                return {axis: label, "label": "good" if label else "bad"}
        return {"unlabelled": label.reason, "label": found}


def label_command(order: Order, words: Sequence[str]) -> int:
    """Write ``documents.jsonl``, ``labels.jsonl`` (those of them with a label) and ``counts.json``.

    What was found is on disk as it is found; a later call with the same words goes on from there.

    Raises:
        UsageError: the run has no judge of the axis, or the folder was begun with other settings.
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
    sets = _evaluation_sets(order)
    beside = {f"overlap of {path.name}": _overlap_of(sets.afresh(), path) for path in order.texts} if sets else {}
    judges = _judges(order, plan, codec, stream)
    work = _Work(order, codec, judges, None if order.words is None else WordList.read(order.words), sets)
    reader = stream.build(plan.seed, codec, order.split)
    rows = Rows(order.out, _digest(order, plan, reader.fingerprint))
    known = rows.known
    for chunks in read_once(reader, order.documents):
        for chunk in chunks[:known]:
            work.shared(chunk)
        if new := chunks[known:]:
            rows.add(work.rows(new))
        known = max(0, known - len(chunks))
    counts = rows.finish(beside if sets is None else {"overlap": _plain(sets), **beside})
    if order.tagged and not counts.get("tagged"):
        messages().print("No document has a tag: name the tags_column of its corpus", soft_wrap=True)
    told = ", ".join(f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int))
    results().print(f"{told}; it is in {order.out}", soft_wrap=True)
    return 0


def _digest(order: Order, run: Run, stream: str) -> str:
    """Of all that rows depend on: documents, judge, and what is asked of both."""
    judges = [deciding(to_plain(one, JudgeSpec)) for one in run.phases[order.phase].judges]
    asked = [order.axis, order.samples, order.least_words, order.tagged, str(order.overlap), order.split]
    words = order.words.read_text("utf-8") if order.words is not None else ""
    return fingerprint([stream, run.seed, judges, asked, words])


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


def _evaluation_sets(order: Order) -> Overlap | None:
    """The sets that are there, their n-grams looked up once for all that is compared with them."""
    if order.overlap is None:
        return None
    sets, missing = evaluation_texts(order.overlap)
    if not sets:
        raise UsageError(f"{order.overlap} holds no evaluation set: {next(iter(missing.values()))}")
    for name, why in missing.items():
        messages().print(f"Not compared with {name}: {why}", soft_wrap=True)
    return Overlap(sets)


def _plain(overlap: Overlap) -> dict[str, Any]:
    return {name: asdict(one) for name, one in overlap.found().items()}


def _overlap_of(overlap: Overlap, path: Path) -> dict[str, Any]:
    """What the texts of a file, a folder or a table share with the evaluation sets."""
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    for text in _texts(path):
        overlap.add(text)
    return _plain(overlap)


def _texts(path: Path) -> Iterator[str]:
    """The column ``text`` of whatever a corpus may lie in, or of a table of ``rewrite`` or ``think``."""
    if not path.is_dir() or read_header(path) is None:
        plain = TextStream((Corpus(str(path)),), splits=ALL, deduplicate=None, strict=True)
        yield from plain.texts(0, "policy")
        return
    for part in finished_parts(path).values():
        yield from (row["text"] for row in read_rows(path, part).to_pylist() if row["text"] is not None)
