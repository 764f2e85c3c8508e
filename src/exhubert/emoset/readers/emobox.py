"""Reader for EmoBox's lists of recordings, such as `emodb.jsonl` with `key`, `dataset`, `wav` and `emo`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..catalog import CatalogEntry
from ..record import Record
from .by_name import fields_of
from .recordings import near
from .table import read_tables

_KEYS = {"key", "wav", "emo"}


def _is_list(columns: Sequence[str]) -> bool:
    return set(columns) >= _KEYS


def find_emobox(root: Path) -> Path | None:
    """Returns the list in a folder; None if there is none, or its first recording isn't on this machine."""
    for path in sorted(root.glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as stream:
            try:
                row = json.loads(stream.readline())
            except ValueError:
                continue
        if isinstance(row, dict) and _is_list(list(row)) and Path(near(root).find(str(row["wav"]))).is_file():
            return path
    return None


def read_emobox(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads a list of EmoBox, whose labels are words; its folds are protocols, not partitions.

    Paths are relative to the folder, or to one of the two above it, as `data/emodb` in a clone. If the names of
    recordings are those of the catalog's corpus, they tell speakers, which EmoBox doesn't.

    Args:
        facts: Catalog entry of the corpus.
        root: Folder of the list.
        encoding: Encoding of the list; found out by default.

    Raises:
        FileNotFoundError: The folder has no such list.
        ValueError: A line isn't a JSON object, or lacks `wav`; the message names it.
    """
    path = find_emobox(root)
    if path is None:
        raise FileNotFoundError(f"{root} holds no list of EmoBox: expected a .jsonl with key, wav and emo.")
    recordings = near(root)
    for table in read_tables(path, _is_list, encoding):
        for where, cells in table.rows:
            row = dict(zip(table.columns, cells, strict=True))
            if not row["wav"]:
                raise ValueError(f"{where}: wav must not be empty.")
            name = row["wav"].replace("\\", "/")
            match = facts.paths.match(name) if facts.paths else None
            told = fields_of(facts, match, Path(name)) if match else None
            known: dict[str, Any] = {field: told.get(field) for field in ("speaker", "gender", "text")} if told else {}
            yield Record(
                path=recordings.find(name),
                raw_label=row["emo"],
                other=json.dumps({"key": row["key"]}, ensure_ascii=False),
                **known,
            )
