"""Guards every output: nothing that this program didn't write is overwritten or deleted.

Each writer calls [`check_target`] before any work. What a writer made is recognised by a mark that suits it: the keys
of its JSON file, the header of its table, the metadata of its picture; or, for models and files that people edit, the
hash that [`record`] keeps in a hidden file beside them.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .files import TEMPORARY, write_whole

RECORD = ".exhubert.jsonl"
_IGNORED = (RECORD, ".DS_Store", "Thumbs.db", "desktop.ini")  # the rest are what desktops leave in folders
_MODEL_FILE = re.compile(
    r"config\.json|preprocessor_config\.json|model.*\.safetensors|model\.safetensors\.index\.json|"
    r"(modeling|configuration|pipeline)_exhubert\.py|audio\.py"
)


class TargetError(ValueError):
    """An output would replace, or be mixed with, something that this program didn't write."""


def check_target(
    option: str,
    target: str | Path,
    sources: Iterable[str | Path] = (),
    *,
    own: Callable[[Path], bool],
    folder: bool = False,
    hosts: Iterable[str | Path] = (),
) -> Path:
    """Raises unless an output can be written without loss; writes nothing.

    The output must not be, contain or lie inside a source, by whatever name: relative paths, links and names in another
    case are followed. It must be absent, empty, or something that the same writer made before.

    Args:
        option: Name of the option or argument, for the message.
        target: The file or folder to write.
        sources: Files and folders that the writer reads. Missing ones, such as hub ids, are ignored.
        own: Whether the existing file, or the existing folder with entries, was made by the same writer.
        folder: Whether the target is a folder.
        hosts: Sources that the target may lie inside, such as the model's folder for its evaluation.

    Returns:
        The target.

    Raises:
        TargetError: The target is refused; the message says what is there and what to do.
    """
    target = Path(target)
    _refuse_unwritable(option, target, folder)
    _refuse_sources(option, target, sources, hosts)
    if _is_occupied(target) and not own(target):
        what = "a new or empty folder" if folder else "another name"
        raise _foreign(f"{option} {target}", target, f"Choose {what}, or delete it.")
    return target


def refuse_foreign(option: str, path: Path, own: bool, remedy: str = "Move it, or choose another place.") -> None:
    """Raises `TargetError` if a file or folder that a writer would replace has content and isn't its own."""
    if not own and _is_occupied(path):
        raise _foreign(f"{option}: {path}", path, remedy)


def _foreign(subject: str, path: Path, remedy: str) -> TargetError:
    return TargetError(
        f"{subject} exists and wasn't written by this command, or was changed since{_entries_text(path)}; "
        f"nothing was written. {remedy}"
    )


def remove_own(option: str, folder: Path, own: Callable[[Path], bool]) -> None:
    """Deletes a folder if it is there and its own, or empty; raises `TargetError` otherwise.

    Of a link to such a folder only the link is deleted.
    """
    refuse_foreign(option, folder, own(folder))
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def has_keys(path: Path, *keys: str) -> bool:
    """Whether a file is a JSON object with these keys."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and all(key in content for key in keys)


def entries(folder: Path) -> list[Path]:
    """Sorted entries of a folder, without the record and temporary files of this program and those of desktops."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name not in _IGNORED and not TEMPORARY.fullmatch(path.name))


def record(path: Path, sha256: str, known: dict[str, set[str]]) -> None:
    """Notes beside a file, and in `known`, the hash of the content that this program is about to give it."""
    hashes = known.setdefault(path.name, set())
    if sha256 in hashes:
        return
    hashes.add(sha256)
    with (path.parent / RECORD).open("ab") as stream:
        # begins with a newline, as a program that was stopped may have left half a line
        stream.write(b"\n" + json.dumps({"file": path.name, "sha256": sha256}).encode())


def recorded(folder: Path) -> dict[str, set[str]]:
    """Hashes of all contents that this program gave, or was about to give, each file of a folder, by name."""
    result: dict[str, set[str]] = {}
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return result
    for line in lines:
        try:
            row = json.loads(line)
            result.setdefault(row["file"], set()).add(row["sha256"])
        except (ValueError, TypeError, KeyError):  # cut off when the program was stopped
            continue
    return result


def is_unchanged(path: Path, known: dict[str, set[str]] | None = None) -> bool:
    """Whether a file still holds what this program wrote; `known` are the hashes of its folder, see `recorded`."""
    digests = (recorded(path.parent) if known is None else known).get(path.name)
    return digests is not None and path.is_file() and not path.is_symlink() and _sha256(path) in digests


def write_recorded(path: Path, text: str, known: dict[str, set[str]] | None = None) -> None:
    """Writes text like `write_whole`, and records it, so that a later edit is noticed.

    Args:
        path: Of the file.
        text: Its content.
        known: From `recorded`, so that a folder of many files is read once.
    """
    record(path, hashlib.sha256(text.encode()).hexdigest(), recorded(path.parent) if known is None else known)
    write_whole(path, text)


def is_own_text(path: Path, phrase: str) -> bool:
    """Whether a text file still is what this program wrote; one from before there was a record must hold a phrase."""
    known = recorded(path.parent)
    if path.name in known:
        return is_unchanged(path, known)
    try:
        return phrase in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def check_model_target(option: str, target: str | Path, sources: Iterable[str | Path]) -> Path:
    """[`check_target`] for a folder that [`model_folder`] will fill; it replaces only its own, unchanged files."""
    return check_target(option, target, sources, own=_is_recorded_model, folder=True)


