"""EmoSet++: builds emotional speech corpora, in their publishers' layouts, into one dataset with six classes.

`read` lists the recordings of a corpus without reading audio; `build` builds a dataset from corpora on disk; `load`
opens it.
"""

import importlib
from typing import Any

from .catalog import CatalogEntry, catalog, entry, use_catalog
from .readers import read
from .record import Record

_LAZY = {"EmoSetPlusPlus": "builder", "build": "dataset", "load": "dataset"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:  # these import datasets, which takes seconds
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CatalogEntry", "EmoSetPlusPlus", "Record", "build", "catalog", "entry", "load", "read", "use_catalog"]
