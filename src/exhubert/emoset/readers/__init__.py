"""Readers list the utterances of a corpus from file names and annotation files, one reader for each layout on disk."""

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path

from ..catalog import CatalogEntry, Places, entry
from ..record import Record
from .by_annotation import (
    read_by_table,
    read_emo_db,
    read_emofilm,
    read_esd,
    read_fau_aibo,
    read_m3ed,
    read_meld,
    read_msp_improv,
    read_pavoque,
    read_shemo,
    read_smartkom,
)
from .by_folder import has_emotion_folders, read_by_folder
from .by_name import read_by_name
from .crema_d import read_crema_d
from .iemocap import read_iemocap
from .manifest import read_manifest
from .own import Reader, own_form, told_corpus
from .recognition import Match, matches, recognise
from .text import check_encoding

_READERS: dict[str, Reader] = {
    "by_folder": read_by_folder,
    "by_name": read_by_name,
    "by_table": read_by_table,
    "crema_d": read_crema_d,
    "emo_db": read_emo_db,
    "emofilm": read_emofilm,
    "esd": read_esd,
    "fau_aibo": read_fau_aibo,
    "iemocap": read_iemocap,
    "m3ed": read_m3ed,
    "manifest": read_manifest,
    "meld": read_meld,
    "msp_improv": read_msp_improv,
    "pavoque": read_pavoque,
    "shemo": read_shemo,
    "smartkom": read_smartkom,
}
READERS = tuple(_READERS)  # allowed values of `CatalogEntry.reader`


def reader_of(facts: CatalogEntry) -> Reader:
    """Returns the function that lists the utterances of a corpus in its publisher's layout."""
    return _READERS[facts.reader]


def read(
    corpus: str | CatalogEntry,
    root: str | PathLike[str],
    encoding: str | None = None,
    catalog: Places | None = None,
) -> Iterator[Record]:
    """Lists the utterances of a corpus on disk, in a stable order, without reading audio.

    Args:
        corpus: Catalog entry or its id, or `manifest` for your own corpus. If the folder has a form of its own, such as
            a manifest (see `exhubert.emoset.readers.own`), that takes precedence over the publisher's layout.
        root: Folder of the corpus.
        encoding: Encoding of its manifest or annotation files; found out by default.
        catalog: Folders with YAML files of your own, see `exhubert.emoset.catalog.catalog`.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or contains no file in the corpus's layout.
        ValueError: A manifest or an annotation file is invalid, or there is no such encoding.
    """
    facts, root = entry(corpus, catalog) if isinstance(corpus, str) else corpus, Path(root)
    if encoding:
        check_encoding(encoding)
    if not root.is_dir():
        raise FileNotFoundError(f"{facts.name}: there is no folder {root}.")
    form = own_form(root)
    results = form.read(facts, root, encoding) if form else _spelled(reader_of(facts)(facts, root, encoding), facts)
    records = sorted(results, key=lambda record: (record.path, record.row or 0, record.start or 0.0))
    if not records and form:
        raise FileNotFoundError(f"{facts.name}: {root} has {form.name}, but no utterance is in it.")
    if not records:
        raise FileNotFoundError(f"{facts.name}: nothing in {root} has the layout {facts.layout!r}; check the folder.")
    yield from records


def _spelled(records: Iterator[Record], facts: CatalogEntry) -> Iterator[Record]:
    """Writes labels as the entry does, which other copies may write in another case."""
    for record in records:
        label = facts.spelled(record.raw_label)
        yield record if label == record.raw_label else replace(record, raw_label=label)


__all__ = [
    "READERS",
    "Match",
    "Reader",
    "has_emotion_folders",
    "matches",
    "own_form",
    "read",
    "reader_of",
    "recognise",
    "told_corpus",
]
