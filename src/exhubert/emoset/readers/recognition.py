"""Compares the contents of a folder with every layout of the catalog, to tell which corpus it holds. Reads no audio."""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...search import SUFFIXES
from ..catalog import CatalogEntry, Layout, catalog, entry
from ..record import Record
from .by_name import fields_of, files, one_container

_FIT = 0.9  # share of the recordings that must fit, so that a few strange files are forgiven
_FEWEST = 3  # one file can have any name by chance
_MOST = 2.2  # times the size of the corpus: some copies hold the whole set twice, and none holds it more often
_SAMPLE = 500  # recordings of a large folder; a corpus that none of them is like is ruled out
_NEAR = 0.1  # relative distance to the size of a release at which a copy counts as whole
# Speakers of the corpora whose readers need annotation files.
_SPEAKERS = {
    "fau_aibo": r"(?:Ohm|Mont)_\d\d",
    "iemocap": r"Ses0[1-5][FM]",
    "smartkom": r"[A-Z]{3}",
}


@dataclass(frozen=True)
class Match:
    """The agreement of a folder's contents with one corpus.

    Attributes:
        corpus: Id of the corpus.
        total: Number of recordings in the folder.
        alike: Number of those whose names have the pattern of the corpus.
        fitting: Number of those that have its speakers, texts and labels, too.
        utterances: Number of the fitting ones that are utterances, not songs, videos or other versions of them.
        labels: Number of different labels of the utterances.
    """

    corpus: str
    total: int
    alike: int
    fitting: int
    utterances: int
    labels: int

    @property
    def share(self) -> float:
        """Share of the recordings that fit, from 0 to 1."""
        return self.fitting / self.total if self.total else 0.0

    @property
    def fits(self) -> bool:
        """Whether names alone make the folder this corpus, or a part of it."""
        most = _MOST * max(_sizes(entry(self.corpus)), default=float("inf"))
        return self.share >= _FIT and _FEWEST <= self.utterances <= most and self.labels >= self._fewest_labels

    @property
    def _fewest_labels(self) -> int:
        paths = entry(self.corpus).paths
        return paths.fewest_labels if paths else 1

    @property
    def whole(self) -> bool:
        """Whether there are about as many utterances as in a release of the corpus."""
        return any(abs(self.utterances / size - 1) <= _NEAR for size in _sizes(entry(self.corpus)))

    def __str__(self) -> str:
        facts = entry(self.corpus)
        text = f"{self.fitting} of {self.total} recordings have the names, speakers and labels of {facts.name}"
        if self.alike > self.fitting:
            text += f" ({self.alike} have its names)"
        if 0 < self.labels < self._fewest_labels:
            text += f", but only {self.labels} of its {len(facts.labels)} labels"
        if self.fitting and not self.utterances:
            return f"{text}; none of them is one of its utterances, {facts.layout}"
        sizes = _sizes(facts)
        if not sizes:
            return text
        size = min(sizes, key=lambda size: abs(size - self.utterances))
        return f"{text}; {self.utterances} of its {size} utterances"


def matches(folder: Path) -> list[Match]:
    """Returns the corpora that any recording or annotation file in a folder points to, the best match first."""
    from . import reader_of

    paths = {path: path.relative_to(folder).as_posix() for path in recordings(folder)}
    sample = list(paths.values())[:: len(paths) // _SAMPLE + 1]
    results = []
    for facts in catalog().values():
        if facts.paths:
            if any(facts.paths.is_other(name) or facts.paths.match(name) for name in sample):
                results.append(_by_name(facts, facts.paths, paths))
        elif facts.has_own_layout:
            try:
                records = list(reader_of(facts)(facts, folder, None))
            except (
                AttributeError,
                LookupError,
                OSError,
                TypeError,
                ValueError,
            ):  # a file with the name of an annotation, and other contents
                continue
            results.append(_by_annotation(facts, records, paths))
    return sorted((match for match in results if match.alike), key=lambda match: (-match.share, -match.utterances))


def matches_by_name(names: Iterable[str], among: Iterable[str] | None = None) -> list[Match]:
    """Returns the corpora, all or some, whose pattern any name of a recording has, wherever the recordings are."""
    entries = catalog().values() if among is None else [entry(corpus) for corpus in among]
    paths = [Path(name) if Path(name).suffix else Path(f"{name}.wav") for name in names]
    named = {path: path.as_posix() for path in paths}
    results = [_by_name(facts, facts.paths, named) for facts in entries if facts.paths]
    return sorted((match for match in results if match.alike), key=lambda match: (-match.share, -match.utterances))


def recordings(folder: Path) -> list[Path]:
    """Returns the recordings below a folder by their endings, without laryngograph signals."""
    return list(files(folder, SUFFIXES))  # of any format: podcasts with one WAV are podcasts


def recognise(folder: Path) -> str | None:
    """Returns the corpus whose layout, speakers and labels the recordings of a folder have.

    Returns:
        The id of the corpus; None if less than nine in ten recordings fit, or they fit several corpora.
    """
    fitting = [match for match in matches(folder) if match.fits]
    return fitting[0].corpus if len(fitting) == 1 else None


def _by_name(facts: CatalogEntry, layout: Layout, paths: dict[Path, str]) -> Match:
    alike, fitting = 0, 0
    named: list[tuple[Hashable, Path]] = []
    labels: dict[Path, str] = {}
    for path, name in paths.items():
        if layout.is_other(name):
            alike += 1
            fitting += 1
            continue
        match = layout.match(name)
        if match is None:
            continue
        alike += 1
        label = facts.spelled(layout.fields(match).get("raw_label") or "")
        is_known = label in facts.labels if facts.labels else facts.class_of(label) is not None
        if not is_known or not layout.has_known(match):
            continue
        try:
            fields = fields_of(facts, match, path)
        except ValueError:  # a word for no partition
            continue
        fitting += 1
        if fields is not None:
            named.append((layout.utterance(match), path))
            labels[path] = label
    chosen = [labels[path] for path in one_container(named, layout.suffixes)]
    return Match(facts.id, len(paths), alike, fitting, len(chosen), len(set(chosen)))


def _by_annotation(facts: CatalogEntry, records: list[Record], paths: dict[Path, str]) -> Match:
    pattern = re.compile(_SPEAKERS.get(facts.id, ".*"), re.IGNORECASE)
    fitting = [item for item in records if item.raw_label in facts.labels and pattern.fullmatch(item.speaker or "")]
    present = [item.raw_label for item in fitting if Path(item.path) in paths]
    # the annotation, not the recordings, tells what belongs to the corpus
    return Match(facts.id, len(records), len(records), len(fitting), len(present), len(set(present)))


def _sizes(facts: CatalogEntry) -> list[int]:
    return list(facts.releases.values()) or ([facts.utterances] if isinstance(facts.utterances, int) else [])
