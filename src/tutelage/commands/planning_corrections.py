"""What phases that correct will take: attempts, tokens and verdicts, from a sample of their prompts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from tutelage.correction import Correction
from tutelage.phases import Phase, Steps, StepsOfRun, TrainedTokens, WhenAbove
from tutelage.protocols import Codec
from tutelage.run import Run
from tutelage.types import Tokens

SAMPLED = 64
"""Problems whose prompts the mean length is taken over."""


@dataclass(frozen=True, slots=True)
class CorrectionPlan:
    """A phase; of tokens the most that there can be, every attempt of full length."""

    steps: float
    problems: float
    """Those that come again included."""
    attempts: float
    """Sampled, and shown to the verifier."""
    sampled: float
    """Tokens of all attempts."""
    trained: float
    """Packed tokens: a prompt counts once for all episodes of its problem."""


def plan_correction(run: Run, phase: Phase, task: Correction, codec: Codec, made: float) -> CorrectionPlan:
    """What a phase takes after ``made`` updates of others.

    Raises:
        ValueError: no problem can be used.
    """
    reader = task.open(run.seed, codec)
    posed, _ = reader.read(reader.start(), min(SAMPLED, len(reader)))
    prompt = sum(len(one.prompt) for one in posed) / len(posed)
    between = len(task.format.build(codec).instruction(Tokens([])))
    episode = task.turns * task.max_new_tokens + (task.turns - 1) * between
    packed = prompt + task.episodes * episode
    steps = most_steps(phase, made, lambda: packed)
    problems = steps * phase.documents_per_step
    attempts = problems * task.episodes * task.turns
    return CorrectionPlan(steps, problems, attempts, attempts * task.max_new_tokens, problems * packed)


def most_steps(phase: Phase, made: float, per_document: Callable[[], float]) -> float:
    """Updates of a phase after ``made`` others, the most where it ends by a measured rule.

    Args:
        phase: whose end counts.
        made: updates of the phases before.
        per_document: packed tokens that a document or problem adds to an update; asked where the end counts tokens.
    """
    until = phase.until
    match until:
        case Steps(count):
            return count
        case StepsOfRun(count):
            return max(0.0, count - made)
        case TrainedTokens(count):
            return count / max(per_document() * phase.documents_per_step, 1.0)
        case WhenAbove():
            return until.at_most
        case _:
            assert_never(until)
