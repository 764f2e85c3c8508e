"""Lists the utterances of a corpus without decoding audio: class, partition and id, with duplicates set aside."""

import contextlib
import gc
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import pairwise
from pathlib import Path

import datasets
import numpy as np

from ..audio_windows import SAMPLING_RATE
from ..labels import SIX_CLASSES
from .catalog import CatalogEntry, UnknownCorpusError, catalog, entry, with_columns, with_scheme
from .catalog.column_map import Columns, Scale, by_corpus
from .catalog.corpus_names import slug
from .checks.duplicates import without_duplicates
from .dealing.partition import FEW_SPEAKERS, check_leakage, partition
from .dealing.speakers import people_of, speaker_key, unify_speakers
from .hub_dataset import local_folder
from .labelling.relabel import utterances_text
from .labelling.scheme import ALL_CORPORA, SCHEMES, Scheme, check_corpora, check_labels, read_scheme
from .readers import has_emotion_folders, own_form, read, told_corpus
from .readers.own import OwnForm
from .record import Record, Utterance, source_file, stem, utterance_id
from .recording import file_size_and_change, size_and_change

_FORM = 1  # bump when unchanged recordings would yield different rows

FEATURES = datasets.Features(
    {
        "audio": datasets.Audio(sampling_rate=SAMPLING_RATE),
        "corpus": datasets.Value("string"),
        "utterance_id": datasets.Value("string"),
        "speaker": datasets.Value("string"),
        "gender": datasets.Value("string"),
        "age": datasets.Value("string"),
        "language": datasets.Value("string"),
        "raw_label": datasets.Value("string"),
        "emotion": datasets.Value("string"),
        "label": datasets.ClassLabel(names=list(SIX_CLASSES)),
        "arousal": datasets.Value("string"),
        "valence": datasets.Value("string"),
        "partition": datasets.Value("string"),
        "published_partition": datasets.Value("string"),
        "duration": datasets.Value("float32"),
        "source_sampling_rate": datasets.Value("int32"),
        "source_file": datasets.Value("string"),
        "start": datasets.Value("float32"),
        "end": datasets.Value("float32"),
        "channel": datasets.Value("int32"),
        "session": datasets.Value("string"),
        "dialogue": datasets.Value("string"),
        "text": datasets.Value("string"),
        "intensity": datasets.Value("string"),
        "take": datasets.Value("string"),
        "sentiment": datasets.Value("string"),
        "arousal_rating": datasets.Value("float32"),
        "valence_rating": datasets.Value("float32"),
        "dominance_rating": datasets.Value("float32"),
        "rating_scale": datasets.List(datasets.Value("float32")),
        "votes": datasets.List(
            {
                "rater": datasets.Value("string"),
                "label": datasets.Value("string"),
                "arousal": datasets.Value("float32"),
                "valence": datasets.Value("float32"),
                "dominance": datasets.Value("float32"),
                "count": datasets.Value("int32"),
            }
        ),
        "other": datasets.Value("string"),
    }
)


@dataclass(frozen=True)
class Listing:
    """The contents of a corpus, before any audio is decoded.

    Attributes:
        entry: The catalog entry, with the label map used.
        root: Folder of the corpus.
        utterances: Utterances to build.
        rejected: Utterances set aside, with the reason: `{"file", "raw_label", "reason"}`.
        dropped: Raw labels that map to no class, with their counts. Their utterances are kept without a class.
        rule: The rule that made the partitions, see `exhubert.emoset.dealing.partition`.
        merged_speakers: Other spellings of each speaker's name that had several.
        not_speakers: Names of speakers that aren't a person's, such as `unknown`, with their counts.
        notes: What users should know of where the corpus is from, its partitions and labels, one sentence each.
    """

    entry: CatalogEntry
    root: Path
    utterances: list[Utterance]
    rejected: list[dict[str, str]]
    dropped: dict[str, int]
    rule: str
    merged_speakers: dict[str, list[str]] = field(default_factory=dict)
    not_speakers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def fingerprint(self) -> str:
        """Hash that changes with any file, label, partition or catalog fact, and with the form of the rows."""
        names_of_speakers = (self.merged_speakers, self.not_speakers)
        facts = (FEATURES, _FORM, self.entry, self.rejected, self.dropped, self.rule, names_of_speakers)
        digest = hashlib.sha256(repr(facts).encode())
        names = [item.name for item in fields(Record) if item.name != "path"]
        for item in self.utterances:
            record = [getattr(item.record, name) for name in names]
            values = (item.source_file, item.size, item.modified, item.class_name, item.partition, *record)
            digest.update(repr(values).encode())
        return digest.hexdigest()


