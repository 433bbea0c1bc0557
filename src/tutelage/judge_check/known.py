"""Labelled sets that are public: where their files lie in a folder of data, and what their columns mean."""

import ast
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from tutelage import rng
from tutelage.judge_check.items import Axis, Claim, Item, LabelledSet, Pair, Passage

TOXIC = 5.5
"""Sum of the two toxicity scores (1 to 5 each) above which ToxiGen calls a text toxic [its authors' code]."""


@dataclass(frozen=True, slots=True)
class Known:
    """A set that can be read."""

    axis: Axis
    pattern: str
    """Its files, in the folder of data."""
    read: Callable[[Path], Iterator[Item]]


def load_known(name: str, data: Path, items: int, seed: int, among: Mapping[str, Known] | None = None) -> LabelledSet:
    """``items`` of the set ``name``, drawn by ``seed``; all of them where it has no more.

    Args:
        name: one of ``among``, by default of those that judges are examined with.
        data: the folder of data.
        items: at most so many.
        seed: of the draw.
        among: sets by name.

    Raises:
        ValueError: an unknown name, no file of it under ``data``, or a file of another form.
    """
    sets = KNOWN if among is None else among
    known = sets.get(name)
    if known is None:
        raise ValueError(f"there is no labelled set {name!r}; there are {', '.join(sets)}")
    files = sorted(data.glob(known.pattern))
    if not files:
        raise ValueError(f"{name} is not there: no file {data / known.pattern}; name the folder of data by --data")
    found: list[Item] = []
    for file in files:
        try:
            found += known.read(file)
        except (ValueError, KeyError, TypeError, SyntaxError, AttributeError) as error:
            told = f"{type(error).__name__}: {error}"
            raise ValueError(f"{file} is not of the form that {name} has ({told})") from error
    return LabelledSet(name, drawn(found, items, seed, name))


def drawn(found: list[Item], items: int, *key: rng.Key) -> tuple[Item, ...]:
    """At most so many of ``found``, in the order that ``key`` gives."""
    order = rng.generator(*key, "items").permutation(len(found))[:items].tolist()
    return tuple(found[i] for i in order)


def _llmbar(path: Path) -> Iterator[Item]:
    for row in _json(path):
        yield Pair(_asked(row["input"]), row["output_1"], row["output_2"], 1 if int(row["label"]) == 1 else 2)


def _pandalm(path: Path) -> Iterator[Item]:
    """Three people each; what fewer than two agree on, or call a tie, is left out. A few answers are no texts."""
    for row in _json(path):
        said, times = Counter(row[f"annotator{i}"] for i in (1, 2, 3)).most_common(1)[0]
        if times >= 2 and said in (1, 2):
            question = "\n\n".join(filter(None, (row["instruction"], row["input"])))
            yield Pair(_asked(question), str(row["response1"]), str(row["response2"]), 1 if said == 1 else 2)


def _hatecheck(path: Path) -> Iterator[Item]:
    for row in csv_rows(path):
        yield Passage(row["test_case"], row["label_gold"] != "hateful")


def _toxigen(path: Path) -> Iterator[Item]:
    return (item for item in toxigen_items(path) if half_of(item.text) == "examined")


def toxigen_items(path: Path) -> Iterator[Passage]:
    """All of ToxiGen."""
    for row in csv_rows(path):
        yield Passage(toxigen_text(row["text"]), float(row["toxicity_human"]) + float(row["toxicity_ai"]) <= TOXIC)


def half_of(text: str) -> Literal["trained", "examined"]:
    """Whether judges may be trained on a text of a set that has both halves; equal texts never part."""
    drawn = rng.uniform("half of a labelled set", blake2b(text.strip().encode(), digest_size=16).digest())
    return "trained" if drawn < 0.5 else "examined"


def _xstest(path: Path) -> Iterator[Item]:
    for row in csv_rows(path):
        yield Passage(row["prompt"], row["label"] == "safe")


def _surge(path: Path) -> Iterator[Item]:
    for row in csv_rows(path):
        yield Passage(row["text"], row["is_toxic"] != "Toxic")


def _truthfulqa(path: Path) -> Iterator[Item]:
    """For each question a right answer and a wrong one; the reference is the best answer."""
    for row in csv_rows(path):
        best = row["Best Answer"].strip()
        right = [answer for answer in _several(row["Correct Answers"]) if answer != best]
        prefix = _asked(row["Question"])
        yield Claim(prefix, best, right[0] if right else best, true=True)
        yield from (Claim(prefix, best, wrong, true=False) for wrong in _several(row["Incorrect Answers"])[:1])


def _halueval(path: Path) -> Iterator[Item]:
    """Answers without a reference: what is generally known decides."""
    for line in path.read_text("utf-8").splitlines():
        row: Any = json.loads(line)
        yield Claim(_asked(row["user_query"]), "", row["chatgpt_response"], true=row["hallucination"] == "no")


KNOWN: Mapping[str, Known] = {
    "llmbar": Known("quality", "eval/llmbar/LLMBar_*.json", _llmbar),
    "pandalm": Known("quality", "eval/pandalm/testset-v1.json", _pandalm),
    "hatecheck": Known("safety", "eval/hatecheck/test_suite_cases.csv", _hatecheck),
    "toxigen": Known("safety", "eval/toxigen_annotated/toxigen.csv", _toxigen),
    "xstest": Known("safety", "eval/xstest/xstest_prompts.csv", _xstest),
    "surge": Known("safety", "eval/surge_toxicity/toxicity_en.csv", _surge),
    "truthfulqa": Known("factuality", "eval/truthfulqa/TruthfulQA.csv", _truthfulqa),
    "halueval": Known("factuality", "eval/halueval_general/general_data.json", _halueval),
}
"""The sets by name that judges are examined with."""


def _asked(question: str) -> str:
    """How a question and its answer become a beginning and its continuation."""
    return f"Question: {question.strip()}\n\nAnswer: "


def _several(answers: str) -> list[str]:
    return [answer.strip() for answer in answers.split(";") if answer.strip()]


def _json(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text("utf-8"))


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by its columns, one read at a time."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines)


def toxigen_text(cell: str) -> str:
    r"""What a cell of ToxiGen says; in some the spelling of bytes was saved in place of the text.

    Example:
        >>> toxigen_text("b'caf\\xc3\\xa9'"), toxigen_text("but")
        ('café', 'but')

    Raises:
        ValueError: it begins like bytes and is none; so does SyntaxError.
    """
    return ast.literal_eval(cell).decode("utf-8", "replace") if cell[:2] in ("b'", 'b"') else cell
