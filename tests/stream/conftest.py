"""A tokenizer and a folder of documents for the tests of the stream."""

from pathlib import Path

import pytest
from tests.stream.corpora import sentence, write_jsonl

from tutelage.codec import HFCodec, Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def codec(tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([sentence(i) for i in range(20)], 500, folder)
    return Tokenizer(str(folder)).build()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty documents in three kinds of files, with files about the data beside them."""
    root = tmp_path / "corpus"
    write_jsonl(root / "a.jsonl", [{"text": sentence(i), "id": f"a{i}"} for i in range(25)])
    write_jsonl(
        root / "deep" / "b.jsonl.gz", [{"id": f"b{i}", "text": sentence(100 + i)} for i in range(30)], packed=True
    )
    for i in range(5):
        (root / "deep" / f"c{i}.txt").write_text(sentence(200 + i), encoding="utf-8")
    for name in ("SOURCE.txt", "LICENSE", "readme.txt", "table.tsv"):
        (root / name).write_text("about the data")
    return root
