"""What arms cost in floating-point operations, counted from the model's shape; teachers by a stated assumption.

A token costs F = 2 · weights of matrices + 4 · layers · width · context once forward, and three times that with its
backward pass; a reference costs F more. Sampling costs F for every token of the prefix and every one drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tutelage.evidence.settings import Setting
from tutelage.objectives import GRPO, RFNLL, SFT, JudgeFreeDPO, Objective, OnlineDPO
from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Schedule
from tutelage.worlds.facts.start import MODEL

TEACHER = 3.6
"""A teacher's operations a token over the policy's: 5.1 B active weights of the paper's judge over 1.4 B [P, I]."""
TRAINED_SUFFIX = 0.85
"""Of a candidate's tokens, those that a pair does not share with the other and the author did not cut short [I]."""


def forward_flops(setting: Setting) -> float:
    """F: operations of one token, forward, at the mean context of a chunk."""
    sizes: Mapping[str, Any] = MODEL.settings
    width, inner, layers = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_hidden_layers"]
    matrices = layers * (4 * width**2 + 3 * width * inner) + width * len(setting.world.lexicon.words)
    context = (setting.world.prefix_length + setting.world.suffix_length) / 2
    return 2.0 * matrices + 4.0 * layers * width * context


@dataclass(frozen=True, slots=True)
class PerDocument:
    """Tokens that one taught document takes, by what is done with them."""

    trained: float
    """Packed; the prefix once."""
    referred: float
    """Through the reference."""
    sampled: float
    """Drawn, and the prefixes that they start from."""
    taught: float
    """Read or written by teachers."""

    def forwards(self, *, teachers: bool) -> float:
        """Cost in F."""
        return 3 * self.trained + self.referred + self.sampled + (TEACHER * self.taught if teachers else 0.0)


def most_calls(schedule: Schedule, num: int) -> int:
    """Most comparisons of a pool of ``num`` candidates; ``Adaptive`` may stop before.

    Raises:
        ValueError: a schedule of which that is not known here.
    """
    match schedule:
        case AllPairs():
            return num * (num - 1) // 2
        case Pivot():
            return num - 1
        case KnockOut():
            return 2 * (num - 1) - num // 2
        case Adaptive():
            return schedule.calls(num)
        case _:
            raise ValueError(f"the calls of {type(schedule).__name__} are not known")


ALL_PAIRS = AllPairs()


def per_document(setting: Setting, objective: Objective, schedule: Schedule = ALL_PAIRS) -> PerDocument:
    """Of one document under an objective, its pool suffix, rewrite and K rollouts where it has one."""
    world, rollouts = setting.world, setting.num_rollouts
    prefix, suffix = world.prefix_length, world.suffix_length
    whole, candidates = prefix + suffix, rollouts + 2
    sampled = prefix + rollouts * suffix if rollouts else 0
    # Facts and safety are judged one by one, quality by comparisons; the rewriter reads all and writes a suffix.
    rewritten = whole + suffix
    judged = 2 * candidates * whole + most_calls(schedule, candidates) * (whole + suffix) + rewritten
    match objective:
        case RFNLL():
            return PerDocument(whole, 0, sampled, judged)
        case OnlineDPO():
            pair = prefix + 2 * TRAINED_SUFFIX * suffix
            return PerDocument(pair, pair, sampled, judged)
        case JudgeFreeDPO():
            pair = prefix + 2 * TRAINED_SUFFIX * suffix
            return PerDocument(pair, pair, prefix + suffix, rewritten)
        case GRPO():
            rows = prefix + rollouts * suffix
            return PerDocument(rows, rows if objective.needs_reference else 0, sampled, judged)
        case SFT():
            return PerDocument(whole, 0, 0, rewritten)
        case _:
            return PerDocument(whole, 0, 0, 0)


def budget(setting: Setting, *, teachers: bool) -> float:
    """What online DPO costs at the setting's tokens, in F; with its teachers, or the policy's part alone."""
    hero = per_document(setting, setting.online_dpo.objective)
    return setting.tokens / hero.trained * hero.forwards(teachers=teachers)


def equal_compute_tokens(
    setting: Setting,
    objective: Objective,
    *,
    teachers: bool = False,
    rollouts: int | None = None,
    schedule: Schedule = ALL_PAIRS,
    share: float = 1.0,
) -> int:
    """Trained tokens of ``objective`` that cost ``share`` of what online DPO costs at the setting's tokens.

    Args:
        setting: of the evidence.
        objective: whose tokens are asked for.
        teachers: whether the teachers of both count.
        rollouts: a pool, if not the setting's.
        schedule: of the judge's comparisons.
        share: of the budget.
    """
    sized = setting if rollouts is None else replace(setting, num_rollouts=rollouts)
    ours = per_document(sized, objective, schedule)
    return round(share * budget(setting, teachers=teachers) / ours.forwards(teachers=teachers) * ours.trained)


def equal_compute_steps(setting: Setting, share: float, *, teachers: bool = False) -> int:
    """Steps that teach ``share`` of the documents at the compute of online DPO on all of fewer."""
    hero, plain = (per_document(setting, method.objective) for method in (setting.online_dpo, setting.ntp))
    document = share * hero.forwards(teachers=teachers) + (1 - share) * plain.forwards(teachers=teachers)
    return round(budget(setting, teachers=teachers) / document / setting.online_dpo.documents_per_step)
