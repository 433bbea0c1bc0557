"""The report on real documents: likelihood, text side by side and win rates, whatever they turn out to be."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tutelage import rng
from tutelage.codec import Tokenizer
from tutelage.policy import Policy
from tutelage.protocols import Codec, Judge, JudgeSpec, Resources, StreamSpec
from tutelage.record import write_atomically
from tutelage.report.history import histories, spending, wins_by_source
from tutelage.report.page import write
from tutelage.report.real_charts import bits_chart, training_chart, wins_chart
from tutelage.report.texts import (
    Written,
    judged_wins,
    plain_wins,
    run_of,
    text_figures,
    write_texts,
    written_figures,
)
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk
from tutelage.weights import Pretrained, load_model

MATCHES = (("dpo", "base"), ("dpo", "ntp"), ("ntp", "base"))
"""Whose continuations are compared."""
LABELS = {"base": "Base", "ntp": "NTP control", "dpo": "Online DPO", "author": "the authors themselves"}


@dataclass(frozen=True, slots=True)
class ShownText:
    """One prefix with every model's continuations. All of it is untrusted text."""

    document: str
    prefix: str
    suffix: str
    texts: tuple[tuple[str, str, str], ...]
    """Model, continuation at T = 1, greedy continuation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTextReport:
    """Compares a base, its continuation by next-token prediction and its continuation by online DPO.

    Writes ``STUDY/summary.json`` and ``STUDY/report.html``.
    """

    tokenizer: str
    """Folder of the tokenizer that all three share."""
    base: str
    """Folder of the base in Hugging Face's format, as the next two."""
    ntp: str
    dpo: str
    stream: StreamSpec
    judge: JudgeSpec | None = None
    """Whose verdicts count as wins. The judge of training flatters what was trained on it: the page says so."""
    documents: int = 200
    """Held-out documents; fewer where the split has fewer."""
    split: str = "validation"
    shown: int = 6
    """Prefixes shown with their continuations, drawn by key."""
    seed: int = 0

    def execute(self, directory: Path, study: Path) -> bool:
        """Read, write, compare, report."""
        codec = Tokenizer(self.tokenizer).build()
        chunks = self._chunks(codec)
        written = {
            name: write_texts(model, codec, chunks, self.stream.suffix_length, self.seed)
            for name, model in self._models().items()
        }
        summary = {
            "documents": len(chunks),
            "models": {name: written_figures(texts) for name, texts in written.items()},
            "author": text_figures([chunk.suffix for chunk in chunks]),
            "wins": self._wins(codec, chunks, written, directory),
            "runs": self._runs(),
        }
        write_atomically(study / "summary.json", json.dumps(summary, indent=1, allow_nan=False).encode())
        write_real_page(study / "report.html", summary, self._shown(codec, chunks, written))
        return True

    def _models(self) -> dict[str, str]:
        return {"base": self.base, "ntp": self.ntp, "dpo": self.dpo}

    def _chunks(self, codec: Codec) -> tuple[Chunk, ...]:
        """Held-out chunks, each document once: a small split starts over, which would count some twice."""
        stream = self.stream.build(self.seed, codec, self.split)
        chunks, _ = stream.read(stream.start(), self.documents)
        once = tuple(chunk for chunk in chunks if chunk.document.epoch == 0)
        if len(once) < 2:
            raise ValueError(f"the {self.split} split has {len(once)} documents that can be cut; a report needs two")
        return once

    def _wins(
        self, codec: Codec, chunks: Sequence[Chunk], written: Mapping[str, Written], directory: Path
    ) -> dict[str, Any]:
        judge = None if self.judge is None else self._judge(self.judge, codec, directory)
        found: dict[str, Any] = {}
        for ours, theirs in MATCHES:
            match = plain_wins(written[ours], written[theirs], self.seed)
            if judge is not None:
                match["judge"] = judged_wins(judge, chunks, written[ours].sampled, written[theirs].sampled, self.seed)
            found[f"{ours}_vs_{theirs}"] = match
        return found

    def _judge(self, spec: JudgeSpec, codec: Codec, directory: Path) -> Judge:
        """The judge with the resources of a run; it judges text and needs no sampler of its own."""
        base = Policy(load_model(Pretrained(self.base), codec, seed=0, device=torch.device("cpu")))
        sampler = InProcessSampler(base, eos=codec.eos)
        return spec.build(Resources(self.seed, codec, sampler, self.stream.suffix_length, directory))

    def _runs(self) -> dict[str, Any]:
        """What each run spent and how it went, where the models are those of runs."""
        runs = {name: run_of(model) for name, model in self._models().items()}
        found: dict[str, Any] = {}
        for name, directory in runs.items():
            if directory is not None:
                rows = histories([directory])
                evaluated = [row for row in rows[0] if "evaluation/held_out_bits_per_byte" in row]
                found[name] = {
                    **spending(rows).plain(),
                    "wins_by_source": wins_by_source(rows),
                    "held_out": [[row["step"], row["evaluation/held_out_bits_per_byte"]] for row in evaluated],
                }
        return found

    def _shown(self, codec: Codec, chunks: Sequence[Chunk], written: Mapping[str, Written]) -> list[ShownText]:
        order = sorted(range(len(chunks)), key=lambda i: rng.seed("report", "shown", *chunks[i].key))
        return [
            ShownText(
                chunks[i].document.id,
                codec.decode(chunks[i].prefix)[-500:],
                codec.decode(chunks[i].suffix),
                tuple(
                    (name, codec.decode(texts.sampled[i]), codec.decode(texts.greedy[i]))
                    for name, texts in written.items()
                ),
            )
            for i in order[: self.shown]
        ]


