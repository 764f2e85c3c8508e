"""Compares corpora on disk with what the catalog says of their size, speakers, labels and duration."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from .catalog import CatalogEntry
from .listing import corpus_entry
from .readers import own_form, read
from .readers.by_name import signals_beside
from .record import Record

_HOURS_TOLERANCE = 0.05
_VIDEOS = (".avi", ".mp4", ".m4a", ".mov", ".mkv", ".webm")
_SAME_LENGTH = 0.3  # share of the recordings from which one length is remarkable: people never speak equally long
_FEWEST_LENGTHS = 20


@dataclass(frozen=True)
class Finding:
    """The difference between one corpus on disk and its catalog entry.

    Attributes:
        corpus: Id of the corpus.
        status: `complete`, `partial`, `more` (than in the catalog), `absent`, `unknown layout` or `unknown size`; and
            `shortened`, `lengthened` or `damaged` if all utterances are there, but their hours are far from those of
            the catalog, or some can't be read.
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
        findings.append(_verify(corpus, facts, found[corpus]) if corpus in found else absent)
    others = {corpus: folder for corpus, folder in found.items() if corpus not in entries}
    return findings + [_verify(corpus, corpus_entry(corpus, folder), folder) for corpus, folder in others.items()]


def _verify(corpus: str, facts: CatalogEntry, folder: Path) -> Finding:
    if own_form(folder):
        facts = replace(facts, reader="manifest")  # whose labels may be words
    try:
        records = list(read(facts, folder))
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
    if signals := [] if own_form(folder) else signals_beside(folder):
        where = sorted({path.parent.name for path in signals})
        remarks.append(f"{len(signals)} files in {', '.join(where)} are left out: signals that are no speech")
    lengths, unreadable = _lengths([record for record in records if record.file.is_file()])
    if unreadable:
        remarks.append(f"{len(unreadable)} recordings can't be read, such as {unreadable[0].name}")
    hours = sum(lengths) / 3600
    ratio = hours / facts.hours if hours and isinstance(facts.hours, (int, float)) else 1.0
    if abs(ratio - 1) > _HOURS_TOLERANCE:
        remarks.append(f"{hours:.2f} h, {facts.hours:.2f} h in the catalog")
    if remark := _one_length(lengths):
        remarks.append(remark)
    present = len(records) - len(missing_files)
    sizes = dict(facts.releases) or ({"the corpus": facts.utterances} if isinstance(facts.utterances, int) else {})
    if not sizes:
        return Finding(corpus, "unknown size", "; ".join([f"{present} utterances", *remarks]))
    release, size = min(sizes.items(), key=lambda item: abs(item[1] - present))
    detail = "; ".join([f"{present} of {size} utterances ({release})", *remarks])
    if present != size or missing_files:
        return Finding(corpus, "more" if present > size else "partial", detail)
    if unreadable:
        return Finding(corpus, "damaged", detail)
    # hours are those of the release whose size is `utterances`, and compare only if each utterance was measured
    comparable = size == facts.utterances and len(lengths) == present and "hours" not in facts.uncertain
    if comparable and abs(ratio - 1) > _HOURS_TOLERANCE:
        return Finding(corpus, "shortened" if ratio < 1 else "lengthened", detail)
    return Finding(corpus, "complete", detail)


def _lengths(records: Sequence[Record]) -> tuple[list[float], list[Path]]:
    """Returns the seconds of utterances from file headers, and the files without a valid one.

    Neither holds videos, whose headers soundfile can't read.
    """
    of_file: dict[Path, float | None] = {}
    lengths = []
    for record in records:
        if record.file not in of_file:
            try:
                of_file[record.file] = soundfile.info(record.file).duration
            except (soundfile.LibsndfileError, TypeError):
                of_file[record.file] = None
        end = of_file[record.file] if record.end is None else record.end
        if end is not None:
            lengths.append(end - (record.start or 0.0))
    return lengths, [file for file, length in of_file.items() if length is None and file.suffix.lower() not in _VIDEOS]


def _one_length(lengths: Sequence[float]) -> str | None:
    """Returns a remark if many utterances last equally long, which speech doesn't do by itself."""
    if len(lengths) < _FEWEST_LENGTHS:
        return None
    seconds, count = Counter(round(length, 4) for length in lengths).most_common(1)[0]
    if count < _SAME_LENGTH * len(lengths):
        return None
    return f"{count} of {len(lengths)} recordings last exactly {seconds:.3f} s: cut or padded to one length"


def _emotions(facts: CatalogEntry) -> set[str]:
    return {label.emotion for label in facts.labels.values() if label.class_name} if facts.has_own_layout else set()


def _emotion(facts: CatalogEntry, raw_label: str) -> str:
    return facts.labels[raw_label].emotion if raw_label in facts.labels else raw_label
