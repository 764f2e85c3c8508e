"""Reader for corpora whose file paths hold all annotations: one regular expression for each corpus."""

import logging
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...search import LOSSLESS, SUFFIXES, VIDEOS, files_in
from ..catalog import CatalogEntry, Layout
from ..catalog.layouts import typed
from ..record import Record, other_facts
from .columns import PARTITIONS, gender_of

logger = logging.getLogger(__name__)

Fields = dict[str, Any]
# Folders of laryngograph signals, which corpora ship under the names of their recordings: EMO-DB 2.0 has `laryngo`.
NOT_SPEECH = re.compile(r"laryngo(?:graph|gram)?s?|lar|egg|lx|electroglottogra(?:ph|m)s?", re.IGNORECASE)


def fields_of(facts: CatalogEntry, match: re.Match[str], path: Path) -> Fields | None:
    """Returns the fields of `Record` in a path that a corpus's pattern matches; None if it is no utterance.

    Raises:
        ValueError: A partition or number isn't one; the message names the path.
    """
    assert facts.paths is not None
    if not facts.paths.is_utterance(match, path):
        return None
    fields = facts.paths.fields(match)
    fields["raw_label"] = facts.spelled(fields.get("raw_label") or "")
    if fields.get("gender"):
        fields["gender"] = gender_of(fields["gender"])
    if partition := fields.get("partition"):
        fields["partition"] = partition_of(partition, f"{path}", "its name")
    other = other_facts({name: fields.get(name) for name in facts.paths.facts})
    return typed(fields, str(path)) | {"other": other}


def partition_of(word: str, source: str, place: str) -> str:
    """Returns the partition that a word means; raises `ValueError` for other words, which an entry can translate."""
    if word.lower() not in PARTITIONS:
        raise ValueError(
            f"{source}: partition is {word!r} by {place}, expected train, validation or test. In the entry, "
            f"translate it: `values: {{partition: {{{word}: validation}}}}`."
        )
    return PARTITIONS[word.lower()]


def read_by_name(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists the files below `root` whose path matches the corpus's pattern, and skips all others.

    Of an utterance in several containers, such as CREMA-D's `AudioWAV` and `AudioMP3`, `one_container` chooses one.
    Those that an entry of your own skips are counted in a warning.

    Copies of TESS that contain the whole set twice yield each utterance twice; `exhubert.emoset.listing.list_corpus`
    keeps the first of identical recordings.
    """
    if facts.paths is None:
        raise ValueError(f"{facts.name}: the catalog entry has no paths, which the reader by_name needs.")
    paths = {path: path.relative_to(root).as_posix() for path in files(root, SUFFIXES)}
    found, others = utterances(facts, paths)
    if others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        kinds = ", ".join(sorted({path.suffix.lower() for path, _ in found}))
        logger.warning(f"{root}: utterances are there in several containers. Read: {kinds}; left out: {counts}.")
    for path, fields in found:
        yield Record(path=str(path), **fields)
    strange = _strange(facts.paths, paths.values()) if facts.file else []
    if strange:
        logger.warning(
            f"{facts.name}: {len(strange)} files below {root} aren't used, since their names don't have the pattern of "
            f"{facts.file}, such as {strange[0]}."
        )


def _strange(layout: Layout, names: Iterable[str]) -> list[str]:
    """Returns the paths that have a publisher's suffix, and nothing else that the layout names."""
    named = (name for name in names if name.lower().endswith(layout.suffixes))
    return [name for name in named if layout.match(name) is None and not layout.is_other(name)]


def utterances(facts: CatalogEntry, paths: Mapping[Path, str]) -> tuple[list[tuple[Path, Fields]], Counter[str]]:
    """Tells which files are utterances of a corpus, by their names.

    Args:
        facts: Catalog entry of a corpus that has `paths`.
        paths: Files, with their paths below the root.

    Returns:
        The files with their fields of `Record`, one container of each utterance; and the number of files with other
        containers of them, by suffix.
    """
    assert facts.paths is not None
    named: list[tuple[Hashable, Path]] = []
    fields: dict[Path, Fields] = {}
    for path, name in paths.items():
        match = facts.paths.match(name)
        found = fields_of(facts, match, path) if match else None
        if match and found is not None:
            named.append((facts.paths.utterance(match), path))
            fields[path] = found
    chosen = one_container(named, facts.paths.suffixes)
    others = Counter(path.suffix.lower() for path in fields.keys() - chosen)
    return [(path, fields[path]) for path in chosen], others


def one_container(named: Iterable[tuple[Hashable, Path]], publishers: tuple[str, ...] = ()) -> list[Path]:
    """Keeps one container of each utterance: lossless audio, or else what the publisher ships, or else audio, or video.

    Files of one utterance with the same suffix are all kept.

    Args:
        named: The files, each with a name of its utterance.
        publishers: Suffixes of the publisher's files, the best first.
    """

    def rank(path: Path) -> tuple[bool, int, bool, str]:
        suffix = path.suffix.lower()
        place = publishers.index(suffix) if suffix in publishers else len(publishers)
        return suffix not in LOSSLESS, place, suffix in VIDEOS, suffix

    by_name: dict[Hashable, list[Path]] = {}
    for name, path in named:
        by_name.setdefault(name, []).append(path)
    chosen = []
    for paths in by_name.values():
        best = min(map(rank, paths)) if len(paths) > 1 else None
        chosen += [path for path in paths if best is None or rank(path) == best]
    return chosen


def files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Lists files below `root` with one of the suffixes, in a stable order, see [`exhubert.search.files_in`].

    Leaves out folders of signals that are no speech (see `NOT_SPEECH`).
    """
    return (path for path in files_in(root) if path.name.lower().endswith(suffixes) and not _is_beside(path, root))


def signals_beside(root: Path) -> list[Path]:
    """Lists the files that `files` leaves out as signals that are no speech."""
    return [path for path in files_in(root) if _is_beside(path, root)]


def _is_beside(path: Path, root: Path) -> bool:
    return any(map(NOT_SPEECH.fullmatch, path.relative_to(root).parts[:-1]))
