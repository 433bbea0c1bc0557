"""The cache saves calls and can lose nothing but time."""

import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tests.endpoints.conftest import Make
from tests.endpoints.fault_server import FaultServer, answer_to

from tutelage.endpoints import LEDGER, AnswerCache, drop_settled
from tutelage.endpoints.cache import Cache, close_caches, key_of, opened
from tutelage.endpoints.wire import Style
from tutelage.protocols import Answered, Prompt
from tutelage.types import Absent

STYLE = Style("judge", "chat", 1.0, 0.6, "ask", "none")
KEPT = Prompt("Compare.", "a suffix and a rewrite")
PASSING = replace(KEPT, user="a suffix and a rollout", on_policy=True)


def test_five_samples_of_one_prompt_are_five_entries(server: FaultServer, endpoint: Make, cache: AnswerCache):
    model = endpoint(server, cache=cache)
    first = model.answer([KEPT] * 5, range(5))
    assert len(set(first)) == 5 and server.counts["requests"] == 5
    assert model.answer([KEPT] * 5, range(5)) == first and server.counts["requests"] == 5


def test_an_answer_is_kept_with_how_it_ended(server: FaultServer, endpoint: Make, cache: AnswerCache):
    server.faults, server.at = ("cut",), frozenset({0})
    model = endpoint(server, cache=cache)
    first = model.answered([KEPT, KEPT], [3, 4])
    assert sorted(one.cut for one in first if isinstance(one, Answered)) == [False, True]
    close_caches()
    server.die()
    assert endpoint("http://127.0.0.1:9/v1", cache=cache).answered([KEPT, KEPT], [3, 4]) == first


def test_known_answers_need_no_server(server: FaultServer, endpoint: Make, cache: AnswerCache):
    first = endpoint(server, cache=cache).answer([KEPT], [3])
    close_caches()
    server.die()
    assert endpoint("http://127.0.0.1:9/v1", cache=cache).answer([KEPT], [3]) == first


@pytest.mark.parametrize(
    "other",
    [
        (replace(STYLE, model="other"), KEPT, 0),
        (replace(STYLE, temperature=0.5), KEPT, 0),
        (replace(STYLE, prefill="continue"), KEPT, 0),
        (STYLE, replace(KEPT, system="Judge."), 0),
        (STYLE, replace(KEPT, answer_start="VERDICT:"), 0),
        (STYLE, replace(KEPT, max_new_tokens=9), 0),
        (STYLE, replace(KEPT, choices=("1", "2")), 0),
        (STYLE, replace(KEPT, before=(("Q", "A"),)), 0),
        (STYLE, KEPT, 1),
    ],
)
def test_whatever_can_change_an_answer_is_part_of_its_key(other: tuple[Style, Prompt, int]):
    assert key_of(*other) != key_of(STYLE, KEPT, 0)


def test_a_hint_is_no_part_of_the_key():
    assert key_of(STYLE, replace(KEPT, document="d", on_policy=True), 0) == key_of(STYLE, KEPT, 0)


def test_the_file_holds_answers_and_no_prompts_and_is_the_users_alone(
    server: FaultServer, endpoint: Make, cache: AnswerCache
):
    endpoint(server, cache=cache).answer([KEPT], [0])
    close_caches()
    path = Path(cache.file)
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    assert answer_to(KEPT.user, 0).encode() in content and KEPT.user.encode() not in content


def test_answers_about_the_policy_go_with_their_runs_checkpoint_and_others_stay(
    server: FaultServer, endpoint: Make, cache: AnswerCache, tmp_path: Path
):
    LEDGER.open(tmp_path, 0, 1)
    model = endpoint(server, cache=cache)
    model.answer([KEPT, PASSING], [0, 0])
    drop_settled("another run")
    model.answer([KEPT, PASSING], [0, 0])
    assert server.counts["requests"] == 2
    drop_settled(LEDGER.owner)
    model.answer([KEPT, PASSING], [0, 0])
    assert server.counts["requests"] == 3


def test_an_answer_that_another_model_gave_is_not_known(server: FaultServer, endpoint: Make, cache: AnswerCache):
    server.listed = {"root": "/models/first"}
    endpoint(server, cache=cache).answer([KEPT], [0])
    LEDGER.__init__()
    server.listed = {"root": "/models/second"}
    with FaultServer(listed=server.listed) as other:
        endpoint(other, cache=cache).answer([KEPT], [0])
        assert other.counts["requests"] == 1


