"""The catalog of corpora: one YAML file for each, with its facts and the map of its raw labels to the six classes."""

import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ...labels import (
    VALENCES,
    arousal_valence,
    class_name,
    class_of_word,
    emotion_classes,
    emotion_of_word,
)
from ...search import SUFFIXES, VIDEOS
from ..labelling.scheme import ALL_CORPORA, read_scheme
from .column_map import Columns, Scale, by_field, checked_scale
from .files import CatalogError, load_file
from .layouts import ALIASES, Rule, compiled, layout_problems, suffixes_of, value_of

logger = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent / "corpora"
CATALOG_VARIABLE = "EXHUBERT_CATALOG"
NO_CORPORA = ("demo", "manifest")  # entries of the catalog that aren't recordings of people
EMOSET = "emoset++"  # stands for the 37 corpora wherever corpora are named
_WORD_READERS = ("manifest", "by_folder")  # of corpora whose labels may be emotion words
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
        pattern: The end of the path below the root, with `/` between its parts: a regular expression whose groups are
            named after fields of `Record`, or a text with such names in braces, see
            `exhubert.emoset.catalog.layouts.compiled`. `gender` may be a letter. Labels are spelled as in the entry's,
            whatever their case, and with spaces for `_`.
        suffixes: Suffixes of the publisher's files, in lower case, the usual one first; by default the one that the
            pattern ends in. Audio with any other suffix is read as if it had the first one, and so is video if one of
            these is video.
        fixed: Fields with the same value for every utterance.
        values: Values of fields by the code in the path, such as `{intensity: {"02": strong}}` or `{gender: {of:
            speaker, "03": male, "*": female}}`, or texts with groups, such as `{speaker: "Actor_{speaker}"}`, see
            `exhubert.emoset.catalog.layouts.value_of`.
        only: Regular expressions for values of groups that utterances have. Other files, such as songs, are none.
        unless: Name of another file in the same folder, without its ending and with groups in braces; a file is no
            utterance if that other file exists.
        variants: Patterns of other copies that circulate, with the same groups; tried after `pattern`.
        same: Groups whose values together name an utterance, whatever its container and folder are called. Empty if
            the end of the path that matches does, without its suffix.
        facts: Groups and values that are no fields of `Record` but facts for its `other`.
        known: Regular expressions for values of groups in the published corpus. They tell whether a folder that nobody
            named is this corpus; a folder that was named is read without them.
        others: Regular expression for the end of the paths of the release's other recordings, which are no utterances.
        fewest_labels: Number of different labels below which a folder that nobody named isn't taken for this corpus,
            because its paths hold nothing of its own but labels.
    """

    pattern: str
    suffixes: tuple[str, ...] = (".wav",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Rule] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)
    unless: str = ""
    known: Mapping[str, str] = field(default_factory=dict)
    others: str = ""
    fewest_labels: int = 1
    variants: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    def match(self, path: str) -> re.Match[str] | None:
        """Matches a path below the root, with `/` between its parts; the first group is the end that the pattern has.

        Recordings with another suffix than the publisher's are matched as if they had it.
        """
        stem, dot, ending = path.rpartition(".")
        suffix = f"{dot}{ending}".lower()
        names = [path]
        if suffix != self.suffixes[0]:
            if suffix not in SUFFIXES or (suffix in VIDEOS and VIDEOS.isdisjoint(self.suffixes)):
                return None
            names.append(f"{stem}{self.suffixes[0]}")
        for name in names:
            for pattern in (self.pattern, *self.variants):
                if match := compiled(pattern).fullmatch(name):
                    return match
        return None

    def utterance(self, match: re.Match[str]) -> tuple[str, ...]:
        """Returns what the files of one utterance have in common, whatever their containers and folders."""
        names = [match[ALIASES.get(group, group)] or "" for group in self.same] or [match[1].rpartition(".")[0]]
        return tuple(re.sub(r"(?<!\d)0+(?=\d)", "", name.casefold()) for name in names)

    def has_known(self, match: re.Match[str]) -> bool:
        """Whether the groups of a match have the speakers, texts and codes of the published corpus."""
        return _have(match, self.known)

    def is_other(self, path: str) -> bool:
        """Whether a path is one of `others`, or would be with a suffix that the publisher uses."""
        if not self.others:
            return False
        stem, _, ending = path.rpartition(".")
        copies = [f"{stem}{suffix}" for suffix in self.suffixes] if f".{ending}".lower() in SUFFIXES else []
        return any(re.search(rf"(?:^|/)(?:{self.others})$", name, re.IGNORECASE) for name in (path, *copies))

    def is_utterance(self, match: re.Match[str], path: Path) -> bool:
        """Whether a file that matches is an utterance, not a song or another version of a recording."""
        if not _have(match, self.only):
            return False
        other = value_of(self.unless, "", match.groupdict()) if self.unless else None
        if other is None or other.casefold() == path.stem.casefold():
            return True
        return not path.with_name(other + path.suffix).exists()

    def fields(self, match: re.Match[str]) -> dict[str, Any]:
        """Returns the values of the groups, and of the fields that the layout gives besides."""
        groups = match.groupdict()
        return groups | {name: value_of(rule, name, groups) for name, rule in self.values.items()} | dict(self.fixed)

    def problems(self) -> list[str]:
        """Returns the problems of the layout, one sentence each; empty for a valid one."""
        conditions, texts = {"only": self.only, "known": self.known}, {"unless": self.unless}
        messages: dict[str, None] = {}
        for pattern in (self.pattern, *self.variants):
            found = layout_problems(
                pattern, self.suffixes, self.fixed, self.values, conditions, texts, self.others, self.facts
            )
            missing = [name for name in self.same if ALIASES.get(name, name) not in _groups(pattern)]
            found += [f"same: {pattern} has no group {name}" for name in missing]
            if pattern != self.pattern:  # what holds for both is said once
                found = [f"variants: {pattern}: {fault}" for fault in found if fault not in messages]
            messages |= dict.fromkeys(found)
        known = _groups(self.pattern) | self.values.keys() | self.fixed.keys()
        unknown = [name for name in self.facts if name not in known]
        return [*messages, *(f"facts: nothing says what {name} is" for name in unknown)]


def _groups(pattern: str) -> set[str]:
    try:
        return set(compiled(pattern).groupindex)
    except ValueError:  # which is said elsewhere
        return set()


def _have(match: re.Match[str], values: Mapping[str, str]) -> bool:
    return all(re.fullmatch(value, match[group] or "", re.IGNORECASE) for group, value in values.items())


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
        votes: For corpora whose tables have columns for single listeners: the names of these columns by the field of
            `Vote` that they fill, with `{rater}` for the listener, such as `{arousal: "a{rater}_A"}`; or
            `{count: "votes_{label}"}` for the number of listeners who chose a label.
        rating_scale: Lowest and highest value of its ratings of arousal, valence and dominance; None if unknown.
        by_annotated_valence: Use the valence that the corpus annotates, if any, instead of the map's.
        file: The YAML file of an entry of your own; empty for those that come with the package.
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
    votes: Mapping[str, str] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    by_annotated_valence: bool = False
    file: str = field(default="", repr=False, compare=False)  # no part of the facts, which are hashed

    def class_of(self, raw_label: str, annotated_valence: str | None = None, language: str | None = None) -> str | None:
        """Returns the class of a raw label, or None if it maps to no class and is dropped.

        A corpus whose reader is `manifest` or `by_folder`, or whose labels aren't listed, may also use class names and
        emotion words, in English or in the language of the utterance (or the corpus, by default).
        """
        if raw_label not in self.labels:
            languages = [language] if language else self.languages
            return class_of_word(raw_label, languages) if self.reader in _WORD_READERS or not self.labels else None
        label = self.labels[raw_label]
        if self.by_annotated_valence and annotated_valence in VALENCES and label.arousal:
            return class_name(label.arousal, annotated_valence)
        return label.class_name

    def emotion_of(self, raw_label: str, language: str | None = None) -> str | None:
        """Returns the emotion of a raw label in English, or the label itself if it isn't known; None for no label.

        All forms and synonyms of an emotion give the same word, see `exhubert.labels.emotion_of_word`.
        """
        own = [language] if language else self.languages
        if raw_label in self.labels and (emotion := self.labels[raw_label].emotion) != raw_label:
            return emotion_of_word(emotion) or emotion_of_word(emotion, own) or emotion
        return emotion_of_word(raw_label, own) or raw_label.strip().lower() or None

    def spelled(self, raw_label: str) -> str:
        """Returns a raw label as the entry writes it, if it has it in another case or with spaces for `_`."""
        if raw_label in self.labels:
            return raw_label
        plain = _plain(raw_label)
        same = [label for label in self.labels if _plain(label) == plain]
        return same[0] if len(same) == 1 else raw_label

    @property
    def has_own_layout(self) -> bool:
        """Whether a reader knows the layout of its release, so that it needs no manifest."""
        return self.reader != "manifest"


def _plain(label: str) -> str:
    return label.replace("_", " ").casefold()


class Catalog(dict[str, CatalogEntry]):
    """Entries by id, in alphabetical order.

    Attributes:
        broken: The problems of the entries that can't be used, by id.
    """

    def __init__(self, entries: Mapping[str, CatalogEntry], broken: Mapping[str, str] | None = None) -> None:
        super().__init__(sorted(entries.items()))
        self.broken = dict(broken or {})


Places = str | Path | Sequence[str | Path]
_current: ContextVar[Catalog | None] = ContextVar("catalog", default=None)


def catalog(places: Places | None = None) -> Catalog:
    """Returns all entries by id: the 37 corpora of EmoSet++, others beyond them, `demo`, `manifest`, and your own.

    Args:
        places: Folders with YAML files of your own, or such files. By default those of the surrounding
            [`use_catalog`], or else of the environment variable EXHUBERT_CATALOG, which separates several as PATH does.

    Raises:
        CatalogError: There is no such folder or file. A file with a mistake is only left out, with a warning; whoever
            asks for its corpus gets the error.
    """
    if places is None and (current := _current.get()) is not None:
        return current
    if places is None:
        places = [place for place in os.environ.get(CATALOG_VARIABLE, "").split(os.pathsep) if place]
    # files may be edited while a notebook is open
    states = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in _files(places))
    return _with_own(states) if states else _shipped()


@contextmanager
def use_catalog(places: Places | None = None) -> Iterator[Catalog]:
    """Within the block, [`catalog`] and all that use it know these folders or files; None stands for the present ones.

    Example:

        with use_catalog("my_catalog"):
            build({"my_corpus": "recordings"}, "data/mine")
    """
    chosen = catalog(places)
    token = _current.set(chosen)
    try:
        yield chosen
    finally:
        _current.reset(token)


@cache
def _shipped() -> Catalog:
    return Catalog({path.stem: parse_entry(load_file(path)) for path in _FOLDER.glob("*.yaml")})


def _files(places: Places) -> list[Path]:
    result: dict[Path, None] = {}
    for place in [places] if isinstance(places, (str, Path)) else places:
        path = Path(place).expanduser()
        if not path.exists():
            raise CatalogError(
                f"There is no catalog {path}: give a folder with YAML files of corpora (--catalog, {CATALOG_VARIABLE})."
            )
        found = [path] if path.is_file() else sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        result |= dict.fromkeys(file.absolute() for file in found if not file.name.startswith("."))
    return list(result)


@lru_cache(maxsize=8)
def _with_own(states: tuple[tuple[Path, int, int], ...]) -> Catalog:
    from .own_entries import own_entry  # which needs this module

    entries: dict[str, CatalogEntry] = {}
    broken: dict[str, str] = {}
    files: dict[str, Path] = {}
    for path, _, _ in states:
        corpus = path.stem
        try:
            values = load_file(path)
            corpus = str(values.get("id") or corpus)
            facts = own_entry(values, path, _shipped())
            if corpus in files:
                raise CatalogError(f"{path}: the id {corpus} is that of {files[corpus]}, too; give one another id.")
            entries[corpus] = facts
        except CatalogError as error:
            broken[corpus] = str(error)
            logger.warning(f"{error} The entry isn't used.")
        files.setdefault(corpus, path)
    kept = {corpus: facts for corpus, facts in (_shipped() | entries).items() if corpus not in broken}
    return Catalog(kept, broken)


def emoset_plus_plus() -> list[str]:
    """Returns the ids of the 37 corpora of EmoSet++, those of the paper."""
    paper = {corpus for corpus, facts in _shipped().items() if not facts.beyond and corpus not in NO_CORPORA}
    return [corpus for corpus in catalog() if corpus in paper]


def entry(corpus: str, places: Places | None = None) -> CatalogEntry:
    """Returns the entry of a corpus; for `places` see [`catalog`].

    Raises:
        UnknownCorpusError: The catalog has no such corpus; the message names the nearest ids.
        CatalogError: Its YAML file has a mistake.
    """
    entries = catalog(places)
    if corpus in entries.broken:
        raise CatalogError(entries.broken[corpus])
    if corpus not in entries:
        names = {text.casefold(): facts.id for facts in entries.values() for text in (facts.name, facts.id)}
        close = dict.fromkeys(names[it] for it in difflib.get_close_matches(corpus.casefold(), names, n=3, cutoff=0.4))
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(entries)}."
        raise UnknownCorpusError(
            f"The catalog has no corpus {corpus!r}; {hint} A corpus of your own needs a manifest, or a YAML file in "
            "--catalog."
        )
    return entries[corpus]


def with_columns(facts: CatalogEntry, columns: Columns | None = None, scale: Scale | None = None) -> CatalogEntry:
    """Returns an entry with further columns, which take precedence over its own, and a scale of ratings.

    Raises:
        ValueError: A key is no field, or the scale isn't one.
    """
    given = by_field((columns or {}).items(), facts.name)
    return replace(
        facts,
        columns=by_field(facts.columns.items(), facts.name) | given if given else facts.columns,
        rating_scale=checked_scale(scale) if scale else facts.rating_scale,
    )


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


def parse_entry(content: Mapping[str, Any]) -> CatalogEntry:
    """Returns the entry that a YAML file holds; it isn't checked, see `exhubert.emoset.catalog.problems`."""
    values = dict(content)
    labels = {raw: LabelMap.parse(raw, facts) for raw, facts in (values.pop("labels", None) or {}).items()}
    if paths := values.pop("paths", None):
        lists = {name: tuple(paths[name]) for name in ("variants", "same", "facts") if name in paths}
        suffixes = tuple(paths.get("suffixes", suffixes_of(paths["pattern"])))
        values["paths"] = Layout(**paths | lists | {"suffixes": suffixes})
    if table := values.pop("table", None):
        values["table"] = AnnotationTable(**table)
    values["archives"] = {name: Archive(**facts) for name, facts in (values.pop("archives", None) or {}).items()}
    if scale := values.pop("rating_scale", None):
        values["rating_scale"] = tuple(scale)
    return CatalogEntry(**values, labels=labels)
