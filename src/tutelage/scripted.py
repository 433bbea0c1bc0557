"""What stands where a model would: one whose answers are written beforehand, and a policy that there is none of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tutelage.protocols import Prompt, SampleRequest
from tutelage.types import Absent

Script = Sequence[str | Absent] | Callable[[Prompt, int], str | Absent]


@dataclass(frozen=True, slots=True)
class NoPolicy:
    """A ``Sampler`` for where parts are built and there is no policy.

    Example:
        >>> NoPolicy(ValueError("a stream is read before there is a policy")).version
        0
    """

    refusal: Exception
    """What whoever asks it for text is told."""
    version: int = 0

    def sample(self, requests: Sequence[SampleRequest]) -> NoReturn:
        """Refuse.

        Raises:
            Exception: the refusal, always.
        """
        raise self.refusal


class ScriptedModel:
    """A ``TextModel`` that replays answers in order, or calls a function of the prompt and its seed.

    It is its own spec: ``build`` returns itself. ``asked`` keeps every prompt, ``batches`` the size of
    every call.

    Example:
        >>> model = ScriptedModel(["VERDICT: 1"])
        >>> model.answer([Prompt(system="", user="Which?")], [0])
        ['VERDICT: 1']
    """

    def __init__(self, script: Script, *, name: str = "scripted") -> None:
        self._script = script
        self._name = name
        self._replayed = 0
        self.asked: list[Prompt] = []
        self.batches: list[int] = []

    @property
    def name(self) -> str:
        """What records and reports call it."""
        return self._name

    def build(self) -> "ScriptedModel":
        """Itself."""
        return self

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        """The next answers of the script, or what its function says.

        Raises:
            ValueError: the script holds fewer answers than were asked for.
        """
        self.asked.extend(prompts)
        self.batches.append(len(prompts))
        script = self._script
        if callable(script):
            return [script(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        start, self._replayed = self._replayed, self._replayed + len(prompts)
        if self._replayed > len(script):
            raise ValueError(
                f"the script of {self._name!r} holds {len(script)} answers and was asked for number "
                f"{self._replayed}: write more, or pass a function"
            )
        return list(script[start : self._replayed])