def key(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_it_is_bounded_and_lets_go_first_of_what_was_not_used_for_longest(tmp_path: Path):
    store = Cache(tmp_path / "a.sqlite", 23_000)
    for number in range(20):
        store.put(key(number), "x" * 300, owner="run" if number < 5 else None)
    store.flush()
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        db.execute("UPDATE answers SET used = used - 100")
    store.get([key(7)])
    for number in range(20, 60):
        store.put(key(number), "x" * 300)
    store.flush()
    known = store.get([key(number) for number in range(60)])
    assert 30 <= len(known) <= 23_000 // 428
    assert {key(n) for n in range(5)} <= known.keys() and key(7) in known and key(6) not in known
    store.close()


def test_several_hundred_keys_are_looked_up_at_once(tmp_path: Path):
    store = Cache(tmp_path / "a.sqlite", 10**6)
    for number in range(1200):
        store.put(key(number), str(number))
    assert store.get([key(n) for n in range(1300)]) == {key(n): str(n) for n in range(1200)}
    store.close()


def test_a_corrupt_file_is_set_aside(
    server: FaultServer, endpoint: Make, cache: AnswerCache, caplog: pytest.LogCaptureFixture
):
    path = Path(cache.file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database " * 500)
    with caplog.at_level(logging.WARNING):
        model = endpoint(server, cache=cache)
    assert "no sound cache" in caplog.text and list(path.parent.glob("answers.sqlite.broken-*"))
    model.answer([KEPT], [0])
    assert model.answer([KEPT], [0]) == [answer_to(KEPT.user, 0)] and server.counts["requests"] == 1


def test_a_file_that_breaks_while_it_is_used_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "a.sqlite"
    store = Cache(path, 10**7)
    for number in range(2000):
        store.put(key(number), "x" * 200)
    store.close()
    raw = bytearray(path.read_bytes())
    raw[8192:] = b"\xff" * (len(raw) - 8192)
    path.write_bytes(bytes(raw))
    broken = Cache(path, 10**7)
    assert broken.get([key(n) for n in range(500)]) == {}
    broken.put(key(1), "new")
    assert broken.get([key(1)]) == {key(1): "new"} and "set aside" in caplog.text
    broken.close()


def test_an_altered_answer_is_not_known(tmp_path: Path):
    store = Cache(tmp_path / "a.sqlite", 10**6)
    store.put(key(1), "VERDICT: 1")
    store.flush()
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        db.execute("UPDATE answers SET answer = 'VERDICT: 2'")
    assert store.get([key(1)]) == {}
    store.close()


def test_a_full_disk_turns_it_off_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = Cache(tmp_path / "a.sqlite", 10**9)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    with caplog.at_level(logging.WARNING):
        for number in range(400):
            store.put(key(number), "x" * 4000)
        store.flush()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "is off from now on (database or disk is full)" in told[0]
    assert not store.is_on and store.get([key(1)]) == {}


def test_a_place_that_cannot_be_written_turns_it_off(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("")
    store = opened(AnswerCache(str(tmp_path / "file" / "a.sqlite")))
    store.put(key(1), "x")
    assert not store.is_on and "is off from now on" in caplog.text


def test_two_processes_may_use_one_file(tmp_path: Path):
    one, other = (Cache(tmp_path / "a.sqlite", 10**6) for _ in range(2))
    one.put(key(1), "one")
    one.flush()
    other.put(key(2), "other")
    other.flush()
    assert one.get([key(1), key(2)]) == other.get([key(1), key(2)]) == {key(1): "one", key(2): "other"}
    one.close()
    other.close()


def test_verdicts_without_generation_are_kept_too(server: FaultServer, endpoint: Make, cache: AnswerCache):
    model = endpoint(server, cache=cache)
    first = model.label_logprobs([KEPT], ("1", "2"))
    assert model.label_logprobs([KEPT], ("1", "2")) == first and server.counts["requests"] == 1
    assert isinstance(model.label_logprobs([KEPT], ("YES", "NO"))[0], Absent) and server.counts["requests"] == 1
    model.answer([KEPT], [0])
    assert server.counts["requests"] == 2


def test_room_is_made_first_of_what_belongs_to_runs_that_will_hardly_go_on(tmp_path: Path):
    store = Cache(tmp_path / "a.sqlite", 10_000)
    store.put(key(0), "x" * 300, owner="forgotten")
    store.put(key(1), "x" * 300)
    store.flush()
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        db.execute("UPDATE answers SET used = used - 700000 WHERE owner IS NOT NULL")
        db.execute("UPDATE answers SET used = used - 800000 WHERE owner IS NULL")
    for number in range(2, 24):
        store.put(key(number), "x" * 300)
    store.flush()
    known = store.get([key(number) for number in range(24)])
    assert key(0) not in known and key(1) not in known and key(23) in known
    store.close()


def test_what_is_dropped_makes_room(tmp_path: Path):
    store = Cache(tmp_path / "a.sqlite", 10_000)
    for number in range(20):
        store.put(key(number), "x" * 300, owner="run")
    store.flush()
    store.drop("run")
    for number in range(20):
        store.put(key(100 + number), "x" * 300)
    store.flush()
    assert len(store.get([key(100 + number) for number in range(20)])) == 20
    store.close()
