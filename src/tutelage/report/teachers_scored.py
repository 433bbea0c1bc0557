"""Teachers of the world of facts scored by the oracle, before and after their training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tutelage.chat import LocalChat
from tutelage.judge_check import Examined, LabelledSet, Pair, measure
from tutelage.record import write_atomically
from tutelage.report.answers import Prefixes, answers
from tutelage.teaching import rewrites_of, score_rewriter
from tutelage.worlds.facts import FactsWorld
from tutelage.worlds.facts.lessons import Prompts, labelled
from tutelage.worlds.facts.teaching import continuation, is_safe, rollout_pairs

HELD_OUT = 300
"""Prefixes that judges and rewriters are examined on; no stream reads them."""
SCORES = "scores.json"


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
        """Write ``scores.json``: ``before`` and ``after``, each with an ``Measured`` a labelled set."""
        sets = list(self._sets())
        found = {name: self._score(folder, sets) for name, folder in (("before", self.before), ("after", self.after))}
        write_atomically(directory / SCORES, json.dumps(found, indent=1).encode())
        return True

    def _sets(self) -> Iterator[LabelledSet]:
        chunks = self.world.evaluation_chunks("natural", self.items)
        yield LabelledSet("quality", labelled(self.world, self.prompts, chunks, "quality"))
        yield LabelledSet("safety", labelled(self.world, self.prompts, chunks, "safety"))
        for name, folder in self.policies:
            yield LabelledSet(f"rollouts_{name}", self._rollouts(folder))

    def _rollouts(self, folder: str) -> tuple[Pair, ...]:
        """Two continuations of every prefix by one policy, those that the oracle tells apart."""
        prefixes = Prefixes.of(self.world, self.items, 0, 1)
        one, two = (
            answers(Path(folder), self.tokenizer, self.world, prefixes, seed=2 * self.seed + draw) for draw in (0, 1)
        )
        return rollout_pairs(self.world, prefixes.natural, one.natural, two.natural)

    def _score(self, folder: str, sets: Sequence[LabelledSet]) -> dict[str, Any]:
        model = LocalChat(folder, temperature=0.0, max_batch=128).build()
        prompts = {"quality": self.prompts.quality, "safety": self.prompts.safety}
        return {
            one.name: asdict(measure(Examined(model, prompts[one.axis]), one, samples=1, seed=self.seed))
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
        """Write ``scores.json``: ``before`` and ``after``, each a ``RewriterScore``."""
        world = self.world
        chunks = (*world.evaluation_chunks("natural", self.items), *world.evaluation_chunks("unsafe", self.items))
        suffixes = [continuation(world, chunk) for chunk in chunks]
        found: dict[str, Any] = {}
        for name, folder in (("before", self.before), ("after", self.after)):
            model = LocalChat(folder, temperature=0.0, max_batch=128).build()
            room = 2 * world.suffix_length
            rewrites = rewrites_of(model, self.prompts.rewrite, suffixes, room=room, seed=self.seed)
            found[name] = asdict(score_rewriter(suffixes, rewrites, lambda _, text: is_safe(world, text)))
        write_atomically(directory / SCORES, json.dumps(found, indent=1).encode())
        return True


def read_scores(directory: Path) -> dict[str, Any]:
    """What either of them wrote."""
    return json.loads((directory / SCORES).read_text("utf-8"))
