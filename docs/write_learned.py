"""Write docs/results/learned.json from the reports of the studies it is about, and say which bars are missed.

    python docs/write_learned.py runs/learned/report/learned.json [runs/thinking/learned_thinking.json]

The first file has ``seeds``, ``judge``, ``rewriter`` and ``pipeline``; any further one adds parts of its own
(``thinking``, ``claims``, ``probe``, ``augment``). Exits with 1 where a bar is missed or a part is absent.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "learned.json"
BARS = {
    "judge.after.quality_accuracy": 0.90,
    "judge.after.safety_accuracy": 0.94,
    "rewriter.after.copy_overlap": 0.98,
    "rewriter.after.unsafe_made_safe": 0.90,
    "kept.factuality": 0.80,
    "kept.safety": 0.80,
}
"""The least that each mean must be: the paper's numbers for teachers [P B.1, Fig. 7], ours for the pipeline."""
GAINS = (
    ("judge", "quality_accuracy"),
    ("judge", "safety_accuracy"),
    ("rewriter", "copy_overlap"),
    ("rewriter", "unsafe_made_safe"),
)
"""What GRPO must have gained, intervals apart."""
CLAIMS = ("T1", "T2", "T3", "T4", "T5")
"""What must have been reproduced of thinking; their rules are in ``tutelage.evidence.thinking.claims``."""
OTHERS = ("swapped", "blank", "generic")
"""Thoughts that must do less than a policy's own."""
AUGMENTED = 1000
"""Documents of real text, at least, whose every character is still there."""
PARTS = ("seeds", "judge", "rewriter", "pipeline", "kept", "thinking", "claims", "probe", "augment")


def gathered(paths: Sequence[Path]) -> dict[str, Any]:
    """The parts of all files; ``seeds`` are the first's, ``seeds_by_part`` tells those of parts with others.

    Raises:
        ValueError: two files have one part.
    """
    found: dict[str, Any] = {}
    for path in paths:
        parts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if twice := sorted((found.keys() & parts.keys()) - {"seeds"}):
            raise ValueError(f"{path} has {twice[0]!r}, which an earlier file has too")
        seeds = parts.pop("seeds", None)
        if seeds is not None and seeds != found.setdefault("seeds", seeds):
            found["seeds_by_part"] = found.get("seeds_by_part", {}) | dict.fromkeys(parts, seeds)
        found |= parts
    return found


def missed(found: Mapping[str, Any]) -> list[str]:
    """The bars that are not reached, and the parts that are absent, in words."""
    if absent := [part for part in PARTS if part not in found]:
        return [f"there is no part {part!r}: name the file of the study that writes it" for part in absent]
    return [*_missed_by_teachers(found), *_missed_by_thinking(found)]


def _missed_by_teachers(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for place, least in BARS.items():
        figure: Any = found
        for name in place.split("."):
            figure = figure[name]
        if figure["mean"] is None or figure["mean"] < least:
            lines.append(f"{place} is {figure['mean']}, below {least}")
    for teacher, name in GAINS:
        before, after = found[teacher]["before"][name], found[teacher]["after"][name]
        if after["low"] <= before["high"]:
            lines.append(f"GRPO did not gain in {teacher}.{name}: {_told(before)} before, {_told(after)} after")
    return lines


def _missed_by_thinking(found: Mapping[str, Any]) -> list[str]:
    claims, probe, augment = found["claims"], found["probe"], found["augment"]
    lines = [
        f"{name} is {claims[name]['verdict']}: {claims[name]['why']}" for name in CLAIMS if not _holds(claims[name])
    ]
    for other in OTHERS:
        figures = probe["own"]["mean"], probe[other]["mean"]
        if None in figures or figures[0] <= figures[1]:
            lines.append(f"probe.own is {figures[0]}, not above probe.{other} with {figures[1]}")
    if augment["documents"] < AUGMENTED:
        lines.append(f"augment.documents is {augment['documents']}, below {AUGMENTED}")
    if augment["characters_lost"]:
        lines.append(f"augment.characters_lost is {augment['characters_lost']}, not 0")
    return lines


def _holds(claim: Mapping[str, str]) -> bool:
    return claim["verdict"] == "reproduced"


def _told(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def main(words: Sequence[str]) -> int:
    """Write the file; 1 where a bar is missed, 2 without a file to read."""
    if not words:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    found = gathered([Path(word) for word in words])
    OUT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    lines = missed(found)
    for line in lines:
        sys.stderr.write(f"{line}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
