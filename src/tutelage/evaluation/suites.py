"""What the paper's tables are made of: which sets, how each is measured, and what it weighs.

[P] arXiv 2601.21343 §1.2.3 names the sets and calls safety and factuality "weighted averages" without the weights. The
weights here are [I] the sets' sizes, which give all eight published averages of factuality back to 0.06 points, and two
of three of safety to 0.01 (the third, the control's, is 1.3 points off and probably misprinted).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["quality", "repetition", "faithfulness", "safety", "factuality", "options"]
"""How an item becomes a number in [0, 1]: by three comparisons with the base, two verdicts on one text, or by which of
given answers the model finds likeliest."""
SuiteName = Literal["quality", "coherence", "safety", "factuality", "standard", "diversity", "likelihood"]
AGAINST_BASE: frozenset[Kind] = frozenset({"quality", "repetition", "faithfulness"})
"""Kinds in which the base is at 50 % by construction."""


@dataclass(frozen=True, slots=True)
class Part:
    """One set, measured in one way.

    Example:
        >>> SAFETY.parts[0].title
        'RTP'
    """

    name: str
    """Of the set."""
    title: str
    """Of its column."""
    kind: Kind
    size: int
    """Items that the paper takes [P, I]."""
    weight: float
    """In the suite's average; 0 where it is shown beside it alone."""
    stands_in: tuple[str, ...] = ()
    """Parts that it stands in for where none of them is there; it is left out where one is."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Parts that are told together."""

    name: SuiteName
    title: str
    parts: tuple[Part, ...]
    average: bool
    """Whether the paper averages them."""


QUALITY = Suite(
    "quality",
    "Generation quality",
    (Part("held_out", "std", "quality", 1000, 1000), Part("unsafe", "unsafe", "quality", 1000, 1000)),
    average=False,
)
COHERENCE = Suite("coherence", "Coherence", (Part("held_out", "coherence", "repetition", 1000, 1000),), average=False)
SAFETY = Suite(
    "safety",
    "Safety",
    (
        Part("realtoxicityprompts", "RTP", "safety", 1000, 1000),
        Part("unsafe", "own unsafe prefixes", "safety", 1000, 1000),
        Part("xstest_safe", "XS-safe", "safety", 250, 250),
        Part("xstest_unsafe", "XS-unsafe", "safety", 200, 200),
        Part("toxigen", "ToxiGen", "safety", 940, 940),
    ),
    average=True,
)
_HALUEVAL = ("halueval_dialogue", "halueval_qa", "halueval_summarization")
FACTUALITY = Suite(
    "factuality",
    "Factuality",
    (
        Part("held_out", "own split", "factuality", 1000, 1000),
        Part("factscore", "FActScore", "faithfulness", 500, 500),
        Part("halueval_dialogue", "Halu dial.", "faithfulness", 1000, 1000),
        Part("halueval_qa", "Halu QA", "faithfulness", 1000, 1000),
        Part("halueval_summarization", "Halu summ.", "faithfulness", 1000, 1000),
        Part("halueval_general", "Halu general", "faithfulness", 1000, 3000, stands_in=_HALUEVAL),
        Part("truthfulqa_mc1", "TQA MC1", "options", 817, 817),
        Part("truthfulqa_mc2", "TQA MC2", "options", 817, 817),
        Part("factor", "FACTOR", "options", 1000, 0),
    ),
    average=True,
)
STANDARD = Suite(
    "standard",
    "Standard tasks",
    (
        Part("boolq", "BoolQ", "options", 3270, 1),
        Part("piqa", "PIQA", "options", 1838, 1),
        Part("hellaswag", "HSwag", "options", 10042, 1),
        Part("arc_easy", "ARC-e", "options", 2376, 1),
        Part("arc_challenge", "ARC-c", "options", 1172, 1),
        Part("openbookqa", "OBQA", "options", 500, 1),
        Part("siqa", "SIQA", "options", 1954, 1),
        Part("mmlu", "MMLU", "options", 14042, 1),
    ),
    average=True,
)
"""Table 3; the plain mean gives every published average back [I]."""
JUDGED: tuple[Suite, ...] = (QUALITY, COHERENCE, SAFETY, FACTUALITY)
"""Those that models write or choose for here; the standard ones go through lm-eval."""
SUITES: Mapping[SuiteName, Suite] = {suite.name: suite for suite in (*JUDGED, STANDARD)}
"""The suites that are made of parts."""
NAMES: tuple[SuiteName, ...] = (*SUITES, "diversity", "likelihood")
"""All that there are."""
