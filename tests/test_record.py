"""Nouns to disk and back, and records that were torn."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.protocols import Cursor
from tutelage.record import (
    RecordError,
    Ring,
    WriteFailed,
    from_json,
    read_record,
    record_files,
    to_json,
    write_atomically,
)
from tutelage.types import (
    Absent,
    Abstained,
    Chunk,
    Document,
    Floats,
    Group,
    JudgedPool,
    Judgement,
    Pair,
    Pool,
    Rewrite,
    Rollout,
    Row,
    Scored,
    Segment,
    Suffix,
    Tokens,
)

# The type checker looks at random entries of a container when a noun is built; what hypothesis draws does not change.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

text = st.text(max_size=6)
number = st.floats(allow_nan=False, allow_infinity=False)
tokens = st.builds(Tokens, st.lists(st.integers(0, 2**31 - 1), max_size=5))
floats = st.builds(Floats, st.lists(st.floats(-(2.0**90), 2.0**90, width=32), max_size=5))
document = st.builds(Document, text, text, st.integers(0, 9), tokens)
chunk = st.builds(Chunk, document, tokens, tokens, st.integers(0, 9))
rollout = st.builds(
    Rollout, tokens, floats, st.integers(0, 9), st.integers(0, 9), number, number, st.sampled_from(["stop", "length"])
)
candidate = st.one_of(st.builds(Suffix, tokens), st.builds(Rewrite, tokens, text, text), rollout)
pool = st.builds(
    Pool,
    chunk,
    st.lists(candidate, max_size=3).map(tuple),
    st.lists(st.builds(Absent, text, text), max_size=2).map(tuple),
)
verdict = st.one_of(st.builds(Scored, number, st.integers(0, 9)), st.builds(Abstained, text))


def _judgement(axis: str, spoken: list[tuple[Any, str]], weight: float, worded: bool, calls: int) -> Judgement:
    words = tuple(word for _, word in spoken) if worded else ()
    return Judgement(axis, tuple(verdict for verdict, _ in spoken), weight, words, calls)


def _judged(pool: Pool) -> st.SearchStrategy[JudgedPool]:
    count = len(pool.candidates)
    spoken = st.lists(st.tuples(verdict, text), min_size=count, max_size=count)
    judgement = st.builds(_judgement, text, spoken, number, st.booleans(), st.integers(0, 9))
    return st.builds(JudgedPool, st.just(pool), st.lists(judgement, max_size=2).map(tuple))


judged = pool.flatmap(_judged)
segment = st.builds(Segment, tokens, st.booleans(), number, number, number, st.none() | floats)
row = st.builds(Row, st.lists(segment, max_size=3).map(tuple))
item = st.one_of(st.builds(Pair, row, row), st.builds(Group, st.lists(row, max_size=2).map(tuple)))
position = st.tuples(text, st.tuples(*[st.integers(0, 2**40)] * 4))
cursor = st.builds(Cursor, st.integers(0, 9), st.lists(position, max_size=2).map(tuple))
noun = st.one_of(judged, item, cursor, st.tuples(judged, chunk, cursor, st.integers()), st.dictionaries(text, item))


@given(noun)
def test_every_noun_comes_back_from_the_ring_equal(tmp_path_factory: pytest.TempPathFactory, thing: Any):
    ring = Ring(tmp_path_factory.getbasetemp() / "nouns", 0)
    ring.put(3, thing)
    assert ring.get(3) == thing


def test_dictionaries_that_look_like_nouns_stay_dictionaries():
    for plain in ({"tokens": "x"}, {"floats": 1}, {"map": {"a": None}}, {"noun": "Scored"}):
        assert from_json(to_json(plain)) == plain


def test_what_is_no_noun_cannot_be_recorded():
    with pytest.raises(TypeError, match="PosixPath is not a noun"):
        to_json({"path": Path("/")})


def test_a_record_of_another_version_is_refused():
    for plain in ({"noun": "Path"}, {"noun": "Scored", "volume": 1}, {"value": 1}):
        with pytest.raises(RecordError, match="not a record of this version"):
            from_json(plain)


def torn(raw: bytes) -> list[bytes]:
    flipped = bytearray(raw)
    flipped[40] ^= 1
    return [b"", raw[:20], raw[:-3], bytes(flipped), b"\0" * 32 + raw[32:], raw[:32]]


def test_a_torn_record_is_as_good_as_absent(tmp_path: Path):
    ring = Ring(tmp_path, 0)
    ring.put(1, (Tokens([1, 2, 3]), "words that take some room"))
    raw = ring.path(1).read_bytes()
    for broken in torn(raw):
        ring.path(1).write_bytes(broken)
        assert ring.get(1) is None
        with pytest.raises(RecordError, match=r"step-00000001\.rank-0000\.json\.z"):
            read_record(ring.path(1))
    assert ring.get(2) is None
    with pytest.raises(FileNotFoundError):
        read_record(ring.path(2))


def test_a_ring_keeps_what_is_asked_and_leaves_other_ranks_alone(tmp_path: Path):
    mine, other = Ring(tmp_path, 0), Ring(tmp_path, 1)
    for step in range(5):
        mine.put(step, step)
        other.put(step, -step)
    mine.keep(range(2, 4))
    assert [mine.get(step) for step in range(5)] == [None, None, 2, 3, None]
    assert [other.get(step) for step in range(5)] == [0, -1, -2, -3, -4]


def test_the_files_of_a_ring_say_which_step_and_rank_of_how_many_they_are_of(tmp_path: Path):
    for rank, size in ((1, 2), (0, 2), (0, 1)):
        Ring(tmp_path, rank, size).put(7, rank)
    (tmp_path / ".step-00000007.rank-0000.json.z.1.part").touch()
    found = record_files(tmp_path)
    assert [(file.step, file.rank, file.size) for file in found] == [(7, 0, 1), (7, 0, 2), (7, 1, 2)]
    assert [file.path for file in found] == [Ring(tmp_path, r, n).path(7) for r, n in ((0, 1), (0, 2), (1, 2))]
    Ring(tmp_path, 0, 2).keep(())
    assert [(file.rank, file.size) for file in record_files(tmp_path)] == [(0, 1), (1, 2)]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    words = rf"cannot write {path} .*No space left.*: free space, then resume with the same command"
    with pytest.raises(WriteFailed, match=words):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]


def test_episodes_come_back_as_they_were():
    turns = (
        Turn(Tokens([1, 2]), Tokens([3]), Floats([-0.25]), "stop", Scored(1.0), "3"),
        Turn(Tokens([4]), Tokens([5, 6]), Floats([-0.5, -1.5]), "length", Abstained("it hung")),
    )
    problem = Problem("a", "1 + 2?", "3", (("level", "1"),))
    groups = (EpisodeGroup(problem, (Episode(turns, 2, 7, "base"),), 3),)
    assert from_json(json.loads(json.dumps(to_json(groups)))) == groups
