"""The catalog of corpora: one YAML file for each, with its facts and the map of its raw labels to the six classes."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..labels import SIX_CLASSES, VALENCES, arousal_valence, class_name, class_of_word
from .scheme import ALL_CORPORA, read_scheme

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML has it
_FOLDER = Path(__file__).parent / "catalog"
_LISTENER, _LABEL = "{rater}", "{label}"
# what the name of a column must hold, for each field of a vote
VOTES_HOLD = {"label": _LISTENER, "arousal": _LISTENER, "valence": _LISTENER, "dominance": _LISTENER, "count": _LABEL}
KINDS = ("acted", "induced", "natural", "mixed", "synthetic", "unknown")


class UnknownCorpusError(KeyError):
    """The catalog has no such corpus; the message names the nearest ids."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class LabelMap:
    """The class of one raw label of a corpus.

    Attributes:
        emotion: The emotion in English.
        arousal: `low` or `high`; None if the label maps to no class and is dropped.
        valence: `negative`, `neutral` or `positive`; None likewise.
        basis: `source` if the paper's model card prints the emotion as the example of the class, `judgement` for
            this project's reading, `user` for your own map.
        alternative: Another defensible class, or None.
    """

    emotion: str
    arousal: str | None
    valence: str | None
    basis: str = "judgement"
    alternative: str | None = None

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
        uncertain: Fields whose value is from memory, not from a source.
        labels: Raw label to class. Empty if the label set is unknown; class names and emotion words in English or the
            language of the corpus are then accepted.
        notes: Oddities worth knowing.
        columns: For corpora whose facts are in tables: the column of the table, by the name of the field in `Record`
            that it fills, such as `{label: emo, speaker: who}`. Other columns are found by their usual names.
        votes: For corpora whose tables have columns for single listeners: the names of these columns by the field of
            `Vote` that they fill, with `{rater}` for the listener, such as `{arousal: "a{rater}_A"}`; or
            `{count: "votes_{label}"}` for the number of listeners who chose a label.
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
    uncertain: list[str] = field(default_factory=list)
    labels: Mapping[str, LabelMap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    columns: Mapping[str, str] = field(default_factory=dict)
    votes: Mapping[str, str] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    by_annotated_valence: bool = False

    def class_of(self, raw_label: str, annotated_valence: str | None = None, language: str | None = None) -> str | None:
        """Returns the class of a raw label, or None if it maps to no class and is dropped.

        A corpus whose reader is `manifest` or `by_folder` may also use class names and emotion words, in English or in
        the language of the utterance (or the corpus, by default).
        """
        if raw_label not in self.labels:
            languages = [language] if language else self.languages
            return class_of_word(raw_label, languages) if self.reader in ("manifest", "by_folder") else None
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
    """Returns all entries by id, in alphabetical order: the 37 corpora of EmoSet++, the demo corpus, and `manifest`."""
    return {path.stem: _parse(path) for path in sorted(_FOLDER.glob("*.yaml"))}


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
    labels = {str(raw): LabelMap(**facts) for raw, facts in (values.pop("labels", None) or {}).items()}
    if paths := values.pop("paths", None):
        values["paths"] = Layout(**paths | {"suffixes": tuple(paths.get("suffixes", [".wav"]))})
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
    if unknown := set(facts.uncertain) - {item.name for item in fields(facts)}:
        messages.append(f"uncertain names no field: {sorted(unknown)}")
    for item in fields(facts):
        if getattr(facts, item.name) in ("", None) and item.name not in ("paths", "rating_scale"):
            messages.append(f"{item.name} is empty; say unknown")
    messages += vote_problems(facts.votes)
    for raw, label in facts.labels.items():
        if label.basis not in ("source", "judgement"):
            messages.append(f"{raw}: basis is {label.basis!r}")
        if (label.arousal is None) != (label.valence is None):
            messages.append(f"{raw}: arousal without valence or the reverse")
        elif label.class_name is not None and label.class_name not in SIX_CLASSES:
            messages.append(f"{raw}: no class {label.class_name!r}")
        if label.alternative is not None and label.alternative not in SIX_CLASSES:
            messages.append(f"{raw}: alternative {label.alternative!r} is no class")
    return messages


def vote_problems(patterns: Mapping[str, str]) -> list[str]:
    """Returns the problems of `CatalogEntry.votes`, one sentence each; empty if it is valid."""
    problems = []
    for name, pattern in patterns.items():
        holds = VOTES_HOLD.get(name)
        if holds is None:
            problems.append(f"votes has {name!r}, expected some of {', '.join(VOTES_HOLD)}")
        elif not isinstance(pattern, str) or pattern.count(holds) != 1 or pattern == holds:
            problems.append(
                f"votes: {name} is {pattern!r}, expected a name of columns with {holds}, such as a{holds}_A"
            )
    return problems
