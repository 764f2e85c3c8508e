"""Readers: each knows one layout on disk and lists its utterances from names and annotation files, without audio."""

from collections.abc import Callable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path

from ..catalog import CatalogEntry, catalog, entry
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

# What an entry of the catalog may name as its reader.
READERS = ("by_name", "emofilm", "esd", "fau_aibo", "iemocap", "manifest", "meld", "shemo", "smartkom")
_ANNOTATED: dict[str, Callable[[Path], Iterator[Record]]] = {
    "emofilm": read_emofilm,
    "esd": read_esd,
    "fau_aibo": read_fau_aibo,
    "iemocap": read_iemocap,
    "manifest": read_manifest,
    "meld": read_meld,
    "shemo": read_shemo,
    "smartkom": read_smartkom,
}


def reader_of(facts: CatalogEntry) -> Callable[[Path], Iterator[Record]]:
    """The function that lists a corpus in its folder."""
    return partial(read_by_name, facts.id) if facts.reader == "by_name" else _ANNOTATED[facts.reader]


def read(corpus: str, root: str | PathLike[str]) -> Iterator[Record]:
    """Lists the utterances of a corpus as it lies on disk, in a stable order.

    Args:
        corpus: Id in the catalog, or `manifest` for a corpus of your own. A corpus with a layout of its own may carry
            a manifest too, which then counts.
        root: The corpus's own folder.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or holds nothing in the corpus's layout.
        ValueError: A manifest is broken.
    """
    facts, root = entry(corpus), Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{facts.name}: there is no folder {root}.")
    found = read_manifest(root) if find_manifest(root) else reader_of(facts)(root)
    records = sorted(found, key=lambda record: (record.file, record.start or 0.0))
    if not records:
        raise FileNotFoundError(f"{facts.name}: nothing in {root} has the layout {facts.layout!r}; check the folder.")
    yield from records


def recognise(folder: Path) -> str | None:
    """The corpus whose layout a folder has; None if no layout fits, or more than one does equally well."""
    counts = {}
    for corpus, facts in catalog().items():
        if facts.has_own_layout:
            counts[corpus] = sum(1 for _ in reader_of(facts)(folder))
    best = max(counts.values())
    names = [corpus for corpus, count in counts.items() if count == best]
    return names[0] if best and len(names) == 1 else None


__all__ = ["LAYOUTS", "READERS", "read", "reader_of", "recognise"]
