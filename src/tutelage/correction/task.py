"""The correction task as it stands in a run."""

from dataclasses import dataclass
from typing import Literal

from tutelage.correction.asked import Asked
from tutelage.correction.formats import Chat, Plain
from tutelage.correction.offline import FirstAttempts
from tutelage.correction.problems import ProblemReader, drawn
from tutelage.maths.ranges import require
from tutelage.problems.contract import ProblemSource
from tutelage.protocols import Codec
from tutelage.verifiers.contract import VerifierSpec


@dataclass(frozen=True, slots=True)
class Correction:
    """Problems, attempted and attempted again (2409.12917 §3): what a phase does instead of the suffix task.

    With ``turns=1`` it is single-turn RL with a verifiable reward: what judges, rewriters and thoughts are trained by.

    ``documents_per_step`` of the phase counts problems; its sources, judges and stream stay empty. All is sampled at
    temperature 1 [P], for REINFORCE learns from the distribution that was sampled from.
    """

    problems: ProblemSource
    """What is asked, with the answer keys."""
    verifier: VerifierSpec
    """Who knows whether an attempt is right; the policy is never told."""
    format: Plain | Chat | Asked = Plain()
    """How problem and instruction are put into tokens."""
    episodes: int = 8
    """Episodes of each problem, k: the baseline is the mean of the others. Not stated in the paper [I]."""
    turns: int = 2
    """Attempts of an episode: two; three for the paper's App. A.1; one for RL without corrections."""
    max_new_tokens: int = 512
    """Longest attempt; a longer one is cut off and counted. Not stated in the paper [I]."""
    cut_off: Literal["wrong", "checked"] = "wrong"
    """What an attempt is that was cut off: never right, without being asked about; or checked like any other, where the
    verifier asks for no end (a continuation of a text)."""
    max_prompt_tokens: int = 1024
    """Problems that take more tokens are left out and counted."""
    first_attempts: FirstAttempts | None = None
    """Attempts of another model, as the first of some episodes."""

    def __post_init__(self) -> None:
        require(self, "episodes", "max_new_tokens", "max_prompt_tokens", at_least=1)
        require(self, "turns", at_least=1, at_most=10)
        if self.turns > 1 and isinstance(self.format, Asked):
            raise ValueError(f"the format Asked has no instruction to correct: turns must be 1, not {self.turns}")
        if self.first_attempts is not None and self.turns < 2:
            raise ValueError("first_attempts are for episodes of two turns or more: turns is 1")

    def open(self, seed: int, codec: Codec, count: int | None = None) -> ProblemReader:
        """The problems in keyed order, or ``count`` that are drawn of them, with the tokens that ask them.

        Raises:
            ValueError: none can be used, two have one id, or the format does not go with the tokenizer.
        """
        found = self.problems.read()
        asked = found if count is None else drawn(found, count, seed)
        return ProblemReader(asked, self.format.build(codec), seed=seed, most=self.max_prompt_tokens)

    def asks_like(self, other: "Correction") -> bool:
        """Whether both read the same problems, put into the same tokens."""
        mine, theirs = ((t.problems, t.format, t.max_prompt_tokens) for t in (self, other))
        return mine == theirs
