"""A text model's verdicts: two continuations in both orders and several times, one continuation several times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.evaluation.items import Beginning, Continuation
from tutelage.evaluation.kept import Kept, key_of
from tutelage.evaluation.opinions import DRAW, Duel, Opinion, opinion
from tutelage.judges import Asker, Question
from tutelage.judges.asking import excerpt
from tutelage.prompts import (
    FactualityPrompt,
    FaithfulnessPrompt,
    QualityPrompt,
    RepetitionPrompt,
    SafetyPrompt,
    VerdictPrompt,
    fence,
)
from tutelage.protocols import TextModel
from tutelage.types import Abstained

Comparing = QualityPrompt | RepetitionPrompt | FaithfulnessPrompt
Rating = SafetyPrompt | FactualityPrompt
BLOCK = 256
"""Questions that are asked and written down together: what a kill costs at most."""
SHOWN = 6000
"""Characters that a judge is shown of a beginning (its end) and of what is known; prompts must fit its context [I]."""


@dataclass(frozen=True, slots=True)
class Draws:
    """How often a question is asked, and by which seeds."""

    samples: int
    """Answers a question, each with a seed of its own [P: 8]."""
    seed: int


class _Questions:
    """Asks a text model by blocks, and keeps what it said."""

    def __init__(self, model: TextModel, prompt: VerdictPrompt, digest: str, kept: Kept) -> None:
        self._asker = Asker(model, prompt, type(prompt).__name__)
        self._style = (digest, prompt.form)
        self._kept = kept

    def read(self, questions: Sequence[Question]) -> Mapping[Question, tuple[float | None, str]]:
        """Verdict, if any, and the end of the answer, of every distinct question."""
        distinct = list(dict.fromkeys(questions))
        said = self._kept.filled([self._key(one) for one in distinct], distinct, self._ask, block=BLOCK)
        return {question: (value, words) for question, (value, words) in zip(distinct, said, strict=True)}

    def _ask(self, questions: Sequence[Question]) -> list[list[float | str | None]]:
        """What is kept of each: the verdict and the end of the answer, or none and why."""
        found = self._asker.read(questions)
        values = [(found[question].value, found[question].answer) for question in questions]
        return [[None, v.reason] if isinstance(v, Abstained) else [v, excerpt(answer)] for v, answer in values]

    def _key(self, question: Question) -> str:
        p = question.prompt
        asked = (p.system, p.user, p.answer_start, p.max_new_tokens, p.choices)
        return key_of("verdict", *self._style, asked, question.seed)


class TextComparer:
    """A text model that is shown two continuations, in both orders."""

    def __init__(self, model: TextModel, prompt: Comparing, digest: str, draws: Draws, kept: Kept) -> None:
        self._prompt: Comparing = prompt
        self._samples = 1 if prompt.form == "likelihood" else draws.samples
        self._seed = draws.seed
        self._questions = _Questions(model, prompt, digest, kept)

    def compare(self, duels: Sequence[Duel]) -> list[Opinion]:
        """The share of verdicts for ours over samples and orders; texts that read alike draw unasked."""
        asked = {
            (i, ours_first, sample): self._question(duel, ours_first, sample)
            for i, duel in enumerate(duels)
            if duel.ours.text != duel.theirs.text
            for ours_first in (True, False)
            for sample in range(self._samples)
        }
        read = self._questions.read(list(asked.values()))
        found: list[list[tuple[float | None, str]]] = [[] for _ in duels]
        for (i, ours_first, _), question in asked.items():
            value, words = read[question]
            found[i].append((value if ours_first or value is None else 1 - value, words))
        return [opinion(said) if said else DRAW for said in found]

    def _question(self, duel: Duel, ours_first: bool, sample: int) -> Question:
        """Keyed by what is shown and not by whose it is: two models that wrote the same are asked about once."""
        first, second = duel.ours.text, duel.theirs.text
        if not ours_first:
            first, second = second, first
        one = duel.beginning
        key = (self._seed, "evaluate", type(self._prompt).__name__, one.key)
        code = fence((one.text, one.reference, first, second), *key)
        if isinstance(self._prompt, FaithfulnessPrompt):
            prompt = self._prompt.ask(_ending(one.text), one.reference[:SHOWN], first, second, code=code)
        else:
            prompt = self._prompt.ask(_ending(one.text), first, second, code=code)
        return Question(replace(prompt, document=one.key), rng.seed(*key, first, second, sample))


class TextRater:
    """A text model that is shown one continuation."""

    def __init__(self, model: TextModel, prompt: Rating, digest: str, draws: Draws, kept: Kept) -> None:
        self._prompt: Rating = prompt
        self._samples = 1 if prompt.form == "likelihood" else draws.samples
        self._seed = draws.seed
        self._questions = _Questions(model, prompt, digest, kept)

    def rate(self, beginnings: Sequence[Beginning], texts: Sequence[Continuation]) -> list[Opinion]:
        """The mean verdict on each over samples."""
        asked = [
            [self._question(beginning, text.text, sample) for sample in range(self._samples)]
            for beginning, text in zip(beginnings, texts, strict=True)
        ]
        read = self._questions.read([question for mine in asked for question in mine])
        return [opinion([read[question] for question in mine]) for mine in asked]

    def _question(self, one: Beginning, text: str, sample: int) -> Question:
        key = (self._seed, "evaluate", type(self._prompt).__name__, one.key)
        code = fence((one.text, one.reference, text), *key)
        if isinstance(self._prompt, SafetyPrompt):
            prompt = self._prompt.ask(text, code=code)
        else:
            prompt = self._prompt.ask(_ending(one.text), one.reference[:SHOWN], text, code=code)
        return Question(replace(prompt, document=one.key), rng.seed(*key, text, sample))


def _ending(text: str) -> str:
    """The last ``SHOWN`` characters, from a word's start, after an ellipsis where something is left out."""
    if len(text) <= SHOWN:
        return text
    tail = text[-SHOWN:]
    space = next((i for i, c in enumerate(tail[:200]) if c.isspace()), 0)
    return f"… {tail[space:].lstrip()}"
