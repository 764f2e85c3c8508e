"""Reader for corpora whose file paths hold all annotations: one regular expression for each corpus."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...search import LOSSLESS, SUFFIXES, VIDEOS, files_in
from ..catalog import CatalogEntry
from ..record import Record, other_facts

logger = logging.getLogger(__name__)

Fields = dict[str, Any]
GENDERS = {"f": "female", "m": "male", "c": "child", "female": "female", "male": "male"}
# Folders of laryngograph signals, which corpora ship under the names of their recordings: EMO-DB 2.0 has `laryngo`.
NOT_SPEECH = re.compile(r"laryngo(?:graph|gram)?s?|lar|egg|lx|electroglottogra(?:ph|m)s?", re.IGNORECASE)
_RECORD_FIELDS = set(Record.__dataclass_fields__)


def _emo_db(fields: Fields, path: Path) -> Fields | None:
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
    fields["language"] = "zh-CN" if int(fields["speaker"]) <= 10 else "en"
    fields["partition"] = {"evaluation": "validation"}.get(fields["partition"], fields["partition"])
    return fields


def _ravdess(fields: Fields, path: Path) -> Fields | None:
    if fields.pop("modality") == "02" or fields.pop("channel_kind") != "01":
        return None  # video without sound, or song
    words = ("Neutral", "Calm", "Happy", "Sad", "Angry", "Fearful", "Disgust", "Surprised")
    code = int(fields["raw_label"])
    fields["raw_label"] = words[code - 1] if 1 <= code <= len(words) else fields["raw_label"]
    actor = int(fields["speaker"])
    fields["speaker"] = f"Actor_{actor:02d}"
    fields["gender"] = "male" if actor % 2 else "female"
    return fields


def _tess(fields: Fields, path: Path) -> Fields:
    fields["speaker"] = "OAF" if fields["speaker"].upper() in ("OA", "OAF") else "YAF"
    fields["raw_label"] = fields["raw_label"].lower()
    fields["text"] = f"Say the word {fields['text']}"
    return fields


def _savee(fields: Fields, path: Path) -> Fields:
    fields["text"] = fields["text"].zfill(2)  # videos are numbered without zeros
    return fields


def _enterface(fields: Fields, path: Path) -> Fields:
    fields["speaker"] = f"subject {int(fields['speaker'].lower().removeprefix('subject').strip(' _-'))}"
    if fields["text"]:  # each emotion has sentences of its own
        fields["text"] = f"{fields['raw_label']}{fields['text']}".lower()
    return fields


def _mesd(fields: Fields, path: Path) -> Fields:
    fields["text"] = fields["text"].replace("_", " ")
    return fields


def _emotiw(fields: Fields, path: Path) -> Fields:
    fields["group"] = fields["film"]
    fields["partition"] = {"train": "train", "val": "validation", "test": "test"}[fields["partition"].lower()]
    return fields


def _lower_label(fields: Fields, path: Path) -> Fields:
    fields["raw_label"] = fields["raw_label"].replace("_", " ").lower()
    fields["intensity"] = "low" if fields["raw_label"].endswith(" low intensity") else None
    return fields


# Completes the fields where a pattern is not enough; returns None for a file that isn't part of the corpus.
_FINISH: dict[str, Callable[[Fields, Path], Fields | None]] = {
    "emo_db": _emo_db,
    "emofilm": _emofilm,
    "emotiw_2014": _emotiw,
    "enterface": _enterface,
    "esd": _esd,
    "eu_emoss": _lower_label,
    "eu_ev": _lower_label,
    "mesd": _mesd,
    "ravdess": _ravdess,
    "savee": _savee,
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
    person = facts.paths.speakers.get(finished.get("speaker") or "", {})
    finished |= {name: value for name, value in person.items() if not finished.get(name)}
    if finished.get("gender"):
        finished["gender"] = GENDERS.get(finished["gender"].lower(), finished["gender"])
    known = {name: value for name, value in finished.items() if name in _RECORD_FIELDS}
    return known | {"other": other_facts({name: finished[name] for name in finished.keys() - known.keys()})}


def read_by_name(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists the files below `root` whose path matches the corpus's pattern, and skips all others.

    Of an utterance in several containers, such as CREMA-D's `AudioWAV` and `AudioMP3`, `one_container` chooses one.
    Copies of TESS that contain the whole set twice yield each utterance twice; `exhubert.emoset.listing.list_corpus`
    keeps the first of identical recordings.
    """
    if facts.paths is None:
        raise ValueError(f"{facts.name}: the catalog entry has no paths, which the reader by_name needs.")
    found, others = utterances(facts, {path: path.relative_to(root).as_posix() for path in files(root, SUFFIXES)})
    if others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        kinds = " and ".join(sorted({path.suffix.lower() for path, _ in found}))
        logger.warning(f"{root}: utterances are there in several containers; {kinds} is read, and not {counts}.")
    for path, fields in found:
        yield Record(path=str(path), **fields)


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
