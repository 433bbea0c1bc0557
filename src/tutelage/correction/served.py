"""The correction task put to a model that answers conversations with text: one on a server."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.correction.asked import Asked
from tutelage.correction.asking import Exam
from tutelage.correction.formats import QUESTION, Chat, FormatError, Plain
from tutelage.correction.offline import begun_with
from tutelage.correction.outcomes import Outcomes, outcomes_of
from tutelage.correction.problems import drawn
from tutelage.correction.task import Correction
from tutelage.correction.verifying import Attempt, Checked, check
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.protocols import Answered, EndTelling, Prompt
from tutelage.types import Absent, Abstained, Floats, Tokens

NOTHING = Tokens([])
FIRST_EPOCH = 0
"""In which a model with tokens meets the problems of an exam."""


@dataclass(frozen=True, slots=True)
class _Talk:
    """An episode in progress."""

    problem: Problem
    draw: int
    said: tuple[tuple[str, Answered], ...] = ()
    """Questions with their answers."""
    failed: str | None = None
    """Why the model gave no further answer."""
    author: str = "policy"


def taken_by_text(exam: Exam, model: EndTelling, *, seed: int) -> Outcomes:
    """What became of the episodes of an exam; a model without an answer has abstained on all that would follow.

    Problems are those that a model with tokens meets, but for the ones that are too long for it. An attempt that the
    server cut off is what the task makes of such attempts.

    Raises:
        ValueError: no problem can be used, or two have one id.
    """
    task, episodes = exam.task, 1 if exam.temperature == 0 else exam.task.episodes
    chosen = drawn(task.problems.read(), exam.problems, seed).problems
    firsts = {} if task.first_attempts is None else task.first_attempts.read()
    author = "policy" if task.first_attempts is None else task.first_attempts.author
    talks = [_begun(problem, draw, task, firsts, author, seed) for problem in chosen for draw in range(episodes)]
    for turn in range(task.turns):
        talks = _answered(talks, turn, task, model, seed)
    with ExitStack() as stack:
        verifier = stack.enter_context(task.verifier.build())
        asked = [Attempt(t.problem, answer.text, truncated=answer.cut) for t in talks for _, answer in t.said]
        checked = iter(check(verifier, asked, task.cut_off))
        turns = [_turns(talk, [next(checked) for _ in talk.said], task.turns) for talk in talks]
    made = [Episode(mine, talk.draw, 0, talk.author) for mine, talk in zip(turns, talks, strict=True)]
    return outcomes_of([EpisodeGroup(p, tuple(made[i * episodes : (i + 1) * episodes])) for i, p in enumerate(chosen)])


def _begun(
    problem: Problem, draw: int, task: Correction, firsts: dict[str, tuple[str, ...]], author: str, seed: int
) -> _Talk:
    share = 0.0 if task.first_attempts is None else task.first_attempts.share
    text = begun_with(firsts.get(problem.id, ()), share, seed, FIRST_EPOCH, problem.id, draw)
    if text is None:
        return _Talk(problem, draw)
    return _Talk(problem, draw, ((_question(problem, task), Answered(text, cut=False)),), author=author)


def _question(problem: Problem, task: Correction) -> str:
    return _format(task).question.replace(QUESTION, problem.question)


def _format(task: Correction) -> Plain | Chat:
    """How the task is put into words.

    Raises:
        FormatError: it asks whole prompts, of which there is one attempt only.
    """
    if isinstance(task.format, Asked):
        raise FormatError("the format Asked has one attempt and no instruction: corrections need Plain or Chat")
    return task.format


def _answered(talks: Sequence[_Talk], turn: int, task: Correction, model: EndTelling, seed: int) -> list[_Talk]:
    """Every conversation with one more answer, where it has none for this turn yet."""
    system = task.format.system if isinstance(task.format, Chat) else ""
    waiting = [i for i, talk in enumerate(talks) if len(talk.said) == turn and talk.failed is None]
    asked = [_format(task).instruction if turn else _question(talks[i].problem, task) for i in waiting]
    prompts = [
        Prompt(system, text, max_new_tokens=task.max_new_tokens, before=_texts(talks[i]))
        for i, text in zip(waiting, asked, strict=True)
    ]
    seeds = [rng.seed(seed, "attempt", talks[i].problem.id, talks[i].draw, turn) for i in waiting]
    found = list(talks)
    for i, text, answer in zip(waiting, asked, model.answered(prompts, seeds), strict=True):
        talk = talks[i]
        if isinstance(answer, Absent):
            found[i] = replace(talk, failed=answer.reason)
        else:
            found[i] = replace(talk, said=(*talk.said, (text, answer)))
    return found


def _texts(talk: _Talk) -> tuple[tuple[str, str], ...]:
    return tuple((question, answer.text) for question, answer in talk.said)


def _turns(talk: _Talk, checked: Sequence[Checked], turns: int) -> tuple[Turn, ...]:
    """The attempts without tokens; those that were never made are abstentions."""
    missing = Checked(Abstained(talk.failed or "no answer"), None)
    every = [*checked, *[missing] * (turns - len(checked))]
    cut = [answer.cut for _, answer in talk.said] + [False] * (turns - len(talk.said))
    return tuple(
        Turn(NOTHING, NOTHING, Floats([]), "length" if off else "stop", one.reward, one.answer)
        for one, off in zip(every, cut, strict=True)
    )
