"""What the tests rewrite: forty documents, two cuts each, five files. As a program, it is rewritten, and may be killed.

``python -m tests.bulk.small CORPUS TOKENIZER URL TABLE``
"""

import sys
from pathlib import Path
from typing import Any

from tests.endpoints.conftest import QUICK
from tests.stream.corpora import plain

from tutelage.bulk import Bulk, Extent, rewrite_corpus
from tutelage.codec import Tokenizer
from tutelage.endpoints import Endpoint
from tutelage.sources import PromptRewriter
from tutelage.stream import SomeCuts


def small_rewriter(url: str, **settings: Any) -> PromptRewriter:
    endpoint: dict[str, Any] = {"role": "rewriter", "requests": QUICK, "cache": None}
    return PromptRewriter(Endpoint("writer", (url,), **(endpoint | settings)))


def small_bulk(corpus: Path, tokenizer: Path, url: str, **settings: Any) -> Bulk:
    chosen: dict[str, Any] = {
        "stream": plain(corpus, cuts=SomeCuts(2), before_word=False),
        "rewriter": small_rewriter(url),
        "tokenizer": Tokenizer(str(tokenizer)),
        "documents_per_part": 8,
    }
    return Bulk(**(chosen | settings))


if __name__ == "__main__":
    corpus, tokenizer, url, table = sys.argv[1:]
    rewrite_corpus(small_bulk(Path(corpus), Path(tokenizer), url), Path(table), Extent(), in_flight=2)
