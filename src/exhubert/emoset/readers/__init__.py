"""Readers list the utterances of a corpus from file names and annotation files, one reader for each layout on disk."""

from collections.abc import Callable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path

from ..catalog import CatalogEntry, entry
from ..record import Record
from .by_annotation import (
    read_emofilm,
    read_esd,
    read_fau_aibo,
    read_iemocap,
    read_meld,
    read_shemo,
    read_smartkom,
)
from .by_name import LAYOUTS, read_by_name
from .manifest import find_manifest, read_manifest
from .recognition import Match, matches, recognise
from .text import check_encoding

# Allowed values of `CatalogEntry.reader`.
READERS = ("by_name", "emofilm", "esd", "fau_aibo", "iemocap", "manifest", "meld", "shemo", "smartkom")
Reader = Callable[[Path, str | None], Iterator[Record]]
_ANNOTATED: dict[str, Reader] = {
    "emofilm": read_emofilm,
    "esd": read_esd,
    "fau_aibo": read_fau_aibo,
    "iemocap": read_iemocap,
    "manifest": read_manifest,
    "meld": read_meld,
    "shemo": read_shemo,
    "smartkom": read_smartkom,
}


def reader_of(facts: CatalogEntry) -> Reader:
    """Returns the function that lists the utterances of a corpus, from its folder and the encoding of its files."""
    return partial(read_by_name, facts.id) if facts.reader == "by_name" else _ANNOTATED[facts.reader]


def read(corpus: str, root: str | PathLike[str], encoding: str | None = None) -> Iterator[Record]:
    """Lists the utterances of a corpus on disk, in a stable order, without reading audio.

    Args:
        corpus: Id in the catalog, or `manifest` for your own corpus. If the folder has a manifest, it takes precedence
            over the corpus's layout.
        root: Folder of the corpus.
        encoding: Encoding of its manifest or annotation files; found out by default.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or contains no file in the corpus's layout.
        ValueError: A manifest or an annotation file is invalid, or there is no such encoding.
    """
    facts, root = entry(corpus), Path(root)
    if encoding:
        check_encoding(encoding)
    if not root.is_dir():
        raise FileNotFoundError(f"{facts.name}: there is no folder {root}.")
    results = read_manifest(root, encoding) if find_manifest(root) else reader_of(facts)(root, encoding)
    records = sorted(results, key=lambda record: (record.file, record.start or 0.0))
    if not records:
        raise FileNotFoundError(f"{facts.name}: nothing in {root} has the layout {facts.layout!r}; check the folder.")
    yield from records


__all__ = ["LAYOUTS", "READERS", "Match", "matches", "read", "reader_of", "recognise"]
