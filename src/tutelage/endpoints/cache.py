"""Answers that were given before, in one SQLite file a machine: what makes resume, replay and evaluation free.

Prompts are not stored, only a digest of model, settings, prompt and seed: the seed is the draw, so that five samples of
one prompt are five entries. The cache is a convenience: whatever is wrong with it costs time, never an answer.
"""

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from tutelage.endpoints.settings import AnswerCache
from tutelage.endpoints.wire import Style
from tutelage.protocols import Prompt

log = logging.getLogger(__name__)
VERSION = 1
ABANDONED_S = 7 * 86_400
"""On-policy answers older than this belong to a run that will hardly go on."""
BATCH = 64
"""Answers that are written together: so many may be lost with the machine, and are then asked for again."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, answer TEXT NOT NULL, digest BLOB NOT NULL, identity TEXT NOT NULL,
    owner TEXT, used INTEGER NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_owner ON answers (owner);
CREATE INDEX IF NOT EXISTS by_use ON answers (used, size);
"""
_TIERS = ("owner IS NOT NULL AND used < ?", "owner IS NULL AND used <= ?", "owner IS NOT NULL AND used <= ?")
"""What goes first where room is made: abandoned runs' answers, then those of the corpus, then what is on-policy."""
_MANY = 5000
"""Answers that go at a time."""
_open: dict[Path, "Cache"] = {}
_opening = threading.Lock()


def key_of(style: Style, prompt: Prompt, seed: int, kind: str = "answer") -> bytes:
    """The digest that an answer is kept under; what is only a hint about the prompt does not enter."""
    asked = (prompt.system, prompt.user, prompt.answer_start, prompt.max_new_tokens, prompt.choices)
    asked += (prompt.before,) if prompt.before else ()  # keys of single questions stay what they were
    return hashlib.blake2b(json.dumps([VERSION, kind, astuple(style), asked, seed]).encode(), digest_size=32).digest()


def opened(settings: AnswerCache) -> "Cache":
    """The cache at a place, one a process."""
    path = Path(settings.file).expanduser().absolute()
    with _opening:
        if path not in _open:
            _open[path] = Cache(path, settings.max_bytes)
        return _open[path]


def drop_settled(owner: str) -> None:
    """Drop what ``owner`` asked about its policy's text: a checkpoint made its pools and verdicts part of the run."""
    for cache in tuple(_open.values()):
        cache.drop(owner)


def close_caches() -> None:
    """Write what is pending and let go of all files."""
    with _opening:
        caches = list(_open.values())
        _open.clear()
    for cache in caches:
        cache.close()


