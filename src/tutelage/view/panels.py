"""Which metrics stand together in a figure of the page, and in which order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.view.numbers import Numbers

POINTS = 240
"""Points of a curve: about one to each pixel or two of a figure."""

Kind = Literal["lines", "shares", "stack"]
"""Lines; parts of a whole, 0 to 1; amounts on top of each other."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure."""

    title: str
    pattern: str
    kind: Kind = "lines"
    note: str = ""


PANELS = (
    Panel("Loss", r"loss/.*"),
    Panel("Chosen, by source", r"chosen/.*", "shares", "share of pools"),
    Panel("Rejected, by source", r"rejected/.*", "shares", "share of pools"),
    Panel("Margin of pairs", r"dpo/margin", note="nats, against the reference"),
    Panel("Pairs told apart", r"dpo/accuracy"),
    Panel("Ties and pools taught", r"pool/(tie|taught|too_few)", note="share of pools"),
    Panel("Abstained, by axis", r"abstained/[^/]*", note="share of verdicts"),
    Panel("Judged total of a pool", r"pool/score_(mean|spread)"),
    Panel("Seconds, by role", r"seconds/.*", "stack", "of a step"),
    Panel("Tokens trained and sampled", r"tokens/.*", note="of a step"),
    Panel("Tokens that teachers read", r"prompt_tokens/.*", "stack", "of a step, by role"),
    Panel("Tokens that teachers wrote", r"answer_tokens/.*", "stack", "of a step, by role"),
    Panel("Cost of teachers", r"cost/.*", "stack", "of a step, by role"),
    Panel("Length, by source", r"length/.*", note="tokens"),
    Panel("Entropy", r"policy/entropy", note="nats a token"),
    Panel("KL to the reference", r"policy/kl"),
    Panel("Norm of the gradient", r"policy/gradient_norm"),
    Panel("Learning rate", r"policy/learning_rate"),
)
"""A metric stands in the first panel whose pattern it matches whole; panels without any are left out."""

HIDDEN = ("run/share",)
MORE = "more"
"""The section of metrics that no panel claims, by their first part."""


def arranged(names: Sequence[str]) -> list[tuple[Panel, str, list[str]]]:
    """Every metric in one panel, with the panel's section: ``main``, ``scores``, ``evaluation`` or ``more``."""
    left = [name for name in names if name not in HIDDEN]
    found: list[tuple[Panel, str, list[str]]] = []

    def take(panel: Panel, section: str) -> None:
        nonlocal left
        mine = sorted((name for name in left if re.fullmatch(panel.pattern, name)), key=_total_first)
        left = [name for name in left if name not in mine]
        if mine:
            found.append((panel, section, mine))

    for panel in PANELS:
        take(panel, "main")
    for axis in sorted({name.split("/")[1] for name in left if re.fullmatch(r"score/[^/]+/.+", name)}):
        take(Panel(f"Judge: {axis}", rf"score/{re.escape(axis)}/.*", note="mean score by source"), "scores")
    for name in [name for name in left if name.startswith("evaluation/")]:
        take(Panel(name.removeprefix("evaluation/"), re.escape(name)), "evaluation")
    for start in sorted({name.partition("/")[0] for name in left}):
        take(Panel(start.replace("_", " "), rf"{re.escape(start)}(/.*)?"), MORE)
    return found


def figures(runs: Mapping[int, Numbers], points: int = POINTS) -> dict[str, Any]:
    """The curves of several runs, figure by figure, as the page draws them.

    Returns:
        ``x``: of each run ``step`` and ``tokens``; ``panels``: each with its series, a list as long as its run's x.
    """
    names = sorted({name for numbers in runs.values() for name in numbers.names})
    curves = {run: numbers.curves(names, points) for run, numbers in runs.items()}
    panels = [
        {
            "title": panel.title,
            "kind": panel.kind,
            "note": panel.note,
            "section": section,
            "series": [
                {"run": run, "name": _label(metric), "metric": metric, "y": found[metric]}
                for metric in metrics
                for run, found in curves.items()
                if metric in found
            ],
        }
        for panel, section, metrics in arranged(names)
    ]
    return {
        "x": {run: {axis: found[axis] for axis in ("step", "tokens")} for run, found in curves.items()},
        "panels": panels,
    }


def _total_first(metric: str) -> tuple[bool, str]:
    return not metric.endswith("/total"), metric


def _label(metric: str) -> str:
    """``score/safety/rollout`` → ``rollout``; what stands alone keeps its name."""
    return metric.rpartition("/")[2]
