"""ESD: names tell all but the words, which stand in one transcript for each speaker, in whatever encoding."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..record import Record
from .by_name import read_by_name
from .text import decode_text


def read_esd(root: Path) -> Iterator[Record]:
    """Lists both layouts, with and without partition folders, and what is said where a transcript can be read."""
    texts: dict[Path, dict[str, str]] = {}
    for record in read_by_name("esd", root):
        folder = next(parent for parent in record.file.parents if parent.name == record.speaker)
        if folder not in texts:
            texts[folder] = _transcript(folder / f"{record.speaker}.txt")
        yield replace(record, text=texts[folder].get(record.file.stem))


def _transcript(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.split("\t") for line in decode_text(path.read_bytes()).splitlines())
    return {cells[0].strip(): cells[1].strip() for cells in lines if len(cells) >= 2}
