"""The catalog of corpora: one YAML file for each, with its facts and the map of its raw labels to the six classes."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..labels import SIX_CLASSES, VALENCES, arousal_valence, class_name, class_of_word, emotion_classes
from .scheme import ALL_CORPORA, read_scheme

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML has it
_FOLDER = Path(__file__).parent / "catalog"
NO_CORPORA = ("demo", "manifest")  # entries of the catalog that aren't recordings of people
EMOSET = "emoset++"  # stands for the 37 corpora wherever corpora are named
KINDS = ("acted", "induced", "natural", "mixed", "synthetic", "unknown")


class UnknownCorpusError(KeyError):
    """The catalog has no such corpus; the message names the nearest ids."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class LabelMap:
    """The class of one raw label of a corpus.

    In the YAML file, the name of an emotion is enough: its class, basis and alternative come from the common map (see
    `exhubert.labels.emotion_classes`). An entry that differs from it, or names an emotion beyond it, writes a map of
    these attributes; null drops the label.

    Attributes:
        emotion: The emotion in English.
        arousal: `low` or `high`; None if the label maps to no class and is dropped.
        valence: `negative`, `neutral` or `positive`; None likewise.
        basis: `source` if the paper's model card prints the emotion as the example of the class, `judgement` for
            this project's reading, `user` for your own map.
        alternative: Another defensible class, or None.
        why: The reason for which the entry differs from the common map, or None if it doesn't.
    """

    emotion: str
    arousal: str | None
    valence: str | None
    basis: str = "judgement"
    alternative: str | None = None
    why: str | None = None

    @classmethod
    def parse(cls, raw_label: str, facts: str | Mapping[str, Any] | None) -> "LabelMap":
        """Completes what a YAML file says of a raw label by the common map.

        Args:
            raw_label: The label as the corpus writes it.
            facts: The name of an emotion; a map of attributes; or None for a label to drop.

        Raises:
            ValueError: There is neither a class nor an emotion of the common map.
        """
        if facts is None:
            return cls(raw_label, None, None)
        own = {"emotion": facts} if isinstance(facts, str) else dict(facts)
        if common := emotion_classes().get(own["emotion"]):
            arousal, valence = arousal_valence(common.class_name)
            shared = {"arousal": arousal, "valence": valence}
            return cls(**shared | {"basis": common.basis, "alternative": common.alternative} | own)
        if not {"arousal", "valence"} <= own.keys():
            raise ValueError(
                f"{raw_label}: {own['emotion']!r} is no emotion of the common map ({', '.join(emotion_classes())}), so "
                "its arousal and valence are needed, or null for both."
            )
        return cls(**own)

    @property
    def class_name(self) -> str | None:
        return class_name(self.arousal, self.valence) if self.arousal and self.valence else None


