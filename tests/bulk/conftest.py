"""A corpus of forty documents, a server that rewrites them, and what is to be rewritten."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.bulk.small import small_bulk
from tests.endpoints.fault_server import FaultServer
from tests.stream.corpora import sentence, write_jsonl

from tutelage.bulk import Bulk
from tutelage.codec import train_tokenizer
from tutelage.endpoints import LEDGER, forget


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([sentence(i) for i in range(20)], 500, folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"text": sentence(i)} for i in range(40)]
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "a.jsonl", rows).parent


class Writer(FaultServer):
    """Rewrites everything, each prompt in its own way, and keeps the prompts."""

    def __init__(self, *faults: str) -> None:
        self.prompts: list[str] = []
        self.says: Callable[[str], str] = lambda prompt: f" {hashlib.sha256(prompt.encode()).hexdigest()[:6]}"
        super().__init__(faults, model="writer", answer=self._write)

    def _write(self, prompt: str, seed: int) -> str:
        self.prompts.append(prompt)
        return self.says(prompt)


@pytest.fixture
def writer() -> Iterator[Writer]:
    with Writer() as one:
        yield one
        forget()


@pytest.fixture
def bulk(corpus: Path, tokenizer: Path, writer: Writer) -> Bulk:
    return small_bulk(corpus, tokenizer, writer.url)
