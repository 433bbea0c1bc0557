"""Phases of SCoRe, its ablations and its baselines (arXiv 2409.12917), for recipes that bring problems and a verifier.

Every arm makes as many updates on as many problems and episodes: arms differ in what they learn from them alone.
"""

from dataclasses import dataclass, replace

from tutelage.correction import Correction
from tutelage.objectives import MultiTurn, Objective, PairSFT, SingleTurn, StageOne, StageTwo, STaR
from tutelage.optimizer import LearningRate
from tutelage.phases import Initial, Limit, Phase, Steps, StepsOfRun, Until, WhenAbove


@dataclass(frozen=True, slots=True)
class Effort:
    """What every arm may spend alike."""

    steps: int
    """Updates: 3000 for maths, 1500 for code [P]."""
    problems: int
    """Problems of an update; times ``task.episodes`` it is the batch: 512 for maths, 128 for code [P]."""
    rate: LearningRate
    """5e-6 for maths, 1e-5 for code [P]; warm-up and shape are not stated."""
    stage_one: float = 0.5
    """Share of the updates after which Stage I ends at the latest; not stated in the paper [I]."""
    delta: float = 0.05
    """Stage I ends when corrections gain so much over 20 steps; a count may end it before its take-off [I]."""

    def phase(self, objective: Objective, task: Correction, until: Until, *, base: bool = False) -> Phase:
        """A phase on ``task``; with ``base`` its reference is the policy as the run began."""
        phase = Phase(objective, until, self.rate, documents_per_step=self.problems, task=task)
        return replace(phase, reference=Initial()) if base else phase


def score(
    task: Correction, effort: Effort, first: StageOne | None = None, second: StageTwo | None = None
) -> tuple[Phase, ...]:
    """Stage I until corrections gain, then Stage II against the base for the rest of the updates; two attempts."""
    most = max(1, round(effort.steps * effort.stage_one))
    rule = WhenAbove("correction/delta", effort.delta, at_most=most)
    # What ends by a rule has no end to decay towards.
    until_it_gains = replace(effort, rate=replace(effort.rate, shape="constant"))
    return (
        until_it_gains.phase(first or StageOne(), task, rule),
        effort.phase(second or StageTwo(), task, StepsOfRun(effort.steps), base=True),
    )


def score_three_turns(task: Correction, effort: Effort, first: StageOne | None = None) -> tuple[Phase, ...]:
    """Stages I (a), I (b) and II for three attempts (App. A.1) [P]; (b) holds the policy that (a) ends with."""
    one = first or StageOne()
    part = Steps(max(1, round(effort.steps * effort.stage_one / 2)))
    rest = Steps(max(1, effort.steps - 2 * part.count))
    three = replace(task, turns=3)
    return (
        effort.phase(one, replace(task, turns=2), part),
        effort.phase(replace(one, turn=3), three, part),
        effort.phase(StageTwo(beta1=one.beta1), three, rest, base=True),
    )


def ablations(task: Correction, effort: Effort, first: StageOne, second: StageTwo) -> dict[str, tuple[Phase, ...]]:
    """Each part of SCoRe taken away (Table 4); ``offline_only`` where the task has first attempts of another model.

    Those have no credit and no leash, so that ``offline_only`` is also without all training of first attempts.
    """
    stage_one, stage_two = score(task, effort, first, second)
    found = {
        "no_stage_1": (effort.phase(second, task, Steps(effort.steps), base=True),),
        "no_shaping": score(task, effort, first, replace(second, alpha=0.0)),
        "star_in_stage_2": (stage_one, replace(stage_two, objective=STaR())),
    }
    if task.first_attempts is not None:
        offline = replace(task, first_attempts=replace(task.first_attempts, share=1.0))
        found["offline_only"] = score(offline, effort, first, second)
    return found


def baselines(task: Correction, effort: Effort, kl: float) -> dict[str, tuple[Phase, ...]]:
    """What SCoRe is compared with, on its own episodes; ``kl`` is the weight of the leash of those that have one."""
    objectives: dict[str, Objective] = {
        "naive_multi_turn": MultiTurn(beta1=kl),
        "naive_multi_turn_both": MultiTurn(trained="all", beta1=kl),
        "star": STaR(),
        "star_plus": STaR(plus=True),
        "pair_sft": PairSFT(),
        "pair_sft_plus": PairSFT(plus=True),
    }
    until = Steps(effort.steps)
    found = {name: (effort.phase(objective, task, until),) for name, objective in objectives.items()}
    alone = replace(task, turns=1, first_attempts=None)
    return found | {"single_turn": (effort.phase(SingleTurn(beta1=kl), alone, until),)}


def collapse_alarm(below: float = 0.1, window: int = 20) -> Limit:
    """Tells that second attempts have become copies: fewer than ``below`` of them change the answer [I].

    It stops nothing. A collapse is what a comparison is to find, and a base that copies only leaves it in Stage I.
    """
    why = "second attempts have become copies of the first; a stronger leash (beta1) or Stage I may prevent it"
    return Limit("correction/change_rate", below=below, window=window, why=why, stops=False)
