"""Text in: corpora on disk or on the hub, in a keyed order, split, cut into chunks.

``TextStream`` is the spec that stands in a run; it builds a ``TextReader``, which satisfies ``protocols.Stream``.
"""

from tutelage.stream.files import data_folder, data_root
from tutelage.stream.inspection import CorpusReport, inspect_corpus
from tutelage.stream.judged import JudgedStream
from tutelage.stream.neardup import near_duplicates
from tutelage.stream.no_documents import NoDocuments
from tutelage.stream.reading import TextReader, content_digest
from tutelage.stream.settings import (
    Corpus,
    Cuts,
    EveryCut,
    NearDuplicates,
    RandomCut,
    SomeCuts,
    Splits,
    StreamError,
)
from tutelage.stream.text_stream import TextStream
from tutelage.stream.thoughtful import ThoughtStream, encode_parts, half_of
from tutelage.stream.traces import Traces, count_traces, write_traces

__all__ = [
    "Corpus",
    "CorpusReport",
    "Cuts",
    "EveryCut",
    "JudgedStream",
    "NearDuplicates",
    "NoDocuments",
    "RandomCut",
    "SomeCuts",
    "Splits",
    "StreamError",
    "TextReader",
    "TextStream",
    "ThoughtStream",
    "Traces",
    "content_digest",
    "count_traces",
    "data_folder",
    "data_root",
    "encode_parts",
    "half_of",
    "inspect_corpus",
    "near_duplicates",
    "write_traces",
]
