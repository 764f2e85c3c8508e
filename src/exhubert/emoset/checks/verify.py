"""Compares corpora on disk with what the catalog says of their size, speakers, labels and duration."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from ...audio import AudioError
from ...search import NEEDS_PYAV
from ..catalog import Archive, CatalogEntry, catalog, with_columns
from ..catalog.column_map import Columns, Scale
from ..listing import corpus_entry, settings_of_tables
from ..readers import own_form, read
from ..readers.by_name import signals_beside
from ..record import Record
from ..recording import audio_source, recording_name

_HOURS_TOLERANCE = 0.05
_SAME_LENGTH = 0.3  # share of the recordings from which one length is remarkable: people never speak equally long
_FEWEST_LENGTHS = 20


@dataclass(frozen=True)
class Finding:
    """The difference between one corpus on disk and its catalog entry.

    Attributes:
        corpus: Id of the corpus.
        status: `complete`, `partial`, `more` (than in the catalog), `absent`, `unknown layout` or `unknown size`; and
            `shortened`, `lengthened`, `resampled` or `damaged` if all utterances are there, but their hours or sampling
            rates are far from those of the catalog, or some can't be read. Of an archive: `as published`, `incomplete`
            or `altered`.
        detail: Description of what is missing or different.
    """

    corpus: str
    status: str
    detail: str


def verify(
    entries: Mapping[str, CatalogEntry],
    found: Mapping[str, Path],
    columns: Columns | Mapping[str, Columns] | None = None,
    rating_scale: Scale | Mapping[str, Scale] | None = None,
) -> list[Finding]:
    """Compares corpora on disk with the catalog: utterances, files, speakers, labels, hours. Decodes no audio.

    Args:
        entries: The catalog entries to report on, by id.
        found: The folder of each corpus on disk, by id.
        columns: Columns of tables with other than usual names, see `exhubert.emoset.build`.
        rating_scale: Lowest and highest value of ratings, likewise.
    """
    maps, scales = settings_of_tables(found, columns, rating_scale)

    def compared(corpus: str, facts: CatalogEntry) -> Finding:
        return _verify(corpus, with_columns(facts, maps.get(corpus), scales.get(corpus)), found[corpus])

    findings = []
    for corpus, facts in entries.items():
        absent = Finding(corpus, "absent", f"access: {facts.access}")
        findings.append(compared(corpus, facts) if corpus in found else absent)
    others = {corpus: folder for corpus, folder in found.items() if corpus not in entries}
    return findings + [compared(corpus, corpus_entry(corpus, folder)) for corpus, folder in others.items()]


def _verify(corpus: str, facts: CatalogEntry, folder: Path) -> Finding:
    form = own_form(folder)
    if form:
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
    if len(parts := sorted({record.corpus for record in records if record.corpus})) > 1:
        remarks.append(f"{len(parts)} corpora: {', '.join(parts)}")
    if surplus := Counter(item.raw_label for item in records if item.raw_label and not _has_class(facts, item)):
        remarks.append(f"labels without a class: {dict(surplus)}")
    speakers = len({record.speaker for record in records if record.speaker is not None})
    if isinstance(facts.speakers, int) and speakers and speakers != facts.speakers:
        remarks.append(f"{speakers} speakers, {facts.speakers} in the catalog")
    if signals := [] if form else signals_beside(folder):
        where = sorted({path.parent.name for path in signals})
        remarks.append(f"{len(signals)} files in {', '.join(where)} are left out: signals that are no speech")
    lengths, rates, unreadable = _headers([record for record in records if record.file.is_file()])
    if unreadable:
        remarks.append(f"{len(unreadable)} recordings can't be read, such as {unreadable[0].name}")
    hours = sum(lengths) / 3600
    ratio = hours / facts.hours if hours and isinstance(facts.hours, (int, float)) else 1.0
    is_far = abs(ratio - 1) > _tolerance(facts.hours)
    if is_far:
        remarks.append(f"{hours:.2f} h, {facts.hours:.2f} h in the catalog")
    strange = {
        rate: count for rate, count in rates.items() if facts.sampling_rates and rate not in facts.sampling_rates
    }
    if strange:
        found = ", ".join(f"{count} at {rate} Hz" for rate, count in strange.items())
        remarks.append(f"{found}, {' or '.join(map(str, facts.sampling_rates))} Hz in the catalog")
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
    # hours and rates are those of the release whose size is `utterances`, and compare only if each was measured
    comparable = size == facts.utterances and len(lengths) == present
    if comparable and is_far and "hours" not in facts.uncertain:
        return Finding(corpus, "shortened" if ratio < 1 else "lengthened", detail)
    if comparable and strange:
        return Finding(corpus, "resampled", detail)
    return Finding(corpus, "complete", detail)


def verify_archives(entries: Mapping[str, CatalogEntry], folder: Path) -> list[Finding]:
    """Compares publishers' archives in a folder, or in the folders in it, with their published sizes and checksums."""
    names = {name: (corpus, archive) for corpus, facts in entries.items() for name, archive in facts.archives.items()}
    findings = []
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.name in names and path.is_file():
            corpus, archive = names[path.name]
            findings.append(Finding(corpus, *_compare(path, archive)))
    return findings


