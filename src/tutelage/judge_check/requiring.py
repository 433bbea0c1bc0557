"""What a judge must reach to be used: requirements as they are written on a command line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

AT_LEAST = ("accuracy", "balanced_accuracy", "parse_rate", "answered", "self_agreement")
"""Figures that must not be lower than what is required."""
AT_MOST = (
    *("refused", "position_bias", "order_flips", "injection_success"),
    *("prompt_tokens", "answer_tokens", "seconds"),
)
"""Figures that must not be higher; of the position bias its size counts."""
Figures = Mapping[str, Mapping[str, float | None]]
"""What was measured: by labelled set (or axis, for injections) and figure."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bound on one figure of one subject, or of all that have it.

    Example:
        >>> requirement("llmbar.accuracy=0.6")
        Requirement(figure='accuracy', bound=0.6, subject='llmbar')
    """

    figure: str
    bound: float
    subject: str = ""

    def __str__(self) -> str:
        """As a sentence has it."""
        sense = "at least" if self.figure in AT_LEAST else "at most"
        return f"{self.subject + '.' if self.subject else ''}{self.figure} {sense} {self.bound:g}"

    def allows(self, value: float) -> bool:
        """Whether ``value`` meets it."""
        if self.figure in AT_LEAST:
            return value >= self.bound
        return (abs(value) if self.figure == "position_bias" else value) <= self.bound


def requirement(text: str) -> Requirement:
    """``accuracy=0.8``, or ``SET.accuracy=0.8`` for one set alone.

    Raises:
        ValueError: an unknown figure, or no number.
    """
    named, _, number = text.partition("=")
    subject, _, figure = named.rpartition(".")
    if figure not in (*AT_LEAST, *AT_MOST):
        raise ValueError(f"{text!r} requires no figure that is measured; there are {', '.join((*AT_LEAST, *AT_MOST))}")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise ValueError(f"{text!r} names no number; write it like accuracy=0.8")
    return Requirement(figure, bound, subject)


def unmet(wanted: Requirement, figures: Figures) -> list[str]:
    """Who misses the requirement and by what; it is also missed where nothing was measured that it speaks of."""
    values = {
        subject: value
        for subject, measured in figures.items()
        if wanted.subject in ("", subject) and (value := measured.get(wanted.figure)) is not None
    }
    if not values:
        return [f"{wanted.subject or 'every set'}: {wanted.figure} was not measured"]
    return [f"{subject}: {value:.4g}" for subject, value in values.items() if not wanted.allows(value)]