def corpus_entry(corpus: str, root: Path) -> CatalogEntry:
    """Returns the catalog entry of a corpus, or that of `manifest` for your own corpus under any other name.

    A corpus of the catalog in another form than its publisher's may also have emotion words as labels. What your own
    corpus tells about itself, such as its licence, fills the fields of the entry.
    """
    form = own_form(root)
    if corpus in catalog() or corpus in catalog().broken:
        return replace(entry(corpus), reader="manifest") if form else entry(corpus)
    if form:
        told = told_corpus(form, root)
        facts = {"reader": "manifest"} if told else dict(form.facts(root))
        return replace(entry(told or "manifest"), **(facts | {"id": corpus, "name": corpus}))
    try:
        return entry(corpus)
    except UnknownCorpusError as error:
        if has_emotion_folders(root):
            return replace(entry("manifest"), id=corpus, name=corpus, reader="by_folder")
        lack = (
            "holds no manifest (manifest.csv with the columns file,label,speaker)" if root.is_dir() else "is no folder"
        )
        raise UnknownCorpusError(f"{error} {root} {lack}.") from None


def list_corpus(
    corpus: str,
    root: str | Path,
    seed: int = 0,
    scheme: str | Path = "default",
    encoding: str | None = None,
    columns: Columns | None = None,
    rating_scale: Scale | None = None,
) -> Listing:
    """Lists a corpus, maps its labels, sets duplicates aside and partitions it by speaker. Decodes no audio.

    Args:
        corpus: Id in the catalog, or any name for a folder with a manifest.
        root: Folder of the corpus.
        seed: Seed of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        encoding: Encoding of the manifest or annotation files; found out by default.
        columns: Columns of its table with other than usual names, see
            `exhubert.emoset.catalog.column_map.find_columns`.
        rating_scale: Lowest and highest value of its ratings.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or contains no file in the corpus's layout.
        ValueError: The manifest, encoding, map of columns or scheme is invalid.
        LeakageError: A speaker, or the same recording, is in two partitions.
    """
    listings = list_source(corpus, root, seed, scheme, encoding, columns, rating_scale)
    if len(listings) > 1:
        raise ValueError(f"{root} holds several corpora ({', '.join(listings)}); list_corpora lists them all.")
    return next(iter(listings.values()))


def list_source(
    corpus: str,
    root: str | Path,
    seed: int = 0,
    scheme: str | Path = "default",
    encoding: str | None = None,
    columns: Columns | None = None,
    rating_scale: Scale | None = None,
) -> dict[str, Listing]:
    """Lists a corpus as [`list_corpus`], or each of the corpora that one source, such as a Hugging Face dataset, holds.

    Returns:
        The listings by the id of the corpus: the one given; of several corpora, their ids in the catalog, or else their
        names as ids.
    """
    root = local_folder(root)
    known = with_columns(corpus_entry(corpus, root), columns, rating_scale)
    form = own_form(root)
    by_corpus: dict[str | None, list[Record]] = {}
    for record in read(known, root, encoding):
        by_corpus.setdefault(record.corpus, []).append(record)
    entries = {name: _entry_of_part(known, name, len(by_corpus) > 1) for name in by_corpus}
    listings = {}
    for name, records in sorted(by_corpus.items(), key=lambda item: entries[item[0]].id):
        facts = entries[name]
        if facts.id in listings:
            raise ValueError(f"{root} names two corpora whose id would be {facts.id}; rename one of them.")
        listings[facts.id] = _list(facts, root, form, records, seed, scheme)
    if len(listings) > 1:
        origin = f"one of {len(listings)} corpora in {corpus}"
        listings = {name: replace(item, notes=[origin, *item.notes]) for name, item in listings.items()}
    return listings


