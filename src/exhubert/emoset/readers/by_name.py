"""Reader for corpora whose file paths hold all annotations: one regular expression for each corpus."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...search import files_in
from ..catalog import CatalogEntry
from ..layouts import typed
from ..record import Record
from .columns import PARTITIONS

logger = logging.getLogger(__name__)

Fields = dict[str, Any]
GENDERS = {"f": "female", "m": "male", "c": "child", "female": "female", "male": "male"}
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
        fields["gender"] = GENDERS.get(fields["gender"].lower(), fields["gender"])
    if partition := fields.get("partition"):
        if partition.lower() not in PARTITIONS:
            raise ValueError(
                f"{path}: partition is {partition!r} by its name, expected train, validation or test. In the entry, "
                f"translate it: `values: {{partition: {{{partition}: validation}}}}`."
            )
        fields["partition"] = PARTITIONS[partition.lower()]
    return typed(fields, str(path))


def read_by_name(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists the files below `root` whose path matches the corpus's pattern, and skips all others.

    Those that an entry of your own skips are counted in a warning.

    Copies of TESS that contain the whole set twice yield each utterance twice; `exhubert.emoset.listing.list_corpus`
    keeps the first of identical recordings.
    """
    if facts.paths is None:
        raise ValueError(f"{facts.name}: the catalog entry has no paths, which the reader by_name needs.")
    strange = []
    for path in files(root, facts.paths.suffixes):
        name = path.relative_to(root).as_posix()
        match = facts.paths.match(name)
        if match is None:
            strange += [] if facts.paths.is_other(name) else [name]
        elif (fields := fields_of(facts, match, path)) is not None:
            yield Record(path=str(path), **fields)
    if strange and facts.file:
        logger.warning(
            f"{facts.name}: {len(strange)} files below {root} aren't used, since their names don't have the pattern of "
            f"{facts.file}, such as {strange[0]}."
        )


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
