"""The correction task put to a model that answers conversations with text: on a server, or a chat model here."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.correction.asked import Asked
from tutelage.correction.asking import Exam
from tutelage.correction.formats import QUESTION, Chat, FormatError, Plain
from tutelage.correction.outcomes import Outcomes, outcomes_of
from tutelage.correction.problems import whole_problems
from tutelage.correction.task import Correction
from tutelage.correction.verifying import Attempt, Checked, check
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.protocols import Prompt, TextModel
from tutelage.types import Absent, Abstained, Floats, Tokens

NOTHING = Tokens([])


@dataclass(frozen=True, slots=True)
class _Talk:
    """An episode in progress."""

    problem: Problem
    draw: int
    said: tuple[tuple[str, str], ...] = ()
    """Questions with their answers."""
    failed: str | None = None
    """Why the model gave no further answer."""
    author: str = "policy"


def taken_by_text(exam: Exam, model: TextModel, *, seed: int) -> Outcomes:
    """What became of the episodes of an exam; a model without an answer has abstained on all that would follow.

    Problems are those that a model with tokens would meet, in the order of the data. A server does not say where it cut
    an answer off: such an attempt is judged by what it says.

    Raises:
        ValueError: no problem can be used.
    """
    task, episodes = exam.task, 1 if exam.temperature == 0 else exam.task.episodes
    chosen = _drawn(whole_problems(task.problems.read()), exam.problems, seed)
    firsts = {} if task.first_attempts is None else task.first_attempts.read()
    author = "policy" if task.first_attempts is None else task.first_attempts.author
    talks = [_begun(problem, draw, task, firsts, author, seed) for problem in chosen for draw in range(episodes)]
    for turn in range(task.turns):
        talks = _answered(talks, turn, task, model, seed)
    with ExitStack() as stack:
        verifier = stack.enter_context(task.verifier.build())
        asked = [Attempt(t.problem, text, truncated=False) for t in talks for _, text in t.said]
        checked = iter(check(verifier, asked))
        turns = [_turns(talk, [next(checked) for _ in talk.said], task.turns) for talk in talks]
    made = [Episode(mine, talk.draw, 0, talk.author) for mine, talk in zip(turns, talks, strict=True)]
    return outcomes_of([EpisodeGroup(p, tuple(made[i * episodes : (i + 1) * episodes])) for i, p in enumerate(chosen)])


def _drawn(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """``count`` of them by a keyed draw, in their order."""
    kept = sorted(range(len(problems)), key=lambda i: rng.seed(seed, "exam", problems[i].id))[:count]
    return [problems[i] for i in sorted(kept)]


def _begun(
    problem: Problem, draw: int, task: Correction, firsts: dict[str, tuple[str, ...]], author: str, seed: int
) -> _Talk:
    texts = firsts.get(problem.id, ())
    given = task.first_attempts
    key = (seed, problem.id, draw)
    if given is None or not texts or rng.uniform(*key, "offline") >= given.share:
        return _Talk(problem, draw)
    text = texts[rng.below(len(texts), *key, "offline attempt")]
    return _Talk(problem, draw, ((_question(problem, task), text),), author=author)


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


def _answered(talks: Sequence[_Talk], turn: int, task: Correction, model: TextModel, seed: int) -> list[_Talk]:
    """Every conversation with one more answer, where it has none for this turn yet."""
    system = task.format.system if isinstance(task.format, Chat) else ""
    waiting = [i for i, talk in enumerate(talks) if len(talk.said) == turn and talk.failed is None]
    asked = [_format(task).instruction if turn else _question(talks[i].problem, task) for i in waiting]
    prompts = [
        Prompt(system, text, max_new_tokens=task.max_new_tokens, before=talks[i].said)
        for i, text in zip(waiting, asked, strict=True)
    ]
    seeds = [rng.seed(seed, "attempt", talks[i].problem.id, talks[i].draw, turn) for i in waiting]
    found = list(talks)
    for i, text, answer in zip(waiting, asked, model.answer(prompts, seeds), strict=True):
        talk = talks[i]
        if isinstance(answer, Absent):
            found[i] = replace(talk, failed=answer.reason)
        else:
            found[i] = replace(talk, said=(*talk.said, (text, answer)))
    return found


def _turns(talk: _Talk, checked: Sequence[Checked], turns: int) -> tuple[Turn, ...]:
    """The attempts without tokens; those that were never made are abstentions."""
    missing = Checked(Abstained(talk.failed or "no answer"), None)
    every = [*checked, *[missing] * (turns - len(checked))]
    return tuple(Turn(NOTHING, NOTHING, Floats([]), "stop", one.reward, one.answer) for one in every)
