"""Finds the recordings that tables name, also if their names are written in another way on disk."""

import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

_UNUSUAL = re.compile(r"^$|^/|//|/$|(?:^|/)\.\.?(?:/|$)")  # what `Path` or `normpath` would change


class Recordings:
    """The files below a folder, by the names that tables give them.

    Args:
        root: Folder of the corpus.
        bases: Other folders that names may be relative to, which are tried after `root`, in this order.
    """

    def __init__(self, root: Path, bases: Sequence[Path] = ()) -> None:
        self.root = root
        self._bases = [(base, str(base / "x")[:-1]) for base in dict.fromkeys([root, *bases])]

    def find(self, name: str) -> str:
        """Returns the path of a file by its name; the name itself below the root if there is no such file.

        A name may have backslashes, another Unicode form (macOS decomposes accents), or another case if only one file
        has it. Of an absolute path from another machine, the longest end that exists below the root is taken.
        """
        for base, prefix in self._bases:
            if exists(path := _joined(base, prefix, name)):
                return path
        plain = name.replace("\\", "/")
        is_absolute = plain.startswith("/") or plain[1:3] == ":/"
        wanted = _form(plain).lstrip("/")
        while wanted:
            if similar := self._by_form.get(wanted.casefold()):
                same = [path for path in similar if _form(path) == wanted]
                if same or len(similar) == 1:
                    return _joined(*self._bases[0], (same or similar)[0])
            wanted = wanted.partition("/")[2] if is_absolute else ""
        return _joined(*self._bases[0], plain)

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        """Paths of all files relative to the root, by their normal form."""
        result: dict[str, list[str]] = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name).relative_to(self.root).as_posix()
                result.setdefault(_form(path).casefold(), []).append(path)
        return result


def near(folder: Path) -> Recordings:
    """The recordings that a table in a folder names; paths may also begin at one of the two folders above it."""
    return Recordings(folder, list(folder.absolute().parents)[:2])


def exists(path: str) -> bool:
    """Whether there is a file at a path."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (a path takes longer than the call)
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False


def _joined(folder: Path, prefix: str, name: str) -> str:
    """Joins a name to a folder, as `Path` would, which takes ten times as long."""
    return str(folder / name) if os.sep != "/" or _UNUSUAL.search(name) else f"{prefix}{name}"


def _form(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normpath(path) if _UNUSUAL.search(path) else path)
