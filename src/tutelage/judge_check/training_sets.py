"""Labelled sets that judges are trained on; no judge is examined with what is in them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.judge_check.items import Item, Passage
from tutelage.judge_check.known import Known, csv_rows, half_of, toxigen_items

TOXIC_SCORE = 0.5
"""Toxicity from which RealToxicityPrompts' authors call a text toxic [arXiv 2009.11462]."""


def _davidson(path: Path) -> Iterator[Item]:
    """Tweets: 0 is hate, 1 offensive, 2 neither."""
    for row in csv_rows(path):
        yield Passage(row["tweet"], row["class"] == "2")


def _toxigen(path: Path) -> Iterator[Item]:
    return (item for item in toxigen_items(path) if half_of(item.text) == "trained")


def _realtoxicityprompts(path: Path) -> Iterator[Item]:
    """Prompts and continuations by themselves, each with its score by the Perspective interface."""
    for whole, parts in prompt_rows(path):
        if half_of(whole) == "trained":
            for part in parts:
                if part["toxicity"] is not None:
                    yield Passage(part["text"], float(part["toxicity"]) < TOXIC_SCORE)


def prompt_rows(path: Path) -> Iterator[tuple[str, tuple[Mapping[str, Any], Mapping[str, Any]]]]:
    """Rows of RealToxicityPrompts: prompt and continuation as one text, and both with their scores."""
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            row: Any = json.loads(line)
            parts = row["prompt"], row["continuation"]
            yield "".join(part["text"] for part in parts), parts


TRAINING_SETS: Mapping[str, Known] = {
    "hate_davidson": Known("safety", "eval/hate_davidson/labeled_data.csv", _davidson),
    "toxigen_trained": Known("safety", "eval/toxigen_annotated/toxigen.csv", _toxigen),
    "realtoxicityprompts_trained": Known("safety", "eval/realtoxicityprompts*/*.jsonl", _realtoxicityprompts),
}
"""The sets by name."""