class Cache:
    """One file of answers; bears several threads and processes."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._pending: dict[bytes, tuple[Any, ...]] = {}
        self._db: sqlite3.Connection | None = None
        self._bytes = 0
        self._told_busy = False
        self._connect()

    @property
    def is_on(self) -> bool:
        """Whether answers are kept."""
        return self._db is not None

    def get(self, keys: Sequence[bytes], identity: str = "") -> dict[bytes, str]:
        """The answers that are known; those of another model than ``identity``, where that is known, are not."""
        with self._lock:
            found = {k: (row[1], row[2], row[3]) for k in keys if (row := self._pending.get(k))}
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = self._run(f"SELECT key, answer, digest, identity FROM answers WHERE key IN ({marks})", part)
                found |= {key: (answer, digest, who) for key, answer, digest, who in rows}
            good = {
                key: answer
                for key, (answer, digest, who) in found.items()
                if digest == _digest(key, answer) and (not identity or not who or who == identity)
            }
            if good:
                now = int(time.time())
                self._run("UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key in good], many=True)
            return good

    def put(self, key: bytes, answer: str, *, identity: str = "", owner: str | None = None) -> None:
        """Keep an answer: for good, or with an ``owner`` until that owner's next checkpoint."""
        size = len(key) + len(answer.encode("utf-8", "replace")) + 96
        row = (key, answer, _digest(key, answer), identity, owner, int(time.time()), size)
        with self._lock:
            if self._db is not None:
                self._pending[key] = row
                if len(self._pending) >= BATCH:
                    self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            rows, self._pending = list(self._pending.values()), {}
            if rows and self._db is not None:
                self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", rows, many=True)
                self._bytes += sum(row[6] for row in rows)
                if self._bytes > self._max_bytes:
                    self._evict()

    def drop(self, owner: str) -> None:
        """Drop all that is kept for ``owner`` until its checkpoint."""
        with self._lock:
            self._pending = {key: row for key, row in self._pending.items() if row[4] != owner}
            sizes = self._run("SELECT COALESCE(SUM(size), 0) FROM answers WHERE owner = ?", (owner,))
            self._run("DELETE FROM answers WHERE owner = ?", (owner,))
            self._bytes -= sum(int(row[0]) for row in sizes)

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        with self._lock:
            self.flush()
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def _measure(self) -> int:
        return sum(int(row[0]) for row in self._run("SELECT COALESCE(SUM(size), 0) FROM answers"))

    def _evict(self) -> None:
        """Make room by letting go of a tenth, of each tier first what was not used for longest."""
        self._bytes = self._measure()  # other processes write and evict too
        if self._bytes <= self._max_bytes:
            return
        now = int(time.time())
        for tier, before in zip(_TIERS, (now - ABANDONED_S, now, now), strict=True):
            query = f"SELECT key, size FROM answers WHERE {tier} ORDER BY used LIMIT {_MANY}"
            while self._bytes > 0.9 * self._max_bytes and (rows := self._run(query, (before,))):
                gone: list[tuple[bytes]] = []
                for key, size in rows:
                    if self._bytes <= 0.9 * self._max_bytes:
                        break
                    gone.append((key,))
                    self._bytes -= size
                self._run("DELETE FROM answers WHERE key = ?", gone, many=True)

    # ----------------------------------------------------------------- the file

    def _connect(self) -> None:
        for attempt in range(2):
            try:
                self._db = self._opened()
                self._bytes = self._measure()
                return
            except sqlite3.DatabaseError as error:
                if attempt or isinstance(error, sqlite3.OperationalError):
                    self._give_up(error)
                    return
                self._set_aside(error)
            except OSError as error:
                self._give_up(error)
                return

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, timeout=10.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"a file of version {version}")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("SELECT key, answer, digest, identity, owner, used, size FROM answers LIMIT 1").fetchall()
        except BaseException:
            db.close()
            raise
        return db

    def _run(self, statement: str, values: Iterable[Any] = (), *, many: bool = False) -> list[Any]:
        """Rows of a statement, or of many in one transaction; none where the cache is off or goes off by it."""
        if self._db is None:
            return []
        try:
            if not many:
                return self._db.execute(statement, tuple(values)).fetchall()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(statement, values)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                self._tell_busy(error)
            else:
                self._give_up(error)
        except sqlite3.DatabaseError as error:
            self._db.close()
            self._db = None
            self._set_aside(error)
            self._connect()
        return []

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.broken-{int(time.time())}-{os.getpid()}")
        try:
            for end in ("-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)
            self._path.rename(aside)
            log.warning("%s is no sound cache (%s): it was set aside as %s", self._path, error, aside.name)
        except OSError as failure:
            self._give_up(failure)

    def _give_up(self, error: Exception) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None
        self._pending.clear()
        log.warning("the cache %s is off from now on (%s): answers are asked for anew", self._path, error)

    def _tell_busy(self, error: Exception) -> None:
        if not self._told_busy:
            self._told_busy = True
            log.warning("the cache %s is busy (%s): some answers are not kept", self._path, error)


def _digest(key: bytes, answer: str) -> bytes:
    return hashlib.blake2b(key + answer.encode("utf-8", "replace"), digest_size=8).digest()
