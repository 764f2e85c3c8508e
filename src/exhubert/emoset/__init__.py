"""EmoSet++: emotional speech corpora as their publishers lay them out, built into one six-class dataset.

`read` lists the recordings of a corpus without touching audio; `build` makes a dataset of what is on disk; `load`
opens one.
"""

import importlib
from typing import Any

from .catalog import CatalogEntry, catalog, entry
from .readers import read
from .record import Record

_LAZY = {"EmoSetPlusPlus": "builder", "build": "dataset", "load": "dataset"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:  # these import datasets, which takes seconds
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CatalogEntry", "EmoSetPlusPlus", "Record", "build", "catalog", "entry", "load", "read"]
