"""What a teacher of this world is post-trained on: questions as servers are asked them, and the oracle's answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tutelage.judge_check import Pair, Passage
from tutelage.prompts import QualityPrompt, RewritePrompt, SafetyPrompt, fence
from tutelage.protocols import Prompt
from tutelage.types import Chunk, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.documents import mangle
from tutelage.worlds.facts.judge import score_all
from tutelage.worlds.facts.language import INSULTS, Kind
from tutelage.worlds.facts.rewriter import Editor, FactsRewriter
from tutelage.worlds.facts.scores import Scores
from tutelage.worlds.facts.teacher import FactsTeacher, Teacher
from tutelage.worlds.facts.world import FactsWorld

Task = Literal["quality", "safety", "rewrite"]
TASKS: tuple[Task, ...] = ("quality", "quality", "safety", "rewrite")
"""In turn: comparing is what takes longest to learn."""
ERRORS = (0.0, 0.3, 0.6)
"""Shares of facts that candidates get wrong, so that there is something to prefer."""
SPOILT = 0.4
"""Share of candidates that are also abusive or broken somewhere."""
REMARKS = {
    "abusive": "abuse",
    "broken": "unsound",
    "repeats": "repeated",
    "strays": "off the topic",
    "stops": "ends early",
}
"""The word for each of the oracle's remarks."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """How the teacher is asked, in lessons as in the runs that it serves; briefly, for it is a small model."""

    quality: QualityPrompt = QualityPrompt("Compare two continuations.", max_new_tokens=32)
    safety: SafetyPrompt = SafetyPrompt("Check a passage.", form="label")
    rewrite: RewritePrompt = RewritePrompt("Improve a continuation.")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question with its answer."""

    prompt: Prompt
    answer: str
    item: Pair | Passage | None
    """The same as a labelled text, by which a judge is examined; ``None`` of a rewrite."""


def lesson(world: FactsWorld, prompts: Prompts, chunk: Chunk, task: Task) -> Lesson:
    """The question of ``task`` about ``chunk``, a function of the two."""
    prefix = as_shown(world, chunk.prefix)
    match task:
        case "quality":
            return _compare(world, prompts.quality, chunk, prefix)
        case "safety":
            text = as_shown(world, candidate(world, chunk, 0))
            (scored,) = score_all(world, chunk, [candidate(world, chunk, 0)])
            safe = scored.safety == 1.0
            asked = prompts.safety.ask(text, code=_code(chunk, text))
            return Lesson(asked, "YES" if safe else "NO", Passage(text, safe))
        case "rewrite":
            suffix = as_shown(world, chunk.suffix)
            room = 2 * world.suffix_length
            asked = prompts.rewrite.ask(prefix, suffix, code=_code(chunk, prefix, suffix), max_new_tokens=room)
            return Lesson(asked, as_shown(world, _written(Editor(FactsRewriter(world), 0), chunk)), None)


def _compare(world: FactsWorld, prompt: QualityPrompt, chunk: Chunk, prefix: str) -> Lesson:
    """Two candidates of which one is better by the sum of the oracle's scores; its reasons are the flaws of both."""
    first = candidate(world, chunk, 0)
    for number in range(1, 20):
        second = candidate(world, chunk, number)
        one, two = score_all(world, chunk, [first, second])
        if abs(one.total - two.total) > 1e-9:
            break
    else:
        second = Tokens([])
        one, two = score_all(world, chunk, [first, second])
    better: Literal[1, 2] = 1 if one.total > two.total else 2
    texts = (as_shown(world, first), as_shown(world, second))
    asked = prompt.ask(prefix, *texts, code=_code(chunk, prefix, *texts))
    answer = f"1 : {flaws(one)} . 2 : {flaws(two)} .\nVERDICT: {better}"
    return Lesson(asked, answer, Pair(prefix, *texts, better=better))


def flaws(scores: Scores) -> str:
    """What the oracle finds wrong with a text, a word each; ``good`` where that is nothing."""
    counts = re.match(r"(\d+) right, (\d+) wrong of (\d+) expected", scores.words)
    if counts is None:
        return "empty"
    right, wrong, expected = (int(number) for number in counts.groups())
    found = [word for word, sign in REMARKS.items() if sign in scores.words]
    found += ["wrong"] * (wrong > 0) + ["few"] * (right < expected)
    return " ".join(found) or "good"


def candidate(world: FactsWorld, chunk: Chunk, number: int) -> Tokens:
    """Something that a pool could hold: the suffix, a rewrite or a text of somebody's own, well or badly written."""
    dice = Dice("facts lessons", *chunk.key, number)
    error = dice.pick(ERRORS)
    seed = dice.below(1 << 30)
    match dice.below(3):
        case 0:
            tokens = chunk.suffix
        case 1:
            tokens = _written(Editor(FactsRewriter(world, error), seed), chunk)
        case _:
            tokens = _written(Teacher(FactsTeacher(world, error), seed), chunk)
    return _spoilt(world, tokens, dice) if dice.chance(SPOILT) else tokens


def _spoilt(world: FactsWorld, tokens: Tokens, dice: Dice) -> Tokens:
    """``tokens`` with an insult among its sentences, or one of them mangled; no longer than a suffix."""
    lexicon = world.lexicon
    sentences = [sentence.ids.tolist() for sentence in lexicon.parse(tokens.array[tokens.array != lexicon.end])]
    if not sentences:
        return tokens
    place = dice.below(len(sentences))
    if dice.chance(0.5):
        insult = dice.pick(lexicon.of_kind(Kind.INSULT))
        name = lexicon.name(dice.below(lexicon.people))
        sentences.insert(place, insult.fill(name, lexicon.first_insult + dice.below(len(INSULTS))))
    elif len(sentences[place]) > 2:
        sentences[place] = mangle(sentences[place], dice)
    return Tokens(np.concatenate([np.array(ids, np.int32) for ids in sentences])[: world.suffix_length])


def _written(author: Editor | Teacher, chunk: Chunk) -> Tokens:
    (tokens,) = author.rewrite([chunk])
    assert isinstance(tokens, Tokens)
    return tokens


def as_shown(world: FactsWorld, tokens: Tokens) -> str:
    """As a judge reads it: the words, each behind its space, without end-of-text."""
    ids = tokens.array[tokens.array != world.lexicon.end]
    return "".join(f" {word}" for word in world.text(Tokens(ids)).split())


def _code(chunk: Chunk, *texts: str) -> str:
    return fence(texts, "facts lessons", *chunk.key)


def labelled(world: FactsWorld, prompts: Prompts, chunks: Sequence[Chunk], task: Task) -> tuple[Pair | Passage, ...]:
    """The items of ``chunks``, for ``judge_check``."""
    found = (lesson(world, prompts, chunk, task).item for chunk in chunks)
    return tuple(item for item in found if item is not None)
