"""Rewriting a corpus in bulk: what ``tutelage rewrite`` does, on one machine or on many."""

from tutelage.bulk.local import Watch, rewrite_corpus
from tutelage.bulk.settings import Bulk, BulkFailed, Extent, bulk_of_run
from tutelage.bulk.status import BulkStatus

__all__ = ["Bulk", "BulkFailed", "BulkStatus", "Extent", "Watch", "bulk_of_run", "rewrite_corpus"]
