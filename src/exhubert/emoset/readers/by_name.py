"""Reader for corpora whose file paths hold all annotations: one regular expression for each corpus."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...search import files_in
from ..catalog import CatalogEntry
from ..record import Record

Fields = dict[str, Any]
GENDERS = {"f": "female", "m": "male", "c": "child", "female": "female", "male": "male"}
# Folders of laryngograph signals, which corpora ship under the names of their recordings: EMO-DB 2.0 has `laryngo`.
NOT_SPEECH = re.compile(r"laryngo(?:graph|gram)?s?|lar|egg|lx|electroglottogra(?:ph|m)s?", re.IGNORECASE)
_RECORD_FIELDS = set(Record.__dataclass_fields__)


def _emo_db(fields: Fields, path: Path) -> Fields | None:
    fields["gender"] = "male" if fields["speaker"] in {"03", "10", "11", "12", "15"} else "female"
    if fields.pop("raw"):
        # version 2 also ships raw recordings: speech on the first channel, a laryngograph on the second
        if path.with_name(path.name.replace("xx.", ".")).exists():
            return None
        fields["channel"] = 0
    return fields


def _emofilm(fields: Fields, path: Path) -> Fields:
    # dubbed versions of one film clip share a number and stay in one partition, whoever speaks
    fields["group"] = fields.pop("clip")
    return fields


def _esd(fields: Fields, path: Path) -> Fields:
    number = int(fields["speaker"])
    fields["language"] = "zh-CN" if number <= 10 else "en"
    fields["gender"] = "male" if number in {4, 5, 6, 8, 10, 11, 12, 13, 14, 20} else "female"
    fields["partition"] = {"evaluation": "validation"}.get(fields["partition"], fields["partition"])
    return fields


def _ravdess(fields: Fields, path: Path) -> Fields | None:
    if (fields.pop("modality"), fields.pop("channel_kind")) != ("03", "01"):
        return None  # song, video, or the soundtrack of a video
    words = ("Neutral", "Calm", "Happy", "Sad", "Angry", "Fearful", "Disgust", "Surprised")
    code = int(fields["raw_label"])
    fields["raw_label"] = words[code - 1] if 1 <= code <= len(words) else fields["raw_label"]
    actor = int(fields["speaker"])
    fields["speaker"] = f"Actor_{actor:02d}"
    fields["gender"] = "male" if actor % 2 else "female"
    fields["intensity"] = {"01": "normal", "02": "strong"}.get(fields["intensity"], fields["intensity"])
    return fields


def _tess(fields: Fields, path: Path) -> Fields:
    fields["speaker"] = "OAF" if fields["speaker"].upper() in ("OA", "OAF") else "YAF"
    fields["raw_label"] = fields["raw_label"].lower()
    return fields


def _emotiw(fields: Fields, path: Path) -> Fields:
    fields["group"] = fields.pop("film")
    fields["partition"] = {"train": "train", "val": "validation", "test": "test"}[fields["partition"].lower()]
    return fields


def _lower_label(fields: Fields, path: Path) -> Fields:
    fields["raw_label"] = fields["raw_label"].replace("_", " ").lower()
    return fields


# Completes the fields where a pattern is not enough; returns None for a file that isn't part of the corpus.
_FINISH: dict[str, Callable[[Fields, Path], Fields | None]] = {
    "emo_db": _emo_db,
    "emofilm": _emofilm,
    "emotiw_2014": _emotiw,
    "esd": _esd,
    "eu_emoss": _lower_label,
    "eu_ev": _lower_label,
    "ravdess": _ravdess,
    "tess": _tess,
}


def fields_of(facts: CatalogEntry, match: re.Match[str], path: Path) -> Fields | None:
    """Returns the fields of `Record` in a path that a corpus's pattern matches; None if it is no utterance."""
    assert facts.paths is not None
    fields: Fields = match.groupdict() | dict(facts.paths.fixed)
    finish = _FINISH.get(facts.id)
    finished = finish(fields, path) if finish else fields
    if finished is None:
        return None
    for name, values in facts.paths.values.items():
        code = finished.get(name)
        finished[name] = values.get(code, code) if code is not None else None
    if finished.get("gender"):
        finished["gender"] = GENDERS.get(finished["gender"].lower(), finished["gender"])
    return {name: value for name, value in finished.items() if name in _RECORD_FIELDS}


def read_by_name(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists the files below `root` whose path matches the corpus's pattern, and skips all others.

    Copies of TESS that contain the whole set twice yield each utterance twice; `exhubert.emoset.listing.list_corpus`
    keeps the first of identical recordings.
    """
    if facts.paths is None:
        raise ValueError(f"{facts.name}: the catalog entry has no paths, which the reader by_name needs.")
    for path in files(root, facts.paths.suffixes):
        match = facts.paths.match(path.relative_to(root).as_posix())
        fields = fields_of(facts, match, path) if match else None
        if fields is not None:
            yield Record(path=str(path), **fields)


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