def _entry_of_part(known: CatalogEntry, name: str | None, several: bool) -> CatalogEntry:
    """Returns the entry of the rows of a source that name a corpus, which keeps the given id if there is no other."""
    if name is None or known.id == name:
        return known
    if name in catalog():
        facts = replace(
            entry(name),
            reader="manifest",
            columns=known.columns,
            rating_scale=known.rating_scale or entry(name).rating_scale,
        )
        if several:
            return facts
        return replace(facts, id=known.id) if known.id not in catalog() else known
    if not several:
        return known
    own = (
        known
        if known.id not in catalog()
        else replace(entry("manifest"), columns=known.columns, rating_scale=known.rating_scale)
    )
    identifier = slug(name) or f"{known.id}-{hashlib.sha1(name.encode()).hexdigest()[:6]}"
    return replace(own, id=identifier, name=name)


def _list(
    known: CatalogEntry, root: Path, form: OwnForm | None, found: list[Record], seed: int, scheme: str | Path
) -> Listing:
    """Lists the records of one corpus."""
    facts = with_scheme(known, scheme)
    records, merged, nobody = unify_speakers(found)
    labels = {*known.labels, *(item.raw_label for item in records)}
    check_labels(Path(scheme), _own_scheme(scheme), known.id, labels)
    class_of = cache(facts.class_of)
    classes = [class_of(record.raw_label, record.sentiment, record.language) for record in records]
    dropped = Counter(
        record.raw_label for record, name in zip(records, classes, strict=True) if name is None and record.raw_label
    )
    balanced = [name or record.raw_label for record, name in zip(records, classes, strict=True)]
    chosen_partitions = form is not None and form.chosen_partitions
    parts, rule = partition(records, balanced, seed, trust_official=chosen_partitions)
    _check_people(records, parts, f"speakers of {facts.name}", merged, FEW_SPEAKERS in rule)
    rejected = [
        rejection(root, record, f"several persons speak who are in different partitions: {record.speaker}")
        for record, part in zip(records, parts, strict=True)
        if part is None
    ]
    notes = [] if form is None or chosen_partitions else _notes(records, rule)
    notes += _notes_on_labels(records, root.as_posix())
    chosen = [(record, name, part) for record, name, part in zip(records, classes, parts, strict=True) if part]
    del records, classes, balanced, parts  # of a million utterances
    utterances = _utterances(facts.id, root, chosen)
    utterances, repeated = without_duplicates(utterances, chosen_partitions=form is None or chosen_partitions)
    rejected += [rejection(root, record, reason) for record, reason in repeated]
    listed = dict(sorted(dropped.items()))
    return Listing(facts, root, utterances, rejected, listed, rule, merged, nobody, notes)


def _notes_on_labels(records: Sequence[Record], root: str) -> Iterator[str]:
    """Says which utterances have nothing to take a class from."""
    if bare := [record for record in records if not record.raw_label and _ratings(record) == {None}]:
        example = source_file(root, bare[0])
        yield f"neither label nor ratings, kept without a class: {utterances_text(len(bare))}, such as {example}"
    if outside := list(filter(_is_outside, records)):
        example = source_file(root, outside[0])
        yield f"rating outside its scale, and so not used: {utterances_text(len(outside))}, such as {example}"


def _ratings(record: Record) -> set[float | None]:
    return {record.arousal, record.valence, record.dominance}


def _is_outside(record: Record) -> bool:
    if record.rating_scale is None:
        return False
    low, high = record.rating_scale
    return any(rating is not None and not low <= rating <= high for rating in _ratings(record))


def _notes(records: Sequence[Record], rule: str) -> list[str]:
    """Says what became of published partitions that nobody chose for this purpose."""
    published = [record for record in records if record.partition]
    if not published:
        return []
    if "official" in rule:
        if any(record.speaker is None for record in published):
            return ["the published partitions are kept, and nobody knows whether they share speakers"]
        return []
    parts: dict[str, set[str | None]] = {}
    for record in published:
        if record.speaker is not None:
            parts.setdefault(record.speaker, set()).add(record.partition)
    shared = sum(len(places) > 1 for places in parts.values())
    what = f"{shared} of {len(parts)} speakers" if shared else "speakers who speak together, or groups of utterances"
    return [f"the published partitions share {what}, so all rows are dealt anew by speaker"]