@contextmanager
def model_folder(target: str | Path) -> Iterator[Path]:
    """Yields a temporary folder; when the block succeeds, its files take their place in the target and are recorded.

    If the block fails, the target stays as it was. Files of an earlier model that the new one lacks are removed.

    Raises:
        TargetError: The target holds another model, or one that was changed since.
    """
    target = Path(target)
    created = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=target, prefix=".exhubert-", suffix=".incomplete") as work:
            yield Path(work)
            _put_in_place(sorted(Path(work).iterdir()), target)
    except BaseException:
        if created and not any(target.iterdir()):
            target.rmdir()
        raise


def _put_in_place(files: list[Path], target: Path) -> None:
    known = recorded(target)
    own = {name for name in known if is_unchanged(target / name, known)}
    if not known and _have_same_weights(files, target):  # from a version without records, and made again
        own = {path.name for path in files}
    for path in files:
        refuse_foreign("The model", target / path.name, path.name in own, "Choose another folder.")
    for name in own - {path.name for path in files}:
        (target / name).unlink(missing_ok=True)
    for path in sorted(files, key=_are_weights):  # last, as a model without weights can't be taken for a whole one
        record(target / path.name, _sha256(path), known)
        path.replace(target / path.name)


def _is_recorded_model(folder: Path) -> bool:
    known = recorded(folder)
    if not known:  # `model_folder` compares the weights before it replaces anything
        return all(_MODEL_FILE.fullmatch(path.name) for path in entries(folder))
    return all(is_unchanged(path, known) for path in entries(folder))


def _have_same_weights(files: list[Path], target: Path) -> bool:
    old, new = (list(filter(_are_weights, paths)) for paths in (entries(target), files))
    same_names = bool(new) and [path.name for path in old] == [path.name for path in new]
    return same_names and all(_sha256(a) == _sha256(b) for a, b in zip(old, new, strict=True))


def _are_weights(path: Path) -> bool:
    return path.suffix in (".safetensors", ".onnx")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_sources(option: str, target: Path, sources: Iterable[str | Path], hosts: Iterable[str | Path]) -> None:
    real = target.resolve()
    itself, above = _identity(real), {_identity(place) for place in real.parents}
    holders: dict[Path, Path] = {}  # folders with sources, each with the first of them
    for places, may_hold in ((sources, False), (hosts, True)):
        for source in map(Path, places):
            try:
                status = source.stat()
            except OSError:
                continue
            key = _key(source, status)
            if key == itself:
                raise TargetError(_source_text(option, target, "is", source))
            if key in above and not may_hold:
                raise TargetError(_source_text(option, target, "lies inside", source))
            for holder in _folders_of(source, stat.S_ISDIR(status.st_mode)):
                holders.setdefault(holder, source)
    for holder, source in holders.items():
        place = holder.resolve()
        if itself in map(_identity, (place, *place.parents)):
            raise TargetError(_source_text(option, target, "contains", source))


def _folders_of(source: Path, is_folder: bool) -> set[Path]:
    """The folder of a source, and if the source is a link, also that of what it leads to."""
    if is_folder:  # whose last part may be `..`
        return {source.absolute().parent, source.resolve().parent}
    return {source.parent, source.resolve().parent} if source.is_symlink() else {source.parent}


def _source_text(option: str, target: Path, relation: str, source: Path) -> str:
    example = {
        "is": "",
        "lies inside": f", such as {Path(os.path.normpath(source / os.pardir)) / target.name}",
        "contains": f", such as {target / 'results'}",
    }
    return (
        f"{option} {target} {relation} {'a source' if target == source else source}, which this command reads; "
        f"nothing was written. Choose another place{example[relation]}."
    )


def _identity(path: Path) -> Any:
    """A key that all names of a file or folder share: links, and other cases where the file system ignores case."""
    try:
        return _key(path, path.stat())
    except OSError:
        return os.path.normcase(path)


def _key(path: Path, status: os.stat_result) -> Any:
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.normcase(path.resolve())


def _refuse_unwritable(option: str, target: Path, folder: bool) -> None:
    place = target
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if place != target and not place.is_dir():
        raise TargetError(f"{option} {target}: {place} is not a folder. Choose another place.")
    if target.is_dir() and not folder:
        raise TargetError(f"{option} {target} is a folder; give the name of a file.")
    if folder and target.exists() and not target.is_dir():
        raise TargetError(f"{option} {target} is a file; give the name of a folder.")
    if place.exists() and not os.access(place, os.W_OK):
        raise TargetError(f"{option} {target} can't be written: {place} is read-only. Choose another place.")


def _is_occupied(path: Path) -> bool:
    """Whether there is a file with content or a folder with entries; a pipe or terminal holds nothing."""
    if path.is_dir():
        return bool(entries(path))
    try:
        status = path.stat()
    except OSError:
        return os.path.lexists(path)  # a link that leads nowhere
    return not (stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode)) and status.st_size > 0


def _entries_text(target: Path) -> str:
    names = [path.name for path in entries(target)]
    return f" (it holds {', '.join(names[:3])}{' and more' * (len(names) > 3)})" if names else ""
