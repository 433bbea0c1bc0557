"""What arms cost in floating-point operations, counted from the model's shape; teachers by a stated assumption.

A token costs F = 2 · weights of matrices + 4 · layers · width · context once forward, and three times that with its
backward pass; a reference costs F more. Sampling costs F for every token of the prefix and every one drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.evidence.settings import Setting
from tutelage.objectives import GRPO, RFNLL, JudgeFreeDPO, Objective, OnlineDPO
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


def per_document(setting: Setting, objective: Objective) -> PerDocument:
    """Of one document under an objective, its pool suffix, rewrite and K rollouts where it has one."""
    world, rollouts = setting.world, setting.num_rollouts
    prefix, suffix = world.prefix_length, world.suffix_length
    whole, candidates = prefix + suffix, rollouts + 2
    sampled = prefix + rollouts * suffix
    # Facts and safety are judged one by one, quality in every pair; the rewriter reads all and writes a suffix.
    judged = 2 * candidates * whole + candidates * (candidates - 1) / 2 * (whole + suffix) + whole + suffix
    match objective:
        case RFNLL():
            return PerDocument(whole, 0, sampled, judged)
        case OnlineDPO():
            pair = prefix + 2 * TRAINED_SUFFIX * suffix
            return PerDocument(pair, pair, sampled, judged)
        case JudgeFreeDPO():
            pair = prefix + 2 * TRAINED_SUFFIX * suffix
            return PerDocument(pair, pair, prefix + suffix, whole + suffix)
        case GRPO():
            rows = prefix + rollouts * suffix
            return PerDocument(rows, rows if objective.needs_reference else 0, sampled, judged)
        case _:
            return PerDocument(whole, 0, 0, 0)


def equal_compute_tokens(setting: Setting, objective: Objective, *, teachers: bool = False) -> int:
    """Trained tokens of ``objective`` that cost what online DPO costs at the setting's tokens.

    With ``teachers``, online DPO's teachers count and the arm has none.
    """
    hero, ours = (per_document(setting, what) for what in (setting.online_dpo.objective, objective))
    budget = setting.tokens / hero.trained * hero.forwards(teachers=teachers)
    return round(budget / ours.forwards(teachers=False) * ours.trained)


def equal_compute_steps(setting: Setting, share: float) -> int:
    """Steps that teach ``share`` of the documents at the compute of online DPO on all of fewer; teachers free."""
    hero, plain = (per_document(setting, method.objective) for method in (setting.online_dpo, setting.ntp))
    budget = setting.tokens / hero.trained * hero.forwards(teachers=False)
    document = share * hero.forwards(teachers=False) + (1 - share) * plain.forwards(teachers=False)
    return round(budget / document / setting.online_dpo.documents_per_step)
