"""What every role spends: counted, capped, kept over a resume; and which model answered, which must stay the same.

There is one ledger a process, for a process trains one run at a time. A request is entered with the most that it can
cost before it is sent, so that a cap is never passed; it is settled by what the server says it took.
"""

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.endpoints.errors import BudgetSpent, ModelChanged
from tutelage.endpoints.settings import Cap, Price
from tutelage.metrics import Metric, Sum
from tutelage.record import write_atomically

TOKENS = ("prompt_tokens", "answer_tokens", "assumed_tokens")
"""What a cap of tokens counts together."""
Amounts = dict[str, dict[str, float]]
"""By role, then by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A request that is out."""

    role: str
    tokens: int
    """The most that it can take."""
    cost: float
    price: Price


class Ledger:
    """Tokens, cost and requests by role, in this process and in the run's earlier ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self.owner = ""
        """Names the run and rank whose answers on-policy entries of a cache are."""
        self._path: Path | None = None
        self._size = 1
        self._before: Amounts = {}
        self._earlier: Amounts = {}
        self._spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._news: dict[str, float] = defaultdict(float)
        self._out: dict[str, list[Entry]] = defaultdict(list)
        self._models: dict[str, str] = {}
        self._saved = ""
        self._saved_at = 0.0

    def open(self, directory: Path, rank: int, size: int) -> None:
        """Begin the books of the run in ``directory`` on this rank, or go on with them.

        Raises:
            ValueError: a file of theirs cannot be read.
        """
        with self._lock:
            self._reset()
            self._path, self._size = _path(directory, rank), size
            self.owner = hashlib.blake2b(f"{directory.resolve()}\n{rank}".encode(), digest_size=8).hexdigest()
            self._before, self._models = read_books(directory)
            if self._path.exists():
                self._earlier, _ = _read(self._path)

    def save(self, *, every_s: float = 0.0) -> None:
        """Write what was spent; nothing where nothing was, or where it was written less than ``every_s`` ago."""
        with self._lock:
            now = time.monotonic()
            if self._path is None or now - self._saved_at < every_s:
                return
            roles = sorted({*self._earlier, *self._spent})
            spent = {role: _summed([self._earlier.get(role, {}), self._spent.get(role, {})]) for role in roles}
            text = json.dumps({"spent": spent, "models": self._models}, indent=1)
            if (roles or self._models) and text != self._saved:
                write_atomically(self._path, text.encode())
                self._saved = text
            self._saved_at = now

    def close(self) -> None:
        """Write what was spent, all that is still out at its most, and be done with the run."""
        with self._lock:
            for entry in [entry for out in self._out.values() for entry in out]:
                self._charge(entry, None, None, assumed=True)
            self._out.clear()
        try:
            self.save()
        finally:
            with self._lock:
                self._reset()

    # ----------------------------------------------------------------- caps

    def enter(self, role: str, cap: Cap, price: Price, prompt_tokens: int, answer_tokens: int) -> Entry | None:
        """Enter a request by the most that it can take; ``None`` where it has to wait for others to be settled.

        Raises:
            BudgetSpent: it could lead beyond a cap, and no other is out.
        """
        entry = Entry(role, prompt_tokens + answer_tokens, price.of(prompt_tokens, answer_tokens), price)
        with self._lock:
            out = self._out[role]
            tokens, cost = _total(self._spent.get(role, {}))
            tokens, cost = tokens + sum(e.tokens for e in out), cost + sum(e.cost for e in out)
            gone_tokens, gone_cost = _total(self._before.get(role, {}))
            # What earlier processes left is shared by the ranks.
            over = (cap.tokens is not None and tokens + entry.tokens > (cap.tokens - gone_tokens) / self._size) or (
                cap.cost is not None and cost + entry.cost > (cap.cost - gone_cost) / self._size
            )
            if not over:
                out.append(entry)
                return entry
            if out:
                return None
        tokens_cap = "" if cap.tokens is None else f" {cap.tokens:,} tokens"
        cost_cap = "" if cap.cost is None else f" a cost of {cap.cost:g}"
        raise BudgetSpent(
            f"{role} has spent {self.tokens(role):,.0f} tokens at a cost of {self.cost(role):,.2f}; a further request "
            f"could lead beyond its cap of{' or'.join(filter(None, (tokens_cap, cost_cap)))}: raise it, then resume"
        )

    def settle(self, entry: Entry, prompt_tokens: int | None, answer_tokens: int | None, *, assumed: bool) -> None:
        """Note what a request took; the most that it can have, where none is told and it is ``assumed`` computed."""
        with self._lock:
            if entry in self._out[entry.role]:  # else of a run that this process is done with
                self._out[entry.role].remove(entry)
                self._charge(entry, prompt_tokens, answer_tokens, assumed=assumed)

    def _charge(self, entry: Entry, prompt_tokens: int | None, answer_tokens: int | None, *, assumed: bool) -> None:
        amounts: dict[str, float] = {}
        if prompt_tokens is not None and answer_tokens is not None:
            cost = entry.price.of(prompt_tokens, answer_tokens)
            amounts = {"prompt_tokens": prompt_tokens, "answer_tokens": answer_tokens, "cost": cost}
        elif assumed:
            amounts = {"assumed_tokens": entry.tokens, "cost": entry.cost}
        if entry.price == Price():
            amounts.pop("cost", None)
        for name, amount in amounts.items():
            self._add(name, entry.role, amount)

    def tokens(self, role: str) -> float:
        """Tokens of the whole run so far, as far as this rank knows: read, written, and assumed."""
        return _total(self._spent.get(role, {}))[0] + _total(self._before.get(role, {}))[0]

    def cost(self, role: str) -> float:
        """The cost of the whole run so far, as far as this rank knows."""
        return _total(self._spent.get(role, {}))[1] + _total(self._before.get(role, {}))[1]

    # ----------------------------------------------------------------- counting

    def count(self, name: str, role: str, amount: float = 1.0) -> None:
        """Add to ``name/role`` of the metrics."""
        with self._lock:
            self._add(name, role, amount)

    def _add(self, name: str, role: str, amount: float) -> None:
        self._spent[role][name] += amount
        self._news[f"{name}/{role}"] += amount

    def take_metrics(self) -> dict[str, Metric]:
        """What was counted since the last call, by ``name/role``."""
        with self._lock:
            news, self._news = self._news, defaultdict(float)
        return {name: Sum(amount) for name, amount in sorted(news.items())}

    # ----------------------------------------------------------------- who answers

    def identify(self, role: str, model: str, trait: str, found: str) -> None:
        """Note who answers for ``model``, or compare.

        Raises:
            ModelChanged: it was another one before, in this process or in the run's earlier ones.
        """
        name = f"{role} {model} {trait}"
        with self._lock:
            known = self._models.setdefault(name, found)
        if known != found:
            raise ModelChanged(
                f"{role} asks for {model!r}, {trait} as {known!r} until now and as {found!r} from now on: verdicts of "
                "two models must not be mixed. Put the old model back, or begin a run in another directory"
            )


def read_books(directory: Path) -> tuple[Amounts, dict[str, str]]:
    """What all ranks of the run in ``directory`` have spent by role, and which models answered.

    Raises:
        ValueError: a file of theirs cannot be read.
    """
    books = [_read(path) for path in sorted(directory.glob("teachers.rank-*.json"))]
    roles = sorted({role for spent, _ in books for role in spent})
    models = {name: found for _, models in books for name, found in models.items()}
    return {role: _summed([spent.get(role, {}) for spent, _ in books]) for role in roles}, models


def _path(directory: Path, rank: int) -> Path:
    return directory / f"teachers.rank-{rank:04d}.json"


def _summed(parts: list[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def _total(spent: Mapping[str, float]) -> tuple[float, float]:
    """Tokens and cost."""
    return sum(spent.get(name, 0.0) for name in TOKENS), spent.get("cost", 0.0)


def _read(path: Path) -> tuple[Amounts, dict[str, str]]:
    try:
        plain: Any = json.loads(path.read_text("utf-8"))
        spent = {str(r): {str(n): float(a) for n, a in amounts.items()} for r, amounts in plain["spent"].items()}
        return spent, {str(name): str(found) for name, found in plain["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); it holds what the run has spent. Put it back from a copy, or delete it "
            "to count from nought"
        ) from error


LEDGER = Ledger()
"""The books of this process."""
