"""How well a policy solves and corrects: accuracy at each turn, and what the second turn gained and lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from tutelage.episodes import EpisodeGroup, Problem
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Resources, Sampler
from tutelage.sampler import InProcessSampler
from tutelage.worlds.signed_sum.language import CHANGE
from tutelage.worlds.signed_sum.playing import answers_of, is_right, play
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """What became of E episodes of two attempts; all arrays have shape ``(E,)``."""

    first: Flags
    """Whether the first attempt is right."""
    second: Flags
    """Whether the second attempt is right."""
    changed: Flags
    """Whether the second attempt's answer is another than the first's; no answer counts as one."""
    doubted: Flags
    """Whether the second attempt begins with the verdict ``FIX``."""
    malformed: Flags
    """Whether either attempt is without an answer."""

    def __len__(self) -> int:
        return len(self.first)

    def take(self, indices: NDArray[np.integer]) -> "Corrections":
        """Some of the episodes, repeats allowed: a bootstrap sample."""
        return Corrections(*(getattr(self, item.name)[indices] for item in fields(self)))

    def figures(self) -> dict[str, float]:
        """The columns of a table, in points: shares of all episodes × 100.

        ``t1`` and ``t2`` right at each turn, ``delta`` = t2 − t1, ``i_to_c`` wrong then right, ``c_to_i`` right then
        wrong, ``change_rate`` answers that changed (2409.12917 §3).
        """
        shares = {
            "t1": self.first,
            "t2": self.second,
            "delta": self.second.astype(np.int64) - self.first,
            "i_to_c": ~self.first & self.second,
            "c_to_i": self.first & ~self.second,
            "change_rate": self.changed,
        }
        return {name: 100.0 * float(share.mean()) for name, share in shares.items()}

    def diagnosis(self) -> dict[str, float]:
        """What tells failures apart, in points; what is a share of nothing is not a number.

        ``fix_if_wrong`` and ``fix_if_right``: verdicts ``FIX`` among first attempts that were so. Both low is a
        collapse into copies, both high a policy that retries whatever it wrote; apart, it checks. ``malformed``.
        """
        return {
            "fix_if_wrong": _share(self.doubted[~self.first]),
            "fix_if_right": _share(self.doubted[self.first]),
            "malformed": _share(self.malformed),
        }


def evaluate(
    world: SignedSumWorld, sampler: Sampler, problems: Sequence[Problem], *, seed: int, temperature: float = 1.0
) -> Corrections:
    """Two attempts at each problem, an episode each; a temperature of 0 decodes greedily."""
    return corrections(world, play(world, sampler, problems, seed=seed, temperature=temperature))


def corrections(world: SignedSumWorld, groups: Sequence[EpisodeGroup]) -> Corrections:
    """What became of the first two attempts of every episode, group after group.

    Raises:
        ValueError: an episode has a single attempt.
    """
    episodes = [(group.problem, episode) for group in groups for episode in group.episodes]
    if any(len(episode.turns) < 2 for _, episode in episodes):
        raise ValueError("an episode has one attempt; a correction needs two")
    problems = [problem for problem, _ in episodes]
    first, second = ([episode.turns[turn] for _, episode in episodes] for turn in (0, 1))
    before, after = (answers_of(world, problems, attempts) for attempts in (first, second))
    change = world.tokens(CHANGE)[0]
    return Corrections(
        first=_flags([is_right(turn) for turn in first]),
        second=_flags([is_right(turn) for turn in second]),
        changed=_flags([one != other for one, other in zip(before, after, strict=True)]),
        doubted=_flags([turn.completion.tolist()[:1] == [change] for turn in second]),
        malformed=_flags([None in pair for pair in zip(before, after, strict=True)]),
    )


@dataclass(frozen=True, slots=True)
class SignedSumEvaluation:
    """Two attempts at each of some held-out problems while a run trains, drawn the same at every evaluation.

    The metrics, in points: ``t1``, ``t2``, ``delta``, ``i_to_c``, ``c_to_i``, ``change_rate``, ``fix_if_wrong``,
    ``fix_if_right`` and ``malformed``; a share of nothing is left out.
    """

    world: SignedSumWorld = field(default_factory=SignedSumWorld)
    split: Split = "validation"
    """Where the problems come from. What a run is watched or tuned by must not be ``test``."""
    problems: int = 400
    """How many; of more than there are, the first ones come again with other draws."""
    temperature: float = 1.0
    """0 decodes greedily."""
    name: str = "sums"
    """What the metrics are called: ``evaluation/NAME_t1``."""

    def __post_init__(self) -> None:
        require(self, "problems", at_least=1)
        require(self, "temperature", at_least=0)

    def build(self, resources: Resources) -> "SignedSumEvaluator":
        """The working evaluator.

        Raises:
            ValueError: the run's tokenizer is not the world's, or the split has no problem.
        """
        self.world.require(resources.codec)
        return SignedSumEvaluator(self, resources.seed)


class SignedSumEvaluator:
    """``SignedSumEvaluation`` at work."""

    def __init__(self, spec: SignedSumEvaluation, seed: int) -> None:
        self._spec = spec
        self._seed = seed
        self._problems = spec.world.problems(spec.split, spec.problems)
        self._sampler: tuple[Policy, Sampler] | None = None

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME_FIGURE`` of every figure that is defined."""
        spec, sampler = self._spec, self._sampler_of(policy)
        found = evaluate(spec.world, sampler, self._problems, seed=self._seed, temperature=spec.temperature)
        figures = found.figures() | found.diagnosis()
        return {f"{spec.name}_{figure}": value for figure, value in figures.items() if np.isfinite(value)}

    def _sampler_of(self, policy: Policy) -> Sampler:
        """A sampler of ``policy``, made once: making one tries the model out."""
        if self._sampler is None or self._sampler[0] is not policy:
            self._sampler = policy, InProcessSampler(policy, eos=self._spec.world.language.end)
        return self._sampler[1]


def _flags(values: Sequence[bool]) -> Flags:
    return np.array(values, np.bool_)


def _share(flags: Flags) -> float:
    return 100.0 * float(flags.mean()) if len(flags) else float("nan")
