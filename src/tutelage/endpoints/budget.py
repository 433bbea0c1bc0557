"""What every role spends: counted, capped, kept over a resume; and which model answered, which must stay the same.

There is one ledger a process, for a process trains one run at a time. A request is entered with the most that it can
cost before it is sent, so that a cap is never passed; it is settled by what the server says it took.
"""

import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.endpoints.errors import BudgetSpent, ModelChanged
from tutelage.endpoints.settings import Cap, Price
from tutelage.metrics import Metric, Sum
from tutelage.record import write_atomically

KEPT = ("prompt_tokens", "answer_tokens", "assumed_tokens", "cost")
"""What a run's file holds of every role."""


@dataclass(frozen=True, slots=True)
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
        self._path: Path | None = None
        self._size = 1
        self._reset()

    def _reset(self) -> None:
        self.owner = ""
        """Names the run and rank whose answers on-policy entries of a cache are."""
        self._before: dict[str, dict[str, float]] = {}
        self._earlier: dict[str, dict[str, float]] = {}
        self._spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._news: dict[str, float] = defaultdict(float)
        self._out: dict[str, list[Entry]] = defaultdict(list)
        self._models: dict[str, str] = {}
        self._saved = ""

    def open(self, directory: Path, rank: int, size: int) -> None:
        """Begin the books of the run in ``directory`` on this rank, or go on with them.

        Raises:
            ValueError: a file of theirs cannot be read.
        """
        with self._lock:
            self._reset()
            self._path, self._size = directory / f"teachers.rank-{rank:04d}.json", size
            self.owner = hashlib.blake2b(f"{directory.resolve()}\n{rank}".encode(), digest_size=8).hexdigest()
            for path in sorted(directory.glob("teachers.rank-*.json")):
                spent, models = _read(path)
                self._models |= models
                if path == self._path:
                    self._earlier = spent
                for role, amounts in spent.items():
                    known = self._before.setdefault(role, {})
                    for name, amount in amounts.items():
                        known[name] = known.get(name, 0.0) + amount

    def save(self) -> None:
        """Write what was spent; nothing where nothing was."""
        with self._lock:
            roles = sorted({*self._earlier, *self._spent})
            spent = {r: {n: self._earlier.get(r, {}).get(n, 0.0) + self._spent[r][n] for n in KEPT} for r in roles}
            text = json.dumps({"spent": spent, "models": self._models}, indent=1)
            if self._path is not None and (roles or self._models) and text != self._saved:
                write_atomically(self._path, text.encode())
                self._saved = text

    # ----------------------------------------------------------------- caps

    def enter(self, role: str, cap: Cap, price: Price, prompt_tokens: int, answer_tokens: int) -> Entry | None:
        """Enter a request by the most that it can take; ``None`` where it has to wait for others to be settled.

        Raises:
            BudgetSpent: it could lead beyond a cap, and no other is out.
        """
        entry = Entry(role, prompt_tokens + answer_tokens, price.of(prompt_tokens, answer_tokens), price)
        with self._lock:
            out = self._out[role]
            tokens, cost = self._total(role)
            tokens, cost = tokens + sum(e.tokens for e in out), cost + sum(e.cost for e in out)
            over = (cap.tokens is not None and tokens + entry.tokens > self._share(role, cap.tokens, "tokens")) or (
                cap.cost is not None and cost + entry.cost > self._share(role, cap.cost, "cost")
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
            if entry not in self._out[entry.role]:
                return  # of a run that this process is done with
            self._out[entry.role].remove(entry)
            spent = self._spent[entry.role]
            amounts: dict[str, float] = {}
            if prompt_tokens is not None and answer_tokens is not None:
                cost = entry.price.of(prompt_tokens, answer_tokens)
                amounts = {"prompt_tokens": prompt_tokens, "answer_tokens": answer_tokens, "cost": cost}
            elif assumed:
                amounts = {"assumed_tokens": entry.tokens, "cost": entry.cost}
            for name, amount in amounts.items():
                spent[name] += amount
                self._news[f"{name}/{entry.role}"] += amount

    def _total(self, role: str) -> tuple[float, float]:
        """Tokens and cost of this process."""
        spent = self._spent[role]
        return sum(spent[name] for name in KEPT[:3]), spent["cost"]

    def _share(self, role: str, cap: float, kind: str) -> float:
        """What of a cap earlier processes left for this rank."""
        before = self._before.get(role, {})
        gone = before.get("cost", 0.0) if kind == "cost" else sum(before.get(name, 0.0) for name in KEPT[:3])
        return (cap - gone) / self._size

    def tokens(self, role: str) -> float:
        """Tokens of the whole run so far, as far as this rank knows: read, written, and assumed."""
        return self._total(role)[0] + sum(self._before.get(role, {}).get(name, 0.0) for name in KEPT[:3])

    def cost(self, role: str) -> float:
        """The cost of the whole run so far, as far as this rank knows."""
        return self._total(role)[1] + self._before.get(role, {}).get("cost", 0.0)

    # ----------------------------------------------------------------- counting

    def count(self, name: str, role: str, amount: float = 1.0) -> None:
        """Add to ``name/role`` of the metrics."""
        with self._lock:
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


def _read(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    try:
        plain: Any = json.loads(path.read_text("utf-8"))
        spent = {str(r): {n: float(v[n]) for n in KEPT} for r, v in plain["spent"].items()}
        return spent, {str(name): str(found) for name, found in plain["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); it holds what the run has spent. Put it back from a copy, or delete it "
            "to count from nought"
        ) from error


LEDGER = Ledger()
"""The books of this process."""