def _check_people(
    records: list[Record],
    parts: Sequence[str | None],
    what: str,
    merged: dict[str, list[str]],
    few: bool,
) -> None:
    """Raises `LeakageError` if a person is in two partitions, alone or together with others.

    Args:
        records: The utterances.
        parts: The partition of each, or None.
        what: What the persons are, for the message.
        merged: Other spellings of names, which the message also names.
        few: Whether the rule for few speakers may divide one of them between train and validation.
    """
    names = {speaker_key(record.speaker): record.speaker for record in records if record.speaker is not None}
    others: dict[str, dict[str, None]] = {name: dict.fromkeys(merged.get(name, ())) for name in names.values()}
    people = people_of([record.speaker for record in records], [record.dialogue for record in records])
    rows: dict[tuple[str, str | None], None] = {}
    spoken = zip((record.speaker for record in records), people, parts, strict=True)
    for speaker, persons, part in dict.fromkeys(spoken):
        for name in dict.fromkeys([speaker, *(names.get(person) for person in persons)]):
            if name is not None:
                rows[name, part] = None
                if speaker is not None and speaker != name:
                    others[name][speaker] = None
    shown = {name: f"{name}, also written {', '.join(more)}," if more else name for name, more in others.items()}
    keys = [shown[name] for name, _ in rows]
    check_leakage(keys, [part for _, part in rows], what, set(keys) if few else ())


def list_corpora(
    roots: Mapping[str, str | Path],
    seed: int = 0,
    scheme: str | Path = "default",
    *,
    encoding: str | Mapping[str, str] | None = None,
    columns: Columns | Mapping[str, Columns] | None = None,
    rating_scale: Scale | Mapping[str, Scale] | None = None,
) -> dict[str, Listing]:
    """Lists corpora, see [`list_corpus`], and refuses a label scheme that names none of their labels.

    Args:
        roots: Folder of each corpus, by its id in the catalog; any other name for a folder with a manifest.
        seed: Seed of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        encoding: Encoding of manifests and annotation files, or that of each corpus, by its id.
        columns: Columns of tables with other than usual names, `{"label": "emo"}`, or those of each corpus, by its id.
        rating_scale: Lowest and highest value of ratings, or those of each corpus, by its id.

    Raises:
        KeyError, FileNotFoundError, LeakageError: See [`list_corpus`].
        ValueError: Likewise, or the scheme names a corpus that is neither in the catalog nor in `roots`, or a label
            that the corpus, built now or not, doesn't have (for `*`: none of `roots`); or an encoding is given for
            another corpus, or columns are for a corpus without a table.
    """
    columns_of, scales = settings_of_tables(roots, columns, rating_scale)
    encodings = encoding if isinstance(encoding, Mapping) else dict.fromkeys(roots, encoding)
    if strangers := sorted(encodings.keys() - roots.keys()):
        raise ValueError(f"An encoding is given for {', '.join(strangers)}, but the corpora are {', '.join(roots)}.")
    own_scheme = _own_scheme(scheme)
    for corpus, facts in catalog().items():
        if corpus not in roots and facts.has_own_layout:  # nothing else than its labels can be on disk
            check_labels(Path(scheme), own_scheme, corpus, facts.labels)
    listings: dict[str, Listing] = {}
    with _collection_paused():
        for corpus, root in roots.items():
            parts = list_source(
                corpus, root, seed, scheme, encodings.get(corpus), columns_of.get(corpus), scales.get(corpus)
            )
            if twice := sorted(listings.keys() & parts.keys()):
                raise ValueError(
                    f"{twice[0]} is both in {listings[twice[0]].root} and in {parts[twice[0]].root}. Build one of "
                    "them, or each into a folder of its own."
                )
            listings |= parts
    check_corpora(Path(scheme), own_scheme, [*catalog(), *listings])
    labels = {label for corpus, listing in listings.items() for label in _raw_labels(corpus, listing)}
    check_labels(Path(scheme), own_scheme, ALL_CORPORA, labels)
    return listings


