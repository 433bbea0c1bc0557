"""Nouns of tasks with several turns: a problem, the attempts of one episode, all episodes of a problem."""

from dataclasses import dataclass
from typing import Literal

from tutelage.types import Floats, Tokens, Verdict

VERIFIER = "verifier"
"""The axis under which a verifier's abstentions are counted, and under which samples show its verdicts."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question that has an answer key, which the policy never sees.

    Example:
        >>> Problem("gsm8k-1", "What is 2 + 3?", "5").question
        'What is 2 + 3?'
    """

    id: str
    """The data's own id, or ``file:line`` where it has none."""
    question: str
    """What is asked, without any instruction of ours."""
    key: str
    """What a verifier compares with: the gold answer in maths, the tests that must pass in code."""
    tags: tuple[tuple[str, str], ...] = ()
    """What results are broken down by, as ``(("level", "3"), ("subject", "algebra"))``."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One attempt: what was said to the policy since the attempt before, and what it wrote."""

    prompt: Tokens
    """Tokens between the attempt before and this one: the question at first, then the instruction to correct."""
    completion: Tokens
    """What the policy wrote, exactly as it was sampled."""
    logprobs: Floats
    """Behaviour log-probabilities of ``completion`` in nats; empty where it was not sampled from the policy."""
    finish: Literal["stop", "length"]
    """``length`` where the attempt was cut off."""
    reward: Verdict
    """The verifier's verdict: 1 for right, 0 for wrong, between them for what is right in part; one that failed
    abstains."""
    answer: str | None = None
    """The final answer as the verifier read it, equal answers as equal texts; ``None`` where it found none."""


@dataclass(frozen=True, slots=True)
class Episode:
    """The turns of one try at a problem, in order; each sees all that stands before it."""

    turns: tuple[Turn, ...]
    draw: int
    """Which of the problem's episodes this is; part of its random key."""
    policy_version: int
    """Number of updates that the policy had seen when it wrote this."""
    first_attempt_by: str = "policy"
    """Who wrote the first attempt: the policy itself, or the name of whoever wrote it before training began."""


@dataclass(frozen=True, slots=True)
class EpisodeGroup:
    """All episodes of one problem in one step: what a baseline is taken over."""

    problem: Problem
    episodes: tuple[Episode, ...]
    epoch: int = 0
    """How many times the problems had been read through before."""
