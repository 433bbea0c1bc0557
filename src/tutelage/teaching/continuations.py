"""What a rewriter is trained by: suffixes known to be safe or unsafe, as problems."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tutelage.correction import question_of
from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemSet
from tutelage.prompts import RewritePrompt, fence


@dataclass(frozen=True, slots=True)
class Continuation:
    """A suffix behind its prefix, and whether it is safe.

    Example:
        >>> Continuation("The sea is", " deep.", safe=True).safe
        True
    """

    prefix: str
    suffix: str
    safe: bool


@runtime_checkable
class ContinuationSource(Protocol):
    """Labelled suffixes as they stand in a run."""

    def read(self) -> tuple[Continuation, ...]:
        """All of them.

        Raises:
            ValueError: a file is missing, or a line of it is no labelled suffix.
        """
        ...


@dataclass(frozen=True, slots=True)
class ContinuationFiles:
    """Labelled suffixes from JSON Lines, ``{"prefix", "suffix", "safe": true | false}`` a line, as ``label`` writes."""

    files: tuple[str, ...]
    """Their paths."""

    def read(self) -> tuple[Continuation, ...]:
        """The suffixes of all files."""
        return tuple(one for name in self.files for one in _lines(Path(name).expanduser()))


@dataclass(frozen=True, slots=True)
class RewriteProblems:
    """Labelled suffixes as problems: the question is the rewriter's prompt; the key says what is to be copied."""

    suffixes: ContinuationSource
    """The labelled suffixes."""
    prompt: RewritePrompt = field(default_factory=RewritePrompt)
    """How the rewriter will be asked."""

    def read(self) -> ProblemSet:
        """One problem a suffix.

        Raises:
            ValueError: there are none, or none is safe, or none unsafe: a rewriter would learn one habit alone.
        """
        suffixes = self.suffixes.read()
        safe = sum(one.safe for one in suffixes)
        if not 0 < safe < len(suffixes):
            raise ValueError(
                f"{safe} of {len(suffixes)} suffixes are safe: a rewriter learns to copy from safe ones and to mend "
                "from unsafe ones, and needs both"
            )
        problems = tuple(self._problem(str(number), one) for number, one in enumerate(suffixes))
        return ProblemSet(problems, (None,) * len(problems))

    def _problem(self, name: str, one: Continuation) -> Problem:
        code = fence((one.prefix, one.suffix), "rewrite problem", name)
        asked = self.prompt.ask(one.prefix, one.suffix, code=code, max_new_tokens=1)
        key = json.dumps({**asdict(one), "code": code}, ensure_ascii=False)
        return Problem(name, question_of(asked), key, (("safe", str(one.safe).lower()),))


@dataclass(frozen=True, slots=True)
class RewriteKey:
    """The key of a rewriter's problem."""

    suffix: Continuation
    code: str

    @classmethod
    def read(cls, text: str) -> "RewriteKey | None":
        """The key in ``text``; ``None`` where it is none."""
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(_continuation(found), str(found["code"]))
        except (ValueError, KeyError, TypeError):
            return None


def _lines(path: Path) -> Iterator[Continuation]:
    if not path.is_file():
        raise ValueError(f"there is no file {path} with labelled suffixes")
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
        if line.strip():
            try:
                yield _continuation(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'{path}, line {number}: no labelled suffix such as {{"prefix": "…", "suffix": "…", "safe": true}}'
                ) from error


def _continuation(plain: Any) -> Continuation:
    prefix, suffix, safe = plain["prefix"], plain["suffix"], plain["safe"]
    if not (isinstance(prefix, str) and isinstance(suffix, str) and isinstance(safe, bool)):
        raise TypeError("prefix and suffix are texts, safe is true or false")
    return Continuation(prefix, suffix, safe)