def settings_of_tables(
    roots: Mapping[str, str | Path],
    columns: Columns | Mapping[str, Columns] | None,
    rating_scale: Scale | Mapping[str, Scale] | None,
) -> tuple[dict[str, Columns], dict[str, Scale]]:
    """Returns the columns and the scale that are given for each corpus, see [`list_corpora`].

    What isn't given for one corpus holds for tables of one's own, not for corpora in their publishers' layouts.

    Raises:
        ValueError: They are given for corpora that aren't there or have no table.
    """
    forms = {corpus: own_form(Path(root)) for corpus, root in roots.items()} if columns or rating_scale else {}
    own = [corpus for corpus, form in forms.items() if form]
    tables = [corpus for corpus, form in forms.items() if form and form.has_columns]
    maps = by_corpus(columns, roots, tables, "A map of columns")
    for corpus in maps:
        known = catalog().get(corpus)
        if corpus not in tables and Path(roots[corpus]).is_dir() and (known is None or known.table is None):
            form = forms[corpus]
            how = f"it has {form.name}" if form else "its recordings are read by their publisher's layout"
            raise ValueError(
                f"A map of columns is given for {corpus}, but {roots[corpus]} has no table: {how}. Leave out the map, "
                "or put a manifest.csv there."
            )
    return maps, by_corpus(rating_scale, roots, own, "A scale of ratings")


@contextlib.contextmanager
def _collection_paused() -> Iterator[None]:
    """Keeps the garbage collector from looking for cycles in millions of records, which have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _own_scheme(scheme: str | Path) -> Scheme:
    return {} if scheme in SCHEMES else read_scheme(Path(scheme))


def _raw_labels(corpus: str, listing: Listing) -> set[str]:
    """Returns the raw labels on disk and in the catalog, without those that only a scheme names."""
    used = {item.record.raw_label for item in listing.utterances} | {line["raw_label"] for line in listing.rejected}
    return used.union(entry(corpus).labels if corpus in catalog() else ())


def rejection(root: Path, record: Record, reason: str) -> dict[str, str]:
    """Returns a line of `rejected.jsonl`; its paths are relative, so that they are the same on every machine."""
    reason = reason.replace(f"{root}{os.sep}", "")
    return {"file": source_file(root.as_posix(), record), "raw_label": record.raw_label, "reason": reason}


def _utterances(corpus: str, root: Path, chosen: Sequence[tuple[Record, str | None, str]]) -> list[Utterance]:
    """Makes utterances of records with their class and partition."""
    folder = root.as_posix()
    of_file = lru_cache(2**16)(file_size_and_change)
    status = partial(size_and_change, of_file=of_file)
    doubled = _with_equal_ids(corpus, folder, [record for record, _, _ in chosen])
    return [
        Utterance(record, corpus, folder, *status(record), name, part, index in doubled)
        for index, (record, name, part) in enumerate(chosen)
    ]


def _with_equal_ids(corpus: str, root: str, records: Sequence[Record]) -> set[int]:
    """Returns the indices of records whose ids need the suffix of the file, because two files have the same id."""
    # hashes first, because few of a million files have the same name but for the suffix
    hashes = np.fromiter((hash(stem(source_file(root, record))) for record in records), np.int64, len(records))
    new_file = np.array([True, *(one.path != other.path or one.row != other.row for one, other in pairwise(records))])
    _, first, counts = np.unique(hashes[new_file[: len(records)]], return_index=True, return_counts=True)
    several = set(hashes[new_file[: len(records)]][first[counts > 1]].tolist())
    files: dict[str, set[str]] = {}
    indices: dict[str, list[int]] = {}
    for index in np.flatnonzero(np.isin(hashes, list(several))).tolist() if several else ():
        file = source_file(root, records[index])
        name = utterance_id(corpus, file, records[index])
        files.setdefault(name, set()).add(file)
        indices.setdefault(name, []).append(index)
    return {index for name, own in files.items() if len(own) > 1 for index in indices[name]}
