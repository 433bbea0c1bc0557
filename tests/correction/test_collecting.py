"""Traces of a model's episodes: what is kept, and how it is read."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.correction.parts import SHAPE, NextDigit, task

from tutelage.codec import HFCodec, Tokenizer
from tutelage.correction import Collect, FirstAttempts, Subject
from tutelage.correction.collecting import MAKERS, spent_on
from tutelage.stream import StreamError, Traces, count_traces, write_traces
from tutelage.types import Tokens
from tutelage.weights import FromConfig


def collected(digits: Path, folder: Path, **changes: object) -> Path:
    subject = Subject(FromConfig("llama", SHAPE), Tokenizer(str(digits)), seed=3, device="cpu")
    folder.mkdir(exist_ok=True)
    assert Collect(subject, task(**changes), 12, dict.fromkeys(MAKERS, 12)).execute(folder, folder)
    return folder


@pytest.fixture(scope="module")
def found(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collected(digits, tmp_path_factory.mktemp("collected"), verifier=NextDigit(even=True))


def test_every_baseline_gets_its_traces_and_plus_keeps_more(found: Path):
    counts = {kind: count_traces(found / f"{kind}.npz") for kind in ("star", "star_plus", "pair_sft", "pair_sft_plus")}
    assert 0 < counts["star"] < counts["star_plus"] < 12 * 6
    assert counts["star"] < counts["pair_sft"] < counts["pair_sft_plus"] <= 12 * 6


def test_a_trace_is_trained_from_behind_the_instruction_on(found: Path, digits_codec: HFCodec):
    reader = Traces(str(found / "star.npz"), 8).build(0, digits_codec, "policy")
    (chunk, *_), _ = reader.read(reader.start(), 3)
    assert digits_codec.decode(chunk.prefix).endswith("again")
    assert chunk.suffix[len(chunk.suffix) - 1] == digits_codec.eos and len(chunk.suffix) <= 8


def test_first_attempts_are_written_as_another_model_would_be_given_them(found: Path):
    read = FirstAttempts(str(found / "attempts.jsonl"), share=1.0).read()
    lines = [json.loads(line) for line in (found / "attempts.jsonl").read_text().splitlines()]
    assert set(read) <= {f"digit-{i}" for i in range(10)} and 0 < len(lines) <= 72


def test_a_kind_may_have_fewer_problems_and_pays_for_those_alone(digits: Path, found: Path, tmp_path: Path):
    subject = Subject(FromConfig("llama", SHAPE), Tokenizer(str(digits)), seed=3, device="cpu")
    own = task(verifier=NextDigit(even=True))
    assert Collect(subject, own, 12, {"star_plus": 5, "pair_sft_plus": 12}).execute(tmp_path, tmp_path)
    few, whole = (count_traces(folder / "star_plus.npz") for folder in (tmp_path, found))
    assert 0 < few < whole and (tmp_path / "attempts.jsonl").read_text() == (found / "attempts.jsonl").read_text()
    assert count_traces(tmp_path / "pair_sft_plus.npz") == count_traces(found / "pair_sft_plus.npz")
    star, pair = (spent_on(tmp_path, kind) for kind in ("star_plus", "pair_sft_plus"))
    assert (star["episodes/sampled"], star["attempts/sampled"]) == (30, 60) and star["tokens/sampled"] > 60
    assert pair["attempts/sampled"] == 144 and 0 < star["seconds/rollout"] < pair["seconds/rollout"]
    assert spent_on(tmp_path, "star") == {} == spent_on(tmp_path / "nowhere", "star")
    with pytest.raises(ValueError, match=r"kinds\.star is 13; 12 problems are asked"):
        Collect(subject, own, 12, {"star": 13})


def test_nothing_is_asked_again_where_all_files_are_there(digits: Path, found: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Subject, "resources", lambda _: pytest.fail("asked again"))
    collected(digits, found, verifier=NextDigit(even=True))


def test_traces_are_read_epoch_after_epoch_each_once(tmp_path: Path, digits_codec: HFCodec):
    path = tmp_path / "some.npz"
    write_traces(path, [(Tokens([i, i]), Tokens([i] * (1 + i % 3))) for i in range(2, 9)])
    reader = Traces(str(path), 3).build(5, digits_codec, "policy")
    chunks, cursor = reader.read(reader.start(), 14)
    first, second = [c.suffix[0] for c in chunks[:7]], [c.suffix[0] for c in chunks[7:]]
    assert sorted(first) == sorted(second) == list(range(2, 9)) and first != second
    assert all(len(c.prefix) == 2 and len(c.suffix) == 1 + c.suffix[0] % 3 for c in chunks)
    again, _ = reader.read(reader.read(reader.start(), 5)[1], 9)
    assert again == chunks[5:] and cursor.taken == 14
    assert reader.fingerprint != Traces(str(path), 3).build(6, digits_codec, "policy").fingerprint


def test_files_without_traces_or_with_long_ones_are_named(tmp_path: Path, digits_codec: HFCodec):
    empty, torn = tmp_path / "empty.npz", tmp_path / "torn.npz"
    write_traces(empty, [])
    torn.write_bytes(b"no")
    np.savez(tmp_path / "other.npz", tokens=np.zeros(3))
    for path, complaint in (
        (empty, "holds no trace: the model"),
        (torn, "holds no traces"),
        (tmp_path / "other.npz", "holds no traces"),
    ):
        with pytest.raises(StreamError, match=complaint):
            Traces(str(path)).build(0, digits_codec, "policy")
    write_traces(empty, [(Tokens([2]), Tokens([3] * 9))])
    with pytest.raises(StreamError, match="a trace is 9 tokens long, more than suffix_length allows"):
        Traces(str(empty), 8).build(0, digits_codec, "policy")
