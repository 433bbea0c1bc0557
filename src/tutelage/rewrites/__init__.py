"""Rewrites that were written before: the side-table that ``tutelage rewrite`` makes, and the rewriter that reads it."""

from tutelage.rewrites.stored import StoredRewrites, TableRewriter, prompt_digest
from tutelage.rewrites.table import (
    Header,
    Part,
    Row,
    TableError,
    append_part,
    chunk_key,
    finished_parts,
    is_whole,
    part_file,
    read_header,
    read_rows,
    reading_key,
    write_header,
    write_rows,
)

__all__ = [
    "Header",
    "Part",
    "Row",
    "StoredRewrites",
    "TableError",
    "TableRewriter",
    "append_part",
    "chunk_key",
    "finished_parts",
    "is_whole",
    "part_file",
    "prompt_digest",
    "read_header",
    "read_rows",
    "reading_key",
    "write_header",
    "write_rows",
]