@dataclass(frozen=True)
class Layout:
    """Naming scheme of the files of one corpus.

    Attributes:
        pattern: Regular expression for the end of the path below the root, with `/` between its parts. Groups named
            after fields of `Record` fill them; `gender` may be a letter.
        suffixes: Suffixes of the files to read, in lower case.
        fixed: Fields with the same value for every utterance.
        values: Values of fields by the code in the path, such as `{intensity: {"02": strong}}`.
        known: Regular expressions for values of groups in the published corpus. They tell whether a folder that nobody
            named is this corpus; a folder that was named is read without them.
        others: Regular expression for the end of the paths of the release's other recordings, which are no utterances.
        fewest_labels: Number of different labels below which a folder that nobody named isn't taken for this corpus,
            because its paths hold nothing of its own but labels.
    """

    pattern: str
    suffixes: tuple[str, ...] = (".wav",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    others: str = ""
    fewest_labels: int = 1

    def match(self, path: str) -> re.Match[str] | None:
        """Matches a path below the root, with `/` between its parts."""
        return re.fullmatch(rf"(?:.*/)?{self.pattern}", path, re.IGNORECASE)

    def has_known(self, match: re.Match[str]) -> bool:
        """Whether the groups of a match have the speakers, texts and codes of the published corpus."""
        return all(re.fullmatch(values, match[group] or "", re.IGNORECASE) for group, values in self.known.items())


@dataclass(frozen=True)
class AnnotationTable:
    """Table that annotates the recordings of one corpus, for the reader `by_table`.

    `CatalogEntry.columns` names the columns that it reads; recordings are found by their names, wherever they are.

    Attributes:
        file: Name of the table; `*` and `?` stand for other characters.
        values: Values of fields by what the table says, such as `{partition: {Test1: test}}`.
        people: Name of a second table with a row for each speaker, for the columns that the first one lacks.
        person: Column of `people` that holds the speaker's id.
    """

    file: str
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    people: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class Archive:
    """What a publisher says of a file to download.

    Attributes:
        bytes: Its size.
        md5: Its checksum, in hexadecimal digits.
    """

    bytes: int
    md5: str


@dataclass(frozen=True)
class CatalogEntry:
    """The facts of one corpus. Fields without a known value are `unknown`.

    Attributes:
        id: Name used in code, folders and datasets.
        name: Usual short name.
        full_name: Full name.
        languages: BCP-47 tags; `und` if the speech is in no language.
        kind: One of `KINDS`.
        access: How to obtain it.
        licence: Its terms, and any disagreement of sources about them.
        redistribution: Whether its recordings may be passed on: `allowed`, `forbidden` or `unknown`.
        homepage: Page that publishes it.
        reference: The publication to cite.
        speakers: Number of speakers.
        utterances: Number of utterances.
        hours: Duration in hours.
        reader: Name of the reader for its layout.
        layout: Pattern of its file paths, for people.
        paths: The same as a [`Layout`], for the reader `by_name`.
        releases: Number of utterances in each release, if several circulate.
        sampling_rates: Sampling rates of its recordings in Hz, of the release that `utterances` counts.
        archives: The files to download, by name.
        uncertain: Fields whose value is from memory, not from a source.
        labels: Raw label to class. Empty if the label set is unknown; class names and emotion words in English or the
            language of the corpus are then accepted.
        notes: Oddities worth knowing.
        beyond: Whether the corpus is none of the 37 of EmoSet++.
        sources: Where a fact was read, by the name of the field.
        table: The table that annotates its recordings, for the reader `by_table`.
        columns: For corpora whose facts are in tables: the column of the table, by the name of the field in `Record`
            that it fills, such as `{label: emo, speaker: who}`. Other columns are found by their usual names.
        rating_scale: Lowest and highest value of its ratings of arousal, valence and dominance; None if unknown.
        by_annotated_valence: Use the valence that the corpus annotates, if any, instead of the map's.
    """

    id: str
    name: str
    full_name: str
    languages: list[str]
    kind: str
    access: str
    licence: str
    redistribution: str
    homepage: str
    reference: str
    speakers: int | str
    utterances: int | str
    hours: float | str
    reader: str
    layout: str
    paths: Layout | None = None
    releases: Mapping[str, int] = field(default_factory=dict)
    sampling_rates: list[int] = field(default_factory=list)
    archives: Mapping[str, Archive] = field(default_factory=dict)
    uncertain: list[str] = field(default_factory=list)
    labels: Mapping[str, LabelMap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    beyond: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)
    table: AnnotationTable | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    by_annotated_valence: bool = False

    def class_of(self, raw_label: str, annotated_valence: str | None = None, language: str | None = None) -> str | None:
        """Returns the class of a raw label, or None if it maps to no class and is dropped.

        A corpus whose reader is `manifest` may also use class names and emotion words, in English or in the language
        of the utterance (or the corpus, by default).
        """
        if raw_label not in self.labels:
            languages = [language] if language else self.languages
            return class_of_word(raw_label, languages) if self.reader == "manifest" else None
        label = self.labels[raw_label]
        if self.by_annotated_valence and annotated_valence in VALENCES and label.arousal:
            return class_name(label.arousal, annotated_valence)
        return label.class_name

    def emotion_of(self, raw_label: str, language: str | None = None) -> str | None:
        """Returns the emotion of a raw label in English, or the label itself if it isn't known; None for no label."""
        if raw_label in self.labels:
            return self.labels[raw_label].emotion
        return raw_label.strip().lower() or None

    @property
    def has_own_layout(self) -> bool:
        """Whether a reader knows the layout of its release, so that it needs no manifest."""
        return self.reader != "manifest"


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Returns all entries by id, in alphabetical order: the 37 corpora of EmoSet++, others beyond them, and `demo` and
    `manifest`.
    """
    return {path.stem: _parse(path) for path in sorted(_FOLDER.glob("*.yaml"))}


def emoset_plus_plus() -> list[str]:
    """Returns the ids of the 37 corpora of EmoSet++, those of the paper."""
    return [corpus for corpus, facts in catalog().items() if not facts.beyond and corpus not in NO_CORPORA]


def entry(corpus: str) -> CatalogEntry:
    """Returns the entry of a corpus.

    Raises:
        UnknownCorpusError: The catalog has no such corpus; the message names the nearest ids.
    """
    if corpus not in catalog():
        close = difflib.get_close_matches(corpus, catalog(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(catalog())}."
        raise UnknownCorpusError(f"The catalog has no corpus {corpus!r}; {hint} A corpus of your own needs a manifest.")
    return catalog()[corpus]


def with_scheme(facts: CatalogEntry, scheme: str | Path) -> CatalogEntry:
    """Returns an entry with another label map.

    Args:
        facts: The entry.
        scheme: `default`; `alternative` (each label's other defensible class, if it has one); `corpus_valence` (the
            valence that the corpus itself annotates, such as MELD's Sentiment); or your own YAML file, which maps
            corpus ids (or `*` for all) to `raw label: class`, with null for labels to drop. It replaces the labels it
            names.

    Raises:
        ValueError: The scheme or file doesn't exist, isn't such a map, or names an unknown class. Whether its corpora
            and labels exist is checked by `exhubert.emoset.listing.list_corpora`.
    """
    if scheme == "default":
        return facts
    if scheme == "corpus_valence":
        return replace(facts, by_annotated_valence=True)
    if scheme == "alternative":
        changes = {raw: label.alternative for raw, label in facts.labels.items() if label.alternative}
        return replace(facts, labels={**facts.labels, **_relabelled(facts, changes, "judgement")})
    content = read_scheme(Path(scheme))
    classes = content.get(ALL_CORPORA, {}) | content.get(facts.id, {})
    return replace(facts, labels={**facts.labels, **_relabelled(facts, classes, "user")})


def _relabelled(facts: CatalogEntry, changes: Mapping[str, str | None], basis: str) -> dict[str, LabelMap]:
    result = {}
    for raw, name in changes.items():
        arousal, valence = arousal_valence(name) if name else (None, None)
        emotion = facts.labels[raw].emotion if raw in facts.labels else raw
        result[raw] = LabelMap(emotion, arousal, valence, basis)
    return result


def _parse(path: Path) -> CatalogEntry:
    values: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    labels = {str(raw): LabelMap.parse(str(raw), facts) for raw, facts in (values.pop("labels", None) or {}).items()}
    if paths := values.pop("paths", None):
        values["paths"] = Layout(**paths | {"suffixes": tuple(paths.get("suffixes", [".wav"]))})
    if table := values.pop("table", None):
        values["table"] = AnnotationTable(**table)
    values["archives"] = {name: Archive(**facts) for name, facts in (values.pop("archives", None) or {}).items()}
    if scale := values.pop("rating_scale", None):
        values["rating_scale"] = tuple(scale)
    return CatalogEntry(**values, labels=labels)


def problems(facts: CatalogEntry, readers: Iterable[str]) -> list[str]:
    """Returns the problems of an entry, one sentence each; empty for a valid one. Tests check every entry with it."""
    messages = []
    number = (int, float)
    for name in ("speakers", "utterances", "hours"):
        value = getattr(facts, name)
        if not (value == "unknown" or (isinstance(value, number) and value > 0)):
            messages.append(f"{name} is {value!r}, expected a positive number or unknown")
    if facts.kind not in KINDS:
        messages.append(f"kind is {facts.kind!r}, expected one of {KINDS}")
    if facts.redistribution not in ("allowed", "forbidden", "unknown"):
        messages.append(f"redistribution is {facts.redistribution!r}")
    if facts.reader not in readers:
        messages.append(f"there is no reader {facts.reader!r}")
    for name in ("uncertain", "sources"):
        if unknown := set(getattr(facts, name)) - {item.name for item in fields(facts)}:
            messages.append(f"{name} names no field: {sorted(unknown)}")
    for name, archive in facts.archives.items():
        if archive.bytes <= 0 or not re.fullmatch(r"[0-9a-f]{32}", archive.md5):
            messages.append(f"{name}: bytes is {archive.bytes!r} and md5 {archive.md5!r}")
    for item in fields(facts):
        if getattr(facts, item.name) in ("", None) and item.name not in ("paths", "table", "rating_scale"):
            messages.append(f"{item.name} is empty; say unknown")
    for raw, label in facts.labels.items():
        if label.basis not in ("source", "judgement"):
            messages.append(f"{raw}: basis is {label.basis!r}")
        if (label.arousal is None) != (label.valence is None):
            messages.append(f"{raw}: arousal without valence or the reverse")
        elif label.class_name is not None and label.class_name not in SIX_CLASSES:
            messages.append(f"{raw}: no class {label.class_name!r}")
        if label.alternative is not None and label.alternative not in SIX_CLASSES:
            messages.append(f"{raw}: alternative {label.alternative!r} is no class")
        common = emotion_classes().get(label.emotion)
        own = (label.class_name, label.alternative, label.basis)
        if common and own != (common.class_name, common.alternative, common.basis) and not label.why:
            messages.append(f"{raw}: {label.emotion} differs from the common map; say why")
    return messages
