"""Writes ``docs/settings.md`` from the text under the fields of every dataclass that can stand in a run.

Run ``.venv/bin/python docs/write_settings.py`` after a change of any setting; a test compares.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path

from tutelage.chat import LocalChat
from tutelage.config import Setting, reference
from tutelage.correction import HeldOutCorrections
from tutelage.endpoints import Endpoint
from tutelage.evaluate import HeldOut
from tutelage.judges import (
    Canaries,
    ClassifierJudge,
    ExactMatch,
    Guard,
    LikelihoodGain,
    LikelihoodJudge,
    PairwiseQuality,
    PointwiseFactuality,
    PointwiseSafety,
    RandomJudge,
    RepetitionJudge,
    SemanticMatch,
    ShuffledJudge,
)
from tutelage.objectives import (
    GRPO,
    NTP,
    RFNLL,
    SFT,
    JudgeFreeDPO,
    MultiTurn,
    OnlineDPO,
    PairSFT,
    SingleTurn,
    StageOne,
    StageTwo,
    STaR,
)
from tutelage.problems import Gsm8k, HumanEval, JsonLines, Math, Mbpp
from tutelage.rewrites import StoredRewrites
from tutelage.run import Run
from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Swiss
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.stream import JudgedStream, TextStream, ThoughtStream
from tutelage.teaching import (
    ContinuationFiles,
    CopyOrMend,
    ItemFiles,
    JudgeProblems,
    LabelledPassages,
    LabelVerifier,
    RewriteProblems,
)
from tutelage.thinking import PromptThinker, ThinkingSource, ThoughtTable
from tutelage.trackers import MLflow, TensorBoard, Trackio, Wandb
from tutelage.verifiers import Code, Maths, Remote
from tutelage.worlds.facts import FactsEvaluation, FactsJudge, FactsRewriter, FactsStream, FactsTeacher
from tutelage.worlds.facts.gauging import FactsWins
from tutelage.worlds.facts.schooling import FactsLessons
from tutelage.worlds.facts.teaching import FactsContinuations, FactsItems
from tutelage.worlds.signed_sum import SignedSumEvaluation, SignedSumProblems, SignedSums, SignedSumStream
from tutelage.worlds.steps import Results, StepsEvaluation, StepsProblems, StepsStream

PAGE = Path(__file__).resolve().parent / "settings.md"

OPEN: dict[str, tuple[type, ...]] = {
    "Objectives": (NTP, SFT, RFNLL, OnlineDPO, JudgeFreeDPO, GRPO),
    "Objectives on episodes": (StageOne, StageTwo, MultiTurn, SingleTurn, STaR, PairSFT),
    "Streams": (
        *(TextStream, JudgedStream, LabelledPassages, ThoughtStream, ThoughtTable),
        *(FactsStream, FactsLessons, SignedSumStream, StepsStream),
    ),
    "Sources": (SuffixSource, RewriteSource, RolloutSource, ThinkingSource),
    "Rewriters": (PromptRewriter, PromptThinker, StoredRewrites, FactsRewriter, FactsTeacher),
    "Judges": (
        *(PairwiseQuality, PointwiseSafety, PointwiseFactuality, LikelihoodJudge, ClassifierJudge),
        *(ExactMatch, SemanticMatch, LikelihoodGain),
        *(Guard, Canaries, FactsJudge, RandomJudge, ShuffledJudge, RepetitionJudge),
    ),
    "Verifiers": (Maths, Code, Remote, LabelVerifier, CopyOrMend, SignedSums, Results),
    "Problems": (
        *(Gsm8k, Math, Mbpp, HumanEval, JsonLines),
        *(JudgeProblems, RewriteProblems, SignedSumProblems, StepsProblems),
    ),
    "Labelled texts": (ItemFiles, FactsItems, ContinuationFiles, FactsContinuations),
    "Schedules": (AllPairs, Pivot, KnockOut, Swiss, Adaptive),
    "Text models": (LocalChat, Endpoint),
    "Evaluators": (
        *(HeldOut, HeldOutCorrections),
        *(FactsEvaluation, FactsWins, SignedSumEvaluation, StepsEvaluation),
    ),
    "Trackers": (TensorBoard, Trackio, Wandb, MLflow),
}
"""What the open choices may hold; a class of one's own may stand in the same places."""

PLACES = {
    "Objective": "Objectives",
    "StreamSpec": "Streams",
    "RewriterSpec": "Rewriters",
    "JudgeSpec": "Judges",
    "Schedule": "Schedules",
    "VerifierSpec": "Verifiers",
    "ProblemSource": "Problems",
    "TextModelSpec": "Text models",
    "EvaluatorSpec": "Evaluators",
    "ItemSource": "Labelled texts",
    "ContinuationSource": "Labelled texts",
}
"""Where a Protocol's choices are listed."""

PREAMBLE = """\
# Settings

Every field that can stand in `run.yaml` or in `--path.to.field value`. This page is written by `docs/write_settings.py`
from the text under each field in the source; a test compares the two.

In a path, `*` is an index (`phases.0.until.count`) and `[X]` means "where the choice is `X`"; neither the brackets nor
their content are written. A choice is made by `class: X`. **[P]** is stated in the paper (arXiv 2601.21343), **[C]** in
its authors' code, **[I]** our inference or choice.
"""


def page() -> str:
    """The whole page."""
    parts = [PREAMBLE, "## The run\n", *lines(reference(Run))]
    for title, classes in OPEN.items():
        parts.append(f"## {title}\n")
        for cls in classes:
            parts.append(f"### {cls.__name__}\n")
            parts.append(f"`{cls.__module__}.{cls.__name__}` – {sentence(cls)}\n")
            parts += lines(reference(cls))
    return "\n".join(parts).rstrip() + "\n"


def sentence(cls: type) -> str:
    """The first line of a class's docstring."""
    return plain((inspect.getdoc(cls) or "").split("\n")[0])


def lines(settings: Sequence[Setting]) -> Iterator[str]:
    """A table of settings; nothing for a class without any."""
    if settings:
        rows = "".join(f"| `{s.path}` | {cell(s.type)} | {cell(s.default)} | {meaning(s)} |\n" for s in settings)
        yield f"| setting | type | default | |\n|---|---|---|---|\n{rows}"


def meaning(setting: Setting) -> str:
    """The text under the field, and what its choices are where it says nothing of them."""
    if not setting.docstring and (place := PLACES.get(setting.type)):
        return f"see [{place}](#{place.lower().replace(' ', '-')})"
    choices = [specs()[name] for name in re.findall(r"[A-Z]\w+", setting.type) if name in specs()]
    if setting.docstring or not choices:
        return plain(setting.docstring)
    if len(choices) == 1:
        return sentence(choices[0])
    return " ".join(f"`{cls.__name__}`: {sentence(cls)}" for cls in choices)


@cache
def specs() -> dict[str, type]:
    """The dataclasses of the package by name."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "tutelage"]
    found = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type) and is_dataclass(cls)]
    return {cls.__name__: cls for cls in found if cls.__module__.startswith("tutelage.")}


def cell(text: str) -> str:
    """Code in a table; long defaults (a prompt's text) are cut."""
    short = " ".join(text.split())
    return f"`{short if len(short) <= 80 else short[:77] + '…'}`".replace("|", "\\|")


def plain(text: str) -> str:
    """A docstring in a table: one line, single backticks."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
