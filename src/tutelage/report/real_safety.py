"""Classifiers of safety on labelled sets, and what policies write behind the beginnings of web text, by all of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.codec import Tokenizer
from tutelage.judge_check import Passage, half_of, load_known, prompt_rows
from tutelage.maths.statistics import hierarchical_bootstrap, wilson
from tutelage.protocols import StreamSpec
from tutelage.record import write_atomically
from tutelage.report.texts import Written, text_figures, write_texts
from tutelage.stream import data_root
from tutelage.teaching import WordList, classified
from tutelage.types import Chunk

SETS = ("hatecheck", "surge", "xstest", "toxigen")
"""None of them is trained on; of ToxiGen the other half is."""
WORDS = "eval/badwords/en.txt"


@dataclass(frozen=True, slots=True)
class WriteBeginnings:
    """Work of a study: the half of RealToxicityPrompts that no judge is trained on, as documents.

    The classifier that measures learns from the other half, so that it never saw what a policy was shown.
    """

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``texts.jsonl``.

        Raises:
            ValueError: the set is not in the folder of data.
        """
        files = sorted(data_root().glob("eval/realtoxicityprompts*/*.jsonl"))
        texts = [text for file in files for text, _ in prompt_rows(file) if half_of(text) == "examined"]
        if not texts:
            raise ValueError(f"RealToxicityPrompts is not in {data_root()}/eval: put its JSON Lines there")
        lines = "".join(f"{json.dumps({'text': text}, ensure_ascii=False)}\n" for text in texts)
        write_atomically(directory / "texts.jsonl", lines.encode())
        return True


@dataclass(frozen=True, slots=True)
class ExamineClassifiers:
    """Work of a study: what classifiers know of sets that they were not trained on."""

    classifiers: tuple[tuple[str, str], ...]
    """Name and folder of each."""
    items: int = 1000
    """Of a set, at most."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``scores.json``: of each classifier and set the figures of ``examined``."""
        sets = {name: load_known(name, data_root(), self.items, 0).items for name in SETS}
        found: dict[str, Any] = {}
        for name, folder in self.classifiers:
            found[name] = {}
            for kind, items in sets.items():
                passages = [item for item in items if isinstance(item, Passage)]
                said = classified(Path(folder), [item.text for item in passages])
                found[name][kind] = examined(said, [item.safe for item in passages])
        write_atomically(directory / "scores.json", json.dumps(found, indent=1).encode())
        return True


def examined(said: Sequence[float], safe: Sequence[bool]) -> dict[str, Any]:
    """Accuracy, that of the label which is said most, and how often a safe text is called safer than an unsafe one."""
    values, labels = np.asarray(said, np.float64), np.asarray(safe, np.bool_)
    ahead = values[labels][:, None] - values[~labels][None, :]
    return {
        "items": len(labels),
        "accuracy": asdict(wilson(float(((values > 0.5) == labels).sum()), len(labels))),
        "most_common": max(float(labels.mean()), 1 - float(labels.mean())),
        "ranked": float(((ahead > 0) + 0.5 * (ahead == 0)).mean()) if ahead.size else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyReport:
    """Work of a study: how safe continuations of held-out beginnings are, by who trained, by who did not, by words."""

    tokenizer: str
    models: tuple[tuple[str, str], ...]
    """Name and folder of each policy; all are compared with the first."""
    stream: StreamSpec
    trained_by: str
    """Folder of the classifier that judged in training: it flatters what was trained on it."""
    measured_by: str
    """Folder of one of another architecture, trained on other labels."""
    documents: int = 300
    """Held-out beginnings, at most."""
    split: str = "test"
    seed: int = 0

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``STUDY/safety.json`` and ``STUDY/table.md``."""
        codec = Tokenizer(self.tokenizer).build()
        reader = self.stream.build(self.seed, codec, self.split)
        chunks, _ = reader.read(reader.start(), self.documents)
        once = tuple(chunk for chunk in chunks if chunk.document.epoch == 0)
        written = {
            name: write_texts(folder, codec, once, self.stream.suffix_length, self.seed) for name, folder in self.models
        }
        texts = {name: [codec.decode(one) for one in own.sampled] for name, own in written.items()}
        safe = {name: self._safety(own) for name, own in texts.items()}
        found = self._found(once, written, safe)
        write_atomically(study / "safety.json", json.dumps(found, indent=1, allow_nan=False).encode())
        write_atomically(study / "table.md", table(found).encode())
        return True

    def _safety(self, texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """How safe each text is, in [0, 1], by measure."""
        words = WordList.read(data_root() / WORDS)
        return {
            "measured": np.array(classified(Path(self.measured_by), texts)),
            "trained": np.array(classified(Path(self.trained_by), texts)),
            "no_bad_word": np.array([float(not words.found(text)) for text in texts]),
        }

    def _found(
        self,
        chunks: Sequence[Chunk],
        written: Mapping[str, Written],
        safe: Mapping[str, Mapping[str, NDArray[np.float64]]],
    ) -> dict[str, Any]:
        first = next(iter(safe))
        models = {
            name: {
                **{measure: self._interval(values) for measure, values in own.items()},
                "less_base": {m: self._interval(values - safe[first][m]) for m, values in own.items()},
                "text": text_figures(written[name].sampled, self.seed),
            }
            for name, own in safe.items()
        }
        return {"beginnings": len(chunks), "models": models}

    def _interval(self, values: NDArray[np.float64]) -> dict[str, float]:
        """Over beginnings; of differences paired."""
        return asdict(hierarchical_bootstrap([values], seed=self.seed))


def table(found: Mapping[str, Any]) -> str:
    """The figures as Markdown, each with its interval over beginnings."""
    measures = {"measured": "by the other classifier", "trained": "by who trained", "no_bad_word": "no bad word"}
    head = ["", *measures.values(), "the other's, less the base's", "4-grams repeated"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, own in found["models"].items():
        cells = [*(own[measure] for measure in measures), own["less_base"]["measured"], own["text"]["repetition"]]
        lines.append(f"| {name} | {' | '.join(map(_cell, cells))} |")
    return "\n".join([*lines, ""])


def _cell(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
