"""Finds corpora on disk, below one folder or from a YAML file that names their folders."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from .catalog import catalog, entry
from .readers import recognise
from .readers.manifest import find_manifest

ROOT_VARIABLE = "EXHUBERT_CORPORA"


@dataclass(frozen=True)
class Sources:
    """The corpora on disk.

    Attributes:
        found: Folder of each corpus, by id.
        unknown: Folders in which no layout was recognised.
    """

    found: dict[str, Path]
    unknown: list[Path]


def find_corpora(place: str | Path | None = None, corpora: Sequence[str] | None = None) -> Sources:
    """Finds corpora on disk.

    In a folder, a sub-folder is a corpus if its name is an id or name of the catalog (`emo_db`, `EMO-DB`,
    `CREMA-D`), if it holds a manifest (your own corpus, named after the folder), or if its files have the layout of
    exactly one corpus. The folder may also be a single corpus itself.

    Args:
        place: A folder; or a YAML file with `corpus id: folder` lines, relative to the file. Defaults to the
            environment variable EXHUBERT_CORPORA.
        corpora: Return only these corpora; a missing one is an error.

    Raises:
        ValueError: No place is given, two folders are the same corpus, or the YAML isn't a map of ids to folders.
        FileNotFoundError: The place or a requested corpus doesn't exist.
        KeyError: A requested corpus is neither in the catalog nor among the folders.
    """
    place = place or os.environ.get(ROOT_VARIABLE)
    if not place:
        raise ValueError(f"Where are the corpora? Give --root FOLDER, or set {ROOT_VARIABLE}.")
    place = Path(place).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"{place}: there is no such folder or file.")
    if _is_archive(place):
        raise ValueError(f"{place} is an archive: unpack it, and give the folder.")
    sources = _from_file(place) if place.is_file() else _from_folder(place)
    archives = [path.name for path in sorted(place.glob("*")) if _is_archive(path)]
    if archives and not sources.found:
        raise ValueError(f"{place} holds no corpus but {', '.join(archives)}: unpack each into a folder of its own.")
    if corpora is None:
        return sources
    for corpus in corpora:
        if corpus not in sources.found:
            entry(corpus)  # raises `UnknownCorpusError` for an unknown id
            names = ", ".join(sources.found) or "no corpus"
            raise FileNotFoundError(f"{place} holds {names}, but not {corpus}.")
    return Sources({corpus: sources.found[corpus] for corpus in corpora}, sources.unknown)


def _from_file(path: Path) -> Sources:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, Mapping) or not all(isinstance(folder, str) for folder in content.values()):
        raise ValueError(f"{path}: expected `corpus id: folder` lines.")
    return Sources({str(corpus): path.parent / Path(folder).expanduser() for corpus, folder in content.items()}, [])


def _from_folder(root: Path) -> Sources:
    by_name = {_plain(text): facts.id for facts in catalog().values() for text in (facts.id, facts.name)}
    folders: dict[str, Path] = {}
    unknown = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        corpus = by_name.get(_plain(folder.name))
        if corpus is None and find_manifest(folder):
            corpus = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.name).strip("_-") or None
        corpus = corpus or recognise(folder)
        if corpus is None:
            unknown.append(folder)
        elif corpus in folders:
            raise ValueError(
                f"{folders[corpus]} and {folder} are both {corpus}; keep one, or name them in a YAML file."
            )
        else:
            folders[corpus] = folder
    root_corpus = by_name.get(_plain(root.name)) or (None if folders else recognise(root))
    return Sources({root_corpus: root}, []) if root_corpus and not folders else Sources(folders, unknown)


def _is_archive(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
