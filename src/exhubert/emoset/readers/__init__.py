"""Readers: each knows one layout on disk and lists its utterances from names and annotation files, without audio."""

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from ..catalog import entry
from ..record import Record
from .emo_db import read_emo_db
from .manifest import read_manifest
from .urdu import read_urdu

READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    "emo_db": read_emo_db,
    "manifest": read_manifest,
    "urdu": read_urdu,
}


def read(corpus: str, root: str | PathLike[str]) -> Iterator[Record]:
    """Lists the utterances of a corpus as it lies on disk, in a stable order.

    Args:
        corpus: Id in the catalog, or `manifest` for a corpus of your own with a `manifest.csv`.
        root: The corpus's own folder.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or holds nothing in the corpus's layout.
    """
    facts, root = entry(corpus), Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{facts.name}: there is no folder {root}.")
    records = sorted(READERS[facts.reader](root), key=lambda record: (record.file, record.start or 0.0))
    if not records:
        raise FileNotFoundError(f"{facts.name}: nothing in {root} has the layout {facts.layout!r}; check the folder.")
    yield from records
