"""Takes facts from names of recordings that are those of a corpus of the catalog, wherever the recordings are."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..catalog import CatalogEntry, catalog, entry
from .by_name import fields_of
from .columns import GENDERS
from .recognition import matches_by_name

_SOME, _PROMISING = 500, 0.5  # names, and the share of them that must fit
_FIT, _FEWEST = 0.9, 3  # as for folders, see `recognition`
# Names without labels, which these corpora have in annotation files.
_WITHOUT_LABELS = {
    "fau_aibo": r"(?P<speaker>(?:Ohm|Mont)_\d\d)_\d{3}_\d\d",
    "iemocap": r"(?P<dialogue>(?P<session>Ses0[1-5])[FM]_(?:impro|script)\w+)_(?P<gender>[FM])\d{3}",
}


def corpus_of_recordings(names: Sequence[str], among: Iterable[str] | None = None) -> CatalogEntry | None:
    """Returns the only corpus whose names, speakers and labels nine in ten recordings have; None if there isn't one.

    Args:
        names: Names of the recordings, with or without folders.
        among: Ids of the corpora to consider; all by default.
    """
    considered = list(catalog() if among is None else among)
    some = names[:: max(1, len(names) // _SOME)]  # which most corpora don't fit at all
    promising = [match.corpus for match in matches_by_name(some, considered) if match.share >= _PROMISING]
    fitting = [match.corpus for match in matches_by_name(names, promising) if match.fits]
    for corpus in _WITHOUT_LABELS.keys() & set(considered):
        share = sum(_match_without_label(corpus, name) is not None for name in some) / max(1, len(some))
        if share >= _FIT and len(names) >= _FEWEST:
            fitting.append(corpus)
    return entry(fitting[0]) if len(fitting) == 1 else None


def _match_without_label(corpus: str, name: str) -> re.Match[str] | None:
    return re.fullmatch(_WITHOUT_LABELS[corpus], PurePosixPath(name).stem)


def facts_in_name(facts: CatalogEntry, name: str) -> dict[str, Any] | None:
    """Returns the fields of `Record` in the name of a recording, whatever its format.

    Returns:
        The fields; empty for a name of another form; None for a recording of the corpus that is no utterance of it,
        such as a song.
    """
    if facts.id in _WITHOUT_LABELS:
        match = _match_without_label(facts.id, name)
        fields = match.groupdict() if match else {}
        if letter := fields.get("gender"):  # man and woman of a session
            fields |= {"speaker": f"{fields['session']}{letter}", "gender": GENDERS[letter.lower()]}
        return fields
    if facts.paths is None or not name:
        return {}
    path, suffix = PurePosixPath(name), facts.paths.suffixes[0]
    form = path.with_suffix(suffix) if path.suffix else path.with_name(path.name + suffix)
    match = facts.paths.match(form.as_posix())
    return fields_of(facts, match, Path(form)) if match else {}
