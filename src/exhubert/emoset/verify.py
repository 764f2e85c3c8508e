"""Compares corpora on disk with what the catalog says of their size, speakers, labels and duration."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from .catalog import CatalogEntry
from .listing import corpus_entry
from .readers import read
from .record import Record

_HOURS_TOLERANCE = 0.05


@dataclass(frozen=True)
class Finding:
    """The difference between one corpus on disk and its catalog entry.

    Attributes:
        corpus: Id of the corpus.
        status: `complete`, `partial`, `more` (than in the catalog), `absent`, `unknown layout` or `unknown size`.
        detail: Description of what is missing or different.
    """

    corpus: str
    status: str
    detail: str


def verify(entries: Mapping[str, CatalogEntry], found: Mapping[str, Path]) -> list[Finding]:
    """Compares corpora on disk with the catalog: utterances, files, speakers, labels, hours. Decodes no audio.

    Args:
        entries: The catalog entries to report on, by id.
        found: The folder of each corpus on disk, by id.
    """
    findings = []
    for corpus, facts in entries.items():
        absent = Finding(corpus, "absent", f"access: {facts.access}")
        findings.append(_verify(corpus, found[corpus]) if corpus in found else absent)
    return findings + [_verify(corpus, folder) for corpus, folder in found.items() if corpus not in entries]


def _verify(corpus: str, folder: Path) -> Finding:
    facts = corpus_entry(corpus, folder)
    try:
        records = list(read(facts.id if facts.has_own_layout else "manifest", folder))
    except (FileNotFoundError, ValueError) as error:
        return Finding(corpus, "unknown layout", str(error))
    remarks = []
    missing_files = [record.file for record in records if not record.file.is_file()]
    if missing_files:
        remarks.append(f"{len(missing_files)} listed files are missing, such as {missing_files[0].name}")
    if missing := sorted(_emotions(facts) - {_emotion(facts, record.raw_label) for record in records}):
        remarks.append(f"no utterance of {', '.join(missing)}")
    without_class = (item for item in records if facts.class_of(item.raw_label, language=item.language) is None)
    if surplus := Counter(record.raw_label for record in without_class):
        remarks.append(f"labels without a class: {dict(surplus)}")
    speakers = len({record.speaker for record in records if record.speaker is not None})
    if isinstance(facts.speakers, int) and speakers and speakers != facts.speakers:
        remarks.append(f"{speakers} speakers, {facts.speakers} in the catalog")
    hours = _hours([record for record in records if record.file.is_file()])
    if isinstance(facts.hours, (int, float)) and hours and abs(hours / facts.hours - 1) > _HOURS_TOLERANCE:
        remarks.append(f"{hours:.2f} h, {facts.hours:.2f} h in the catalog")
    present = len(records) - len(missing_files)
    sizes = dict(facts.releases) or ({"the corpus": facts.utterances} if isinstance(facts.utterances, int) else {})
    if not sizes:
        return Finding(corpus, "unknown size", "; ".join([f"{present} utterances", *remarks]))
    release, size = min(sizes.items(), key=lambda item: abs(item[1] - present))
    detail = "; ".join([f"{present} of {size} utterances ({release})", *remarks])
    if present == size and not missing_files:
        return Finding(corpus, "complete", detail)
    return Finding(corpus, "more" if present > size else "partial", detail)


def _hours(records: Sequence[Record]) -> float:
    """Sums the hours of utterances from file headers, without files that soundfile can't open, such as videos."""
    lengths: dict[Path, float] = {}
    seconds = 0.0
    for record in records:
        if record.end is None and record.file not in lengths:
            try:
                lengths[record.file] = soundfile.info(record.file).duration
            except (soundfile.LibsndfileError, TypeError):
                continue
        seconds += (lengths[record.file] if record.end is None else record.end) - (record.start or 0.0)
    return seconds / 3600


def _emotions(facts: CatalogEntry) -> set[str]:
    return {label.emotion for label in facts.labels.values() if label.class_name} if facts.has_own_layout else set()


def _emotion(facts: CatalogEntry, raw_label: str) -> str:
    return facts.labels[raw_label].emotion if raw_label in facts.labels else raw_label
