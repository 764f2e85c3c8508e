"""Takes facts from names of recordings that are those of a corpus of the catalog, wherever the recordings are."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..catalog import CatalogEntry, catalog
from .by_name import fields_of
from .recognition import matches_by_name

_SOME, _PROMISING = 500, 0.5  # names, and the share of them that must fit


def corpus_of_recordings(names: Sequence[str], among: Iterable[str] | None = None) -> CatalogEntry | None:
    """Returns the only corpus whose names, speakers and labels nine in ten recordings have; None if there isn't one.

    Args:
        names: Names of the recordings, with or without folders.
        among: Ids of the corpora to consider; all by default.
    """
    some = names[:: max(1, len(names) // _SOME)]  # which most corpora don't fit at all
    among = [match.corpus for match in matches_by_name(some, among) if match.share >= _PROMISING]
    fitting = [match.corpus for match in matches_by_name(names, among) if match.fits]
    return catalog()[fitting[0]] if len(fitting) == 1 else None


def facts_in_name(facts: CatalogEntry, name: str) -> dict[str, Any] | None:
    """Returns the fields of `Record` in the name of a recording, whatever its format.

    Returns:
        The fields; empty for a name of another form; None for a recording of the corpus that is no utterance of it,
        such as a song.
    """
    if facts.paths is None:
        return {}
    path = PurePosixPath(name)
    form = (
        path.with_suffix(facts.paths.suffixes[0])
        if path.suffix
        else path.with_name(path.name + facts.paths.suffixes[0])
    )
    match = facts.paths.match(form.as_posix())
    return fields_of(facts, match, Path(form)) if match else {}
