"""First attempts that somebody else wrote before training began, mixed among the policy's own."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import rng
from tutelage.maths.ranges import require
from tutelage.protocols import Codec
from tutelage.types import Tokens


@dataclass(frozen=True, slots=True)
class FirstAttempts:
    """Fixed first attempts from a file: one JSON object a line, ``{"problem": id, "attempt": text}``.

    Only what the policy writes behind them is trained: they have no credit and no leash. SCoRe mixes some of the base
    model's among the policy's own [P], at a share that it does not state; with a share of 1 the policy never learns
    from its own mistakes (Table 4).
    """

    path: str
    """The file; a problem may have several attempts, and lines of other problems are passed over."""
    share: float = 0.25
    """Share of the episodes that begin with one, of problems that have any [I]."""
    author: str = "base"
    """Who wrote them; not ``policy``."""

    def __post_init__(self) -> None:
        require(self, "share", at_least=0, at_most=1)
        if self.author == "policy" or not self.author:
            raise ValueError(f"author must name who wrote the attempts, and not {self.author!r}")

    @property
    def fingerprint(self) -> str:
        """Hex digest of the file; compared on resume."""
        return hashlib.blake2b(Path(self.path).expanduser().read_bytes(), digest_size=16).hexdigest()

    def build(self, codec: Codec, most: int) -> "OfflineAttempts":
        """The attempts at hand; none is longer than ``most`` tokens.

        Raises:
            ValueError: as ``read`` does.
        """
        return OfflineAttempts(self.share, self.read(), codec, most)

    def read(self) -> dict[str, tuple[str, ...]]:
        """The attempts by the id of their problem.

        Raises:
            ValueError: a line that is not such an object; names the file and the line.
        """
        found: dict[str, list[str]] = {}
        with Path(self.path).expanduser().open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    problem, attempt = _entry(line, f"{self.path}:{number}")
                    found.setdefault(problem, []).append(attempt)
        return {problem: tuple(attempts) for problem, attempts in found.items()}


def begun_with(texts: Sequence[str], share: float, *key: rng.Key) -> str | None:
    """Which of a problem's ``texts`` the episode that ``key`` names begins with; ``None`` for the policy's own."""
    if not texts or rng.uniform(*key, "offline") >= share:
        return None
    return texts[rng.below(len(texts), *key, "offline attempt")]


def _entry(line: str, where: str) -> tuple[str, str]:
    try:
        plain: Any = json.loads(line)
        problem, attempt = plain["problem"], plain["attempt"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{where}: a line must be {{"problem": id, "attempt": text}} ({error})') from error
    if not isinstance(problem, str) or not isinstance(attempt, str):
        raise ValueError(f"{where}: problem and attempt must be text")
    return problem, attempt


class OfflineAttempts:
    """``FirstAttempts`` at work: each is put into tokens once, at its fork."""

    def __init__(self, share: float, texts: Mapping[str, tuple[str, ...]], codec: Codec, most: int) -> None:
        self._share = share
        self._texts = texts
        self._codec = codec
        self._most = most

    def draw(self, prompt: Tokens, problem: str, *key: rng.Key) -> Tokens | None:
        """The first attempt of the episode that ``key`` names; ``None`` where the policy is to write it.

        An attempt that does not fit behind the prompt exactly, or is too long, is left to the policy.
        """
        text = begun_with(self._texts.get(problem, ()), self._share, *key)
        tokens = None if text is None else self._codec.encode_after(prompt, text)
        if tokens is None or not 0 < len(tokens) < self._most:
            return None
        return Tokens.join([tokens, Tokens([self._codec.eos])])