def _compare(path: Path, archive: Archive) -> tuple[str, str]:
    """Returns the status of an archive and the reason."""
    size = path.stat().st_size
    if size != archive.bytes:
        lack = f"{path}: {size} bytes, {archive.bytes} as published; download it again"
        return "incomplete" if size < archive.bytes else "altered", lack
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    if digest != archive.md5:
        return "altered", f"{path}: md5 {digest}, {archive.md5} as published; download it again"
    return "as published", f"{path}: size and md5 are as published"


def _tolerance(hours: float | str) -> float:
    """Returns the relative difference of hours that is none: 5 %, or what the catalog's figure is rounded to."""
    if not isinstance(hours, (int, float)):
        return _HOURS_TOLERANCE
    decimals = len(f"{hours}".partition(".")[2])
    return max(_HOURS_TOLERANCE, 0.5 * 10**-decimals / hours)


def _headers(records: Sequence[Record]) -> tuple[list[float], Counter[int], list[Path]]:
    """Returns the seconds of utterances, the sampling rates of files, and the files whose headers aren't valid.

    None of them holds videos and other formats whose headers soundfile can't read.
    """
    of_file: dict[Path, float | None] = {}
    rates: Counter[int] = Counter()
    lengths = []
    for record in records:
        file = Path(recording_name(record))
        if file not in of_file:
            try:
                info = soundfile.info(audio_source(record))
                of_file[file] = info.duration
                rates[info.samplerate] += 1
            except (AudioError, soundfile.LibsndfileError, TypeError):
                of_file[file] = None
        end = of_file[file] if record.end is None else record.end
        if end is not None:
            lengths.append(end - (record.start or 0.0))
    unreadable = [file for file, length in of_file.items() if length is None and file.suffix.lower() not in NEEDS_PYAV]
    return lengths, rates, unreadable


def _one_length(lengths: Sequence[float]) -> str | None:
    """Returns a remark if many utterances last equally long, which speech doesn't do by itself."""
    if len(lengths) < _FEWEST_LENGTHS:
        return None
    seconds, count = Counter(round(length, 4) for length in lengths).most_common(1)[0]
    if count < _SAME_LENGTH * len(lengths):
        return None
    return f"{count} of {len(lengths)} recordings last exactly {seconds:.3f} s: cut or padded to one length"


def _has_class(facts: CatalogEntry, record: Record) -> bool:
    if record.corpus and record.corpus in catalog():  # which the source itself names, or its names of recordings
        facts = replace(catalog()[record.corpus], reader="manifest")
    return facts.class_of(record.raw_label, language=record.language) is not None


def _emotions(facts: CatalogEntry) -> set[str]:
    return {label.emotion for label in facts.labels.values() if label.class_name} if facts.has_own_layout else set()


def _emotion(facts: CatalogEntry, raw_label: str) -> str:
    return facts.labels[raw_label].emotion if raw_label in facts.labels else raw_label
