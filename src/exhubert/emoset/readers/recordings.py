"""Finds the recordings that annotations name, also if their names are written in another way on disk."""

import os
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path


class Recordings:
    """The files below a folder, by the names that annotations give them.

    Args:
        root: Folder of the corpus.
        bases: Other folders that names may be relative to, which are tried after `root`, in this order.
    """

    def __init__(self, root: Path, bases: Sequence[Path] = ()) -> None:
        self.root = root
        self.bases = [str(base) for base in dict.fromkeys([root, *bases])]

    def find(self, name: str) -> str:
        """Returns the path of a file by its name; the name itself below the root if there is no such file.

        A name may have backslashes, another Unicode form (macOS decomposes accents), or another case if only one file
        has it. Of an absolute path from another machine, the longest end that exists below the root is taken.
        """
        name = name.strip()
        for base in self.bases:
            if _exists(path := os.path.join(base, name)):  # noqa: PTH118 - takes a third of the time
                return path
        plain = name.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        is_absolute = plain.startswith("/") or plain[1:3] == ":/"
        for start in range(len(parts) if is_absolute else 1):
            similar = self._by_form.get(_form("/".join(parts[start:])).casefold(), [])
            same = [path for path in similar if _form(path) == _form("/".join(parts[start:]))]
            if same or len(similar) == 1:
                return str(self.root / (same or similar)[0])
        return str(self.root / plain)

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        """Paths of all files relative to the root, by their normal form."""
        result: dict[str, list[str]] = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name).relative_to(self.root).as_posix()
                result.setdefault(_form(path).casefold(), []).append(path)
        return result


def _exists(path: str) -> bool:
    try:
        return os.path.isfile(path)  # noqa: PTH113 - likewise
    except ValueError:  # with a NUL
        return False


def _form(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normpath(path))
