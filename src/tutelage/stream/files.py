"""From a path to the shards behind it."""

import fnmatch
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never, cast

import datasets

from tutelage.stream.lines import LineShard, TextShard
from tutelage.stream.rows import Shard
from tutelage.stream.settings import Corpus, StreamError
from tutelage.stream.tables import DatasetShard, ParquetShard, StreamedShard

FileKind = Literal["jsonl", "parquet", "text"]
ENDINGS: dict[str, FileKind] = {
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".json.gz": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}
ABOUT = ("source", "license", "licence", "readme", "notice", "copying")
"""Files about the data, not data: known by the beginning of their name."""
SAMPLED = 1 << 16
"""Bytes of a file's head, and of its tail, that go into its fingerprint."""


@dataclass(frozen=True, slots=True)
class FileShard:
    """A file of rows."""

    path: Path
    name: str
    """Path below the corpus's folder, with forward slashes."""
    kind: FileKind


@dataclass(frozen=True, slots=True)
class SavedShard:
    """A folder written by ``save_to_disk``."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubShard:
    """Whatever ``datasets.load_dataset`` makes of a name."""

    path: str


Located = FileShard | SavedShard | HubShard


@dataclass(frozen=True, slots=True)
class Listing:
    """What a corpus consists of."""

    shards: tuple[Located, ...]
    skipped: tuple[str, ...] = ()
    """Files of the folder that are left out, by name."""


def data_folder() -> Path:
    """Where the development data would be: ``$TUTELAGE_DATA``, by default ``../shared/data``."""
    return Path(os.environ.get("TUTELAGE_DATA") or "../shared/data").expanduser()


def data_root() -> Path:
    """The development data's folder.

    Raises:
        StreamError: where there is no such folder.
    """
    root = data_folder()
    if not root.is_dir():
        named = os.environ.get("TUTELAGE_DATA")
        origin = "TUTELAGE_DATA names it" if named else "the default; set TUTELAGE_DATA to the folder of your data"
        raise StreamError(f"there is no data folder {root.absolute()} ({origin})")
    return root


def locate(corpus: Corpus) -> Listing:
    """Find the shards of a corpus, in sorted order.

    Raises:
        StreamError: where the path does not exist, or holds nothing to read.
    """
    if corpus.format == "datasets":
        return Listing((HubShard(corpus.path),))
    root = Path(corpus.path).expanduser()
    if not root.exists():
        raise StreamError(
            f"corpus {corpus.name!r}: there is no file or folder {root.absolute()}; "
            'name your documents by --stream.path; for a data set of the Hugging Face hub set format "datasets"'
        )
    saved = any((root / name).is_file() for name in ("state.json", "dataset_dict.json"))
    if corpus.format == "saved" or (corpus.format == "auto" and saved):
        return Listing((SavedShard(root),))
    if not root.is_dir() and not root.is_file():
        raise StreamError(
            f"corpus {corpus.name!r}: {root.absolute()} is not a regular file, nor a folder: a pipe or a device cannot "
            "be read twice; write what it gives into a file"
        )
    if root.is_file():
        return Listing((FileShard(root, root.name, file_kind(root, corpus)),))
    return list_folder(root, corpus)


def list_folder(root: Path, corpus: Corpus) -> Listing:
    """Every data file below ``root``."""
    shards: list[Located] = []
    skipped: list[str] = []
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    for name in sorted(found):
        hidden = any(part.startswith(".") for part in name.split("/"))
        about = found[name].name.lower().startswith(ABOUT)
        refused = any(fnmatch.fnmatch(name, pattern) for pattern in corpus.skip_files)
        kind = kind_by_name(found[name])
        if hidden or about or refused or kind is None or corpus.format not in ("auto", kind):
            skipped.append(name)
        else:
            shards.append(FileShard(found[name], name, kind))
    if not shards:
        endings = ", ".join(f"*{ending}" for ending in ENDINGS)
        raise StreamError(
            f"corpus {corpus.name!r}: the folder {root.absolute()} holds no file to read ({endings}); "
            f"{len(skipped)} other files were left out"
        )
    return Listing(tuple(shards), tuple(skipped))


def kind_by_name(path: Path) -> FileKind | None:
    """The kind that a file's ending stands for."""
    return next((kind for ending, kind in ENDINGS.items() if path.name.lower().endswith(ending)), None)


def file_kind(path: Path, corpus: Corpus) -> FileKind:
    """The kind of a file that the user named."""
    if corpus.format in ("jsonl", "parquet", "text"):
        return corpus.format
    kind = kind_by_name(path)
    if kind is None:
        raise StreamError(
            f"corpus {corpus.name!r}: {path} ends like none of {', '.join(ENDINGS)}; set format to say what it is"
        )
    return kind


def open_shard(located: Located, corpus: Corpus, block_rows: int) -> Shard:
    """Open one shard for reading by blocks.

    Raises:
        StreamError: where it cannot be read, or lacks the columns.
    """
    match located:
        case FileShard():
            return open_file(located, corpus, block_rows)
        case SavedShard(path):
            return DatasetShard(load_saved(path, corpus), corpus, block_rows)
        case HubShard(path):
            return open_hub(path, corpus, block_rows)
        case _:
            assert_never(located)


def open_file(file: FileShard, corpus: Corpus, block_rows: int) -> Shard:
    """Open a file by its kind."""
    match file.kind:
        case "jsonl":
            return LineShard(file.path, file.name, corpus, block_rows)
        case "parquet":
            return ParquetShard(file.path, file.name, corpus)
        case "text":
            return TextShard(file.path, file.name, corpus, block_rows)
        case _:
            assert_never(file.kind)


def load_saved(path: Path, corpus: Corpus) -> datasets.Dataset:
    """A data set written by ``save_to_disk``, memory-mapped."""
    try:
        found = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise StreamError(f"{path}: not a folder written by datasets.save_to_disk ({error})") from error
    if isinstance(found, datasets.Dataset):
        return found
    if corpus.dataset_split not in found:
        raise StreamError(f"{path}: there is no {corpus.dataset_split!r}; set dataset_split to one of {list(found)}")
    return found[corpus.dataset_split]


def open_hub(path: str, corpus: Corpus, block_rows: int) -> Shard:
    """A data set by name or folder, stored or streamed."""
    try:
        found = cast(
            "Any",
            datasets.load_dataset(
                path,
                corpus.dataset_config,
                split=corpus.dataset_split,
                revision=corpus.revision,
                streaming=corpus.streaming,
            ),
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise StreamError(f"corpus {corpus.name!r}: datasets could not load {path!r} ({error})") from error
    if corpus.streaming:
        return StreamedShard(found, corpus, block_rows)
    return DatasetShard(found, corpus, block_rows)


def fingerprint(located: Located, corpus: Corpus) -> str:
    """Hex digest of what a shard holds, without its date or its place: names, sizes, heads and tails.

    A hub data set goes by name, configuration, part and revision alone.
    """
    digest = hashlib.blake2b(digest_size=16)
    match located:
        case FileShard(path, name):
            files = [(name, path)]
        case SavedShard(path):
            files = [(file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*.arrow"))]
        case HubShard(path):
            named = (path, corpus.dataset_config, corpus.dataset_split, corpus.revision, corpus.streaming)
            return hashlib.blake2b(repr(named).encode(), digest_size=16).hexdigest()
        case _:
            assert_never(located)
    for name, path in files:
        digest.update(repr((name, path.stat().st_size)).encode())
        with path.open("rb") as file:
            digest.update(file.read(SAMPLED))
            file.seek(max(0, path.stat().st_size - SAMPLED))
            digest.update(file.read())
    return digest.hexdigest()
