"""Teachers of the world of facts scored by the oracle, before and after their training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tutelage.chat import LocalChat
from tutelage.judge_check import Examined, LabelledSet, Measured, Pair, Passage, measure_each
from tutelage.maths.statistics import wilson
from tutelage.record import write_atomically
from tutelage.report.answers import Prefixes, answers
from tutelage.teaching import RewriterMarks, classified, mark_rewriter, rewrites_of
from tutelage.worlds.facts import FactsWorld
from tutelage.worlds.facts.lessons import Prompts, labelled
from tutelage.worlds.facts.teaching import continuation, is_safe, rollout_pairs

HELD_OUT = 300
"""Prefixes that judges and rewriters are examined on; no stream reads them."""
SCORES = "scores.json"
ROLLOUTS = "rollouts_"
"""How the name of a set of pairs begins that a policy wrote."""
STAGES = ("before", "after")
"""Of GRPO."""


@dataclass(frozen=True, slots=True)
class ScoreJudge:
    """Work of a study: a judge on held-out texts before and after its training, and on what policies write.

    Corrupted pairs alone flatter a judge: what it meets in a run are two rollouts of one policy, early and late. So it
    is also asked to tell apart two continuations of each of ``policies``, drawn with two seeds.
    """

    world: FactsWorld
    before: str
    """Folder of the judge after its warm start."""
    after: str
    """Folder of the judge after GRPO."""
    policies: tuple[tuple[str, str], ...] = ()
    """Name and folder of each policy that writes pairs: an early one and a late one."""
    tokenizer: str = ""
    """Folder of the policies' tokenizer."""
    prompts: Prompts = field(default_factory=Prompts)
    items: int = HELD_OUT
    seed: int = 0

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``scores.json``: ``before`` and ``after`` with a ``Measured`` a labelled set, ``each`` item by item."""
        sets = list(self._sets())
        both = {name: self._score(folder, sets) for name, folder in zip(STAGES, (self.before, self.after), strict=True)}
        write_scores(
            directory,
            {stage: {name: asdict(one) for name, (one, _) in found.items()} for stage, found in both.items()},
            {stage: {name: rights for name, (_, rights) in found.items()} for stage, found in both.items()},
        )
        return True

    def _sets(self) -> Iterator[LabelledSet]:
        chunks = self.world.evaluation_chunks("natural", self.items)
        yield LabelledSet("quality", labelled(self.world, self.prompts, chunks, "quality"))
        yield LabelledSet("safety", labelled(self.world, self.prompts, chunks, "safety"))
        for name, folder in self.policies:
            yield LabelledSet(f"{ROLLOUTS}{name}", self._rollouts(folder))

    def _rollouts(self, folder: str) -> tuple[Pair, ...]:
        """Two continuations of every prefix by one policy, those that the oracle tells apart."""
        prefixes = Prefixes.of(self.world, self.items, 0, 1)
        one, two = (
            answers(Path(folder), self.tokenizer, self.world, prefixes, seed=2 * self.seed + draw) for draw in (0, 1)
        )
        return rollout_pairs(self.world, prefixes.natural, one.natural, two.natural)

    def _score(self, folder: str, sets: Sequence[LabelledSet]) -> dict[str, tuple[Measured, tuple[float, ...]]]:
        model = LocalChat(folder, temperature=0.0, max_batch=128).build()
        prompts = {"quality": self.prompts.quality, "safety": self.prompts.safety}
        return {
            one.name: measure_each(Examined(model, prompts[one.axis]), one, samples=1, seed=self.seed)
            for one in sets
            if one.axis != "factuality"
        }


@dataclass(frozen=True, slots=True)
class ScoreRewriter:
    """Work of a study: a rewriter on held-out suffixes before and after its training, by the oracle."""

    world: FactsWorld
    before: str
    """Folder of the rewriter after its warm start."""
    after: str
    """Folder of the rewriter after GRPO."""
    prompts: Prompts = field(default_factory=Prompts)
    items: int = HELD_OUT
    """Natural prefixes, and as many unsafe ones, behind which most suffixes are unsafe too."""
    seed: int = 0

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``scores.json``: ``before`` and ``after``, each a ``RewriterScore``, and ``each`` suffix by suffix."""
        world = self.world
        chunks = (*world.evaluation_chunks("natural", self.items), *world.evaluation_chunks("unsafe", self.items))
        suffixes = [continuation(world, chunk) for chunk in chunks]
        marks: dict[str, RewriterMarks] = {}
        for name, folder in zip(STAGES, (self.before, self.after), strict=True):
            model = LocalChat(folder, temperature=0.0, max_batch=128).build()
            room = 2 * world.suffix_length
            rewrites = rewrites_of(model, self.prompts.rewrite, suffixes, room=room, seed=self.seed)
            marks[name] = mark_rewriter(suffixes, rewrites, lambda _, text: is_safe(world, text))
        scores = {stage: asdict(found.score) for stage, found in marks.items()}
        write_scores(directory, scores, {stage: asdict(found) for stage, found in marks.items()})
        return True


@dataclass(frozen=True, slots=True)
class ScoreClassifier:
    """Work of a study: a sequence classifier on the passages that judges of safety are examined on."""

    world: FactsWorld
    path: str
    """Its folder."""
    items: int = HELD_OUT

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``scores.json``: ``accuracy`` of its verdicts and of the label that is said most, both intervals."""
        chunks = self.world.evaluation_chunks("natural", self.items)
        passages = [one for one in labelled(self.world, Prompts(), chunks, "safety") if isinstance(one, Passage)]
        said = classified(Path(self.path), [one.text for one in passages])
        rights = [(chance > 0.5) == one.safe for chance, one in zip(said, passages, strict=True)]
        safe = sum(one.safe for one in passages)
        scores = {
            "accuracy": asdict(wilson(sum(rights), len(rights))),
            "most_common": asdict(wilson(max(safe, len(passages) - safe), len(passages))),
        }
        write_atomically(directory / SCORES, json.dumps(scores, indent=1).encode())
        return True


def write_scores(directory: Path, scores: Mapping[str, Any], each: Mapping[str, Any]) -> None:
    """Write what ``read_scores`` reads; ``each`` has the values that the scores are of."""
    write_atomically(directory / SCORES, json.dumps({**scores, "each": each}, indent=1).encode())


def read_scores(directory: Path) -> dict[str, Any]:
    """What either of them wrote."""
    return json.loads((directory / SCORES).read_text("utf-8"))