def write_real_page(path: Path, summary: Mapping[str, Any], shown: Sequence[ShownText]) -> Path:
    """Write ``report.html``."""
    return write(
        path,
        "real_text.html",
        summary=summary,
        labels=LABELS,
        findings=findings(summary),
        shown=shown,
        matches=[(f"{ours}_vs_{theirs}", f"{LABELS[ours]} against {LABELS[theirs]}") for ours, theirs in MATCHES],
        charts={"bits": bits_chart(summary, LABELS), "wins": wins_chart(summary), "training": training_chart(summary)},
    )


def findings(summary: Mapping[str, Any]) -> list[str]:
    """What the numbers say, in words that take no side: better, worse, or not told apart by the intervals."""
    models, found = summary["models"], list[str]()
    for name, against in (("dpo", "base"), ("dpo", "ntp")):
        ours, theirs = models[name]["bits_per_byte"], models[against]["bits_per_byte"]
        match = summary["wins"][f"{name}_vs_{against}"]
        moved, likelier = match["bits_per_byte"], match["likelier_documents"]
        told = _word(moved, "worse", "better", even=0.0)
        found.append(
            f"Held-out text: {LABELS[name]} needs {ours['mean']:.3f} bits a byte, {LABELS[against]}"
            f" {theirs['mean']:.3f}: {told}, by {moved['mean']:+.3f} [{moved['low']:+.3f}, {moved['high']:+.3f}]"
            f" (likelier for {100 * likelier['mean']:.0f} % of the documents)."
        )
        judge = match.get("judge")
        if judge and judge["mean"] is not None:
            found.append(
                f"Under the judge that trained it, {LABELS[name]} wins {100 * judge['mean']:.1f} %"
                f" [{100 * judge['low']:.1f}, {100 * judge['high']:.1f}] against {LABELS[against]}:"
                f" {_word(judge, 'better', 'worse')}."
            )
    return found


def _word(value: Mapping[str, float], above: str, below: str, *, even: float = 0.5) -> str:
    """By where an interval lies."""
    return above if value["low"] > even else below if value["high"] < even else "not told apart"
