import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.endpoints.fault_server import FaultServer
from tests.stream.corpora import sentence, write_jsonl

from tutelage.cli import main
from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.commands.rewrite import ALL
from tutelage.endpoints import LEDGER, forget
from tutelage.stream import ThoughtStream
from tutelage.thinking import ThoughtTable
from tutelage.thoughts import Tags


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()


def texts() -> list[str]:
    return [f"{sentence(i)}. {sentence(i + 50)}. And that was {i}." for i in range(6)]


def test_a_corpus_gets_thoughts_from_a_server_and_is_read_by_a_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train_tokenizer(texts(), 400, tmp_path / "tokenizer")
    corpus = write_jsonl(tmp_path / "a.jsonl", [{"body": text} for text in texts()])
    table = tmp_path / "table"
    with FaultServer(model="thinker", answer=lambda prompt, seed: "PLACE 1: Now for more.") as server:
        named = ["--model", "thinker", "--server", server.url, "--tokenizer", str(tmp_path / "tokenizer")]
        rest = ["--stream.stream.text-column", "body", "--rewriter.model.cache", "null"]
        words = ["think", str(corpus), str(table), *named, *rest, "--documents-per-part", "4"]
        assert main(words) == 0
        asked = server.counts["requests"]
        assert main(words) == 0 and server.counts["requests"] == asked == 6
    told = capsys.readouterr()
    assert re.search(r"100% · 6 documents · 6 documents with thoughts", told.err)
    assert f"{{class: ThoughtStream, use: sft, stream: {{class: ThoughtTable, table: {table}}}}}" in told.out
    codec = Tokenizer(str(tmp_path / "tokenizer")).build()
    stream = ThoughtStream(ThoughtTable(str(table), ALL), "sft", sft_share=1.0).build(0, codec, "policy")
    chunks, _ = stream.read(stream.start(), 6)
    found = [codec.decode(chunk.document.tokens) for chunk in chunks]
    assert sorted(map(Tags().without, found)) == sorted(texts())
    assert all("<think>Now for more.</think>" in text for text in found)


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["think", str(tmp_path / "none"), str(tmp_path / "t")]) == 2
    assert "there is no corpus" in capsys.readouterr().err
    corpus = write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    assert main(["think", str(corpus), str(tmp_path / "t"), "--model", "m"]) == 2
    assert "--tokenizer FOLDER" in capsys.readouterr().err
