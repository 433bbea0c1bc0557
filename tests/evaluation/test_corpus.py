import json
from pathlib import Path

import pytest
from tests.tiny import WORLD

from tutelage.codec import HFCodec
from tutelage.evaluation import held_out
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.worlds.facts import FactsStream


def stream(path: Path, texts: list[str]) -> TextStream:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    whole = Splits(policy=0.0, validation=0.0, test=1.0)
    return TextStream((Corpus(str(path)),), suffix_length=12, max_length=64, splits=whole, min_suffix=8)


def test_each_document_is_read_once_however_many_are_asked_for(tiny_codec: HFCodec, tmp_path: Path):
    texts = [WORLD.text(chunk.document.tokens) for chunk in WORLD.evaluation_chunks("natural", 5)]
    found = held_out(stream(tmp_path / "a.jsonl", texts), tiny_codec, seed=0, split="test", items=100)
    assert len(found) == len({one.key for one in found}) == 5
    for one in found:
        assert any(f"{one.text}{one.reference}".strip() in text for text in texts)
        assert one.key.startswith("held_out/0/corpus/") and len(one.reference.split()) <= 12
    assert held_out(stream(tmp_path / "a.jsonl", texts), tiny_codec, seed=0, split="test", items=2) == found[:2]


def test_where_the_author_ended_is_known(tiny_codec: HFCodec):
    found = held_out(FactsStream(WORLD), tiny_codec, seed=0, split="validation", items=40)
    assert {one.ends for one in found} == {True, False}


def test_documents_too_short_to_be_cut_are_an_error(tiny_codec: HFCodec, tmp_path: Path):
    with pytest.raises(ValueError, match="cut"):
        held_out(stream(tmp_path / "a.jsonl", [" .", " . ."]), tiny_codec, seed=0, split="test", items=4)
