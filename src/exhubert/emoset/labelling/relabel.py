"""Opens a built dataset with the labels of a space, computed from what it holds, without building it again."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd

from ...labels import SIX_CLASSES, VALENCES, arousal_valence, class_name, emotion_of_word
from ...records import BuildSummary
from ..catalog import catalog
from .label_spaces import Labels, LabelSpace, class_by_rules, read_space
from .rated import BY_RATINGS, KEYS, RATINGS, dimensions, facts_of, rated_only, scaled_ratings
from .scheme import ALL_CORPORA, check_corpora, check_labels

_FEW = 5  # a class with fewer utterances is remarked on
_SHOWN = 20
_logger = datasets.logging.get_logger(__name__)

LabelMaps = Mapping[str, Mapping[str, Mapping[str, Any]]]  # of `BuildSummary.label_map`, by corpus


@dataclass(frozen=True)
class Chosen:
    """What choosing a label space did to a dataset.

    Attributes:
        space: Name of the label space.
        definition: See [`LabelSpace`].
        classes: Class names in logit order.
        utterances: Number of utterances of each class.
        left_out: Number of utterances without a class, by raw label, as in `"L = boredom"` with its emotion if that is
            another word; the empty label stands for none.
        from_ratings: Number of utterances whose class comes from ratings, as they have no label.
        without_scale: Number of utterances left out that have ratings instead of a label, but no known scale.
        outside_scale: Number of utterances with a rating outside its scale, which isn't used.
    """

    space: str
    definition: str | dict[str, Any]
    classes: list[str]
    utterances: dict[str, int]
    left_out: dict[str, int] = field(default_factory=dict)
    from_ratings: int = 0
    without_scale: int = 0
    outside_scale: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Chosen":
        """Reads what `asdict` made of it; fields that this version doesn't know are ignored."""
        return cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values})

    def notes(self) -> list[str]:
        """Sentences about what a user should know; empty if every utterance has a class."""
        notes = []
        if missing := sum(self.left_out.values()):
            total = missing + sum(self.utterances.values())
            notes.append(
                f"{missing} of {total} utterances {'has' if missing == 1 else 'have'} no class in the label space "
                f"{self.space}: {labels_text(self.left_out)}."
            )
        if self.from_ratings:
            notes.append(f"Class from ratings, for want of a label: {utterances_text(self.from_ratings)}.")
        if self.without_scale:
            notes.append(scale_sentence(self.without_scale))
        if self.outside_scale:
            notes.append(f"Rating outside its scale, and so not used: {utterances_text(self.outside_scale)}.")
        if set(self.classes) != set(SIX_CLASSES):  # which few corpora have all
            few = {name: number for name, number in self.utterances.items() if number < _FEW}
            if empty := [name for name, number in few.items() if not number]:
                notes.append(f"No utterance has the class {' or '.join(empty)}.")
            if rare := {name: number for name, number in few.items() if number}:
                notes.append(f"Classes with hardly any utterances: {labels_text(rare)}.")
        return notes


def labels_text(counts: Mapping[str, int], most: int = _SHOWN) -> str:
    """Labels with their counts, the most frequent first: `"anger (12), no label (3)"`; at most `most` of them."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name or 'no label'} ({number})" for name, number in ordered[:most]]
    return ", ".join(shown) + (f" and {len(ordered) - most} more labels" if len(ordered) > most else "")


def scale_sentence(number: int) -> str:
    """Says that ratings without a scale can't be used, and how to give one."""
    return (
        f"Ratings instead of a label, but on an unknown scale: {utterances_text(number)}. Build again "
        "with the scale, by `--rating_scale 1,5` or as `rating_scale: [1, 5]` in the corpus's catalog entry."
    )


def utterances_text(number: int) -> str:
    """A number of utterances in words: `"1 utterance"`, `"1,200 utterances"`."""
    return f"{number:,} utterance{'s' * (number != 1)}"


def choose(
    data: datasets.DatasetDict,
    summaries: Mapping[str, BuildSummary],
    labels: Labels = "six",
    *,
    classes: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    keep_unlabelled: bool = False,
    source: str | Path = "The dataset",
) -> tuple[datasets.DatasetDict, Chosen]:
    """Gives a dataset the labels of a space, and leaves out what has none.

    Args:
        data: The dataset, with all rows of the build.
        summaries: Summaries of its corpora, by id.
        labels: See [`read_space`].
        classes: See `exhubert.emoset.load`.
        languages: Only utterances in these languages (BCP-47).
        keep_unlabelled: Keep utterances without a class; their `label` is null.
        source: The dataset, for messages.

    Returns:
        The dataset without empty partitions, and what was done.

    Raises:
        ValueError: See [`read_space`]; the file names corpora or labels that don't exist; the classes aren't those of
            the space; or no utterance is left.
    """
    space = read_space(labels)
    maps = {corpus: summary.label_map for corpus, summary in summaries.items()}
    table = pd.concat([facts_of(rows) for rows in data.values()], ignore_index=True)
    if space.own and not isinstance(labels, Mapping):  # what was trained on may lack in what is evaluated
        dropped = {label for summary in summaries.values() for label in summary.dropped_labels}
        check_space(space, table, maps, dropped)
    wanted = table["language"].isin(languages) if languages else pd.Series(True, index=table.index)
    if not wanted.any():
        raise ValueError(f"No utterance of {source} is in the languages {', '.join(languages or ())}.")
    names = classes_of(space, table, maps)
    order = _order(space, names[wanted], classes)
    codes = pd.Categorical(names, categories=order).codes.astype(int)
    chosen = _chosen(space, table[wanted], names[wanted], order)
    kept = wanted.to_numpy() & ((codes >= 0) | keep_unlabelled)
    if not kept.any():
        raise ValueError(f"{source}: {_nothing_left(space, chosen)}")
    result, first = {}, 0
    for part, rows in data.items():
        here = slice(first, first + len(rows))
        first += len(rows)
        if kept[here].any():
            labelled = _labelled(rows, codes[here], order)
            result[part] = labelled if kept[here].all() else labelled.select(np.flatnonzero(kept[here]))
    for note in chosen.notes():
        _say(f"{source}: {note}")
    return datasets.DatasetDict(result), chosen


@cache  # for folds and arms open a dataset many times
def _say(note: str) -> None:
    _logger.warning(note)


def classes_of(space: LabelSpace, table: pd.DataFrame, maps: LabelMaps) -> pd.Series:
    """The class of each row of a table from [`label_facts`]; None for no class.

    Args:
        space: The label space.
        table: From [`label_facts`].
        maps: `BuildSummary.label_map` of each corpus.
    """
    group = np.zeros(len(table), dtype=np.int64)
    for column in KEYS:
        codes, _ = pd.factorize(table[column], use_na_sentinel=False)
        group, _ = pd.factorize(group * (codes.max(initial=0) + 1) + codes)
    _, first = np.unique(group, return_index=True)
    known = table.loc[first, list(KEYS)].astype(object)
    rows = known.where(known.notna(), None).to_dict("records")
    raw_labels: dict[str, set[str]] = {corpus: set(labels) for corpus, labels in maps.items()}
    for row in rows:
        raw_labels.setdefault(row["corpus"], set()).add(row["raw_label"])
    by_group = np.array([_class_of(space, row, maps, raw_labels) for row in rows] or [None], dtype=object)
    names = pd.Series(by_group[group], index=table.index, dtype=object)
    rated = rated_only(table)
    if rated.any() and (rule := BY_RATINGS.get(space.kind)):
        names[rated] = rule(*dimensions(table[rated]))
    return names


def _class_of(
    space: LabelSpace, row: Mapping[str, Any], maps: LabelMaps, raw_labels: Mapping[str, Collection[str]]
) -> str | None:
    """Class of a combination of the `KEYS`."""
    raw, corpus = row["raw_label"] or "", row["corpus"]
    facts = maps.get(corpus, {}).get(raw, {})
    six = None if row["label"] is None else SIX_CLASSES[int(row["label"])]
    if raw and space.rules:
        emotion = _emotion(row, facts)
        named, name = class_by_rules(space.rules, corpus, raw, emotion, raw_labels[corpus])
        if named or space.kind in ("native", "map"):
            return name if named else emotion if space.kind == "native" else None
    if space.kind == "alternative":
        return facts.get("alternative") or six
    if space.kind in ("corpus_valence", "valence"):
        arousal, valence = arousal_valence(six) if six else (facts.get("arousal"), None)
        annotated = row["sentiment"] if row["sentiment"] in VALENCES else None
        if space.kind == "valence":
            return valence or annotated
        return class_name(arousal, annotated) if arousal and annotated else six
    if space.kind == "arousal":
        return arousal_valence(six)[0] if six else None
    return six if space.kind == "six" else None


def _emotion(row: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Emotion of a row with a label; datasets of earlier versions have no column for it."""
    word = row["emotion"] or facts.get("emotion")
    if word:
        return emotion_of_word(word) or word
    raw, language = row["raw_label"], row["language"]
    return emotion_of_word(raw, [language] if language else ()) or raw.strip().lower()


def check_space(space: LabelSpace, table: pd.DataFrame, maps: LabelMaps, dropped: Collection[str]) -> None:
    """Raises `ValueError` if a user's space names a corpus or label that doesn't exist, with the nearest one.

    Args:
        space: A space whose rules are a user's.
        table: From [`label_facts`], all utterances that were opened.
        maps: `BuildSummary.label_map` of each corpus of the dataset.
        dropped: Labels without a class of all its corpora, opened or not.
    """
    path = Path(space.name)
    check_corpora(path, space.rules, [*catalog(), *maps], "in the catalog or in the dataset")
    pairs = table[["corpus", "raw_label", "emotion"]].drop_duplicates().astype(object).fillna("")
    known: dict[str, set[str]] = {}
    for corpus, raw, emotion in pairs.itertuples(index=False):
        known.setdefault(corpus, set()).update((raw, emotion))
    for corpus, lines in space.rules.items():
        labels = {label: facts["emotion"] for label, facts in maps.get(corpus, {}).items()}
        if corpus in catalog():
            labels |= {label: facts.emotion for label, facts in catalog()[corpus].labels.items()}
        names = known.get(corpus, set()) | {*labels, *labels.values()}
        if corpus == ALL_CORPORA:
            names = {name for each in known.values() for name in each} | {
                name for facts in maps.values() for label, fact in facts.items() for name in (label, fact["emotion"])
            }
            names |= set(dropped)
        elif corpus not in known and not labels:
            continue  # a corpus that wasn't opened, whose labels nobody knows
        emotions = {emotion_of_word(name) or name for name in names}
        # a word for an emotion is no typo, though these corpora may lack it
        missing = [key for key in lines if key not in names and emotion_of_word(key) not in emotions]
        missing = [key for key in missing if corpus != ALL_CORPORA or emotion_of_word(key) is None]
        check_labels(path, {corpus: dict.fromkeys(missing)}, corpus, names - {""})


def _order(space: LabelSpace, names: pd.Series, classes: Sequence[str] | None) -> list[str]:
    """Class names in logit order."""
    if classes is None:
        return list(space.classes) if space.classes else sorted(names.dropna().unique())
    if space.classes and set(classes) != set(space.classes):
        raise ValueError(
            f"The label space {space.name} has the classes {', '.join(space.classes)}, not {', '.join(classes)}. "
            "Choose the one that has them with `labels` (`--labels`)."
        )
    return list(classes)


def _chosen(space: LabelSpace, table: pd.DataFrame, names: pd.Series, order: Sequence[str]) -> Chosen:
    labelled = names.isin(order)
    counts = names[labelled].value_counts()
    missing = table.loc[~labelled]
    rated = rated_only(table)
    scaled = table["scale_low"].notna() & table["scale_high"].notna()
    return Chosen(
        space.short_name,
        space.definition,
        list(order),
        {name: int(counts.get(name, 0)) for name in order},
        dict(sorted(Counter(_told(missing)).items())),
        int((labelled & rated).sum()),
        int((~labelled & rated & ~scaled).sum()) if space.kind in BY_RATINGS else 0,
        int((table[list(RATINGS)].notna() & scaled_ratings(table).isna()).any(axis=1)[scaled].sum()),
    )


def _told(table: pd.DataFrame) -> Iterator[str]:
    """Raw labels, with the emotions of those that are codes or words of another language."""
    pairs = table[["raw_label", "emotion"]].astype(object).fillna("").itertuples(index=False)
    for raw, emotion in pairs:
        yield raw if emotion in ("", raw.strip().lower()) else f"{raw} = {emotion}"


def _nothing_left(space: LabelSpace, chosen: Chosen) -> str:
    return (
        f"no utterance has a class in the label space {space.name} ({', '.join(chosen.classes) or 'without classes'}). "
        f"The labels are: {labels_text(chosen.left_out)}. {_remedy(space, chosen)}"
    )


def _remedy(space: LabelSpace, chosen: Chosen) -> str:
    if chosen.without_scale:
        return scale_sentence(chosen.without_scale)
    if not any(chosen.left_out):
        return "Without labels, only ratings give a class: choose `arousal`, `valence` or `six` (`--labels`)."
    native = "" if space.kind == "native" else ", or open it with labels='native', where every label is a class"
    return (
        "Give the classes of these labels in a YAML file, such as `'*': {LABEL: anger}`, by `labels` (`--labels`)"
        f"{native}."
    )


def _labelled(rows: datasets.Dataset, codes: np.ndarray, order: list[str]) -> datasets.Dataset:
    """The rows with these labels, -1 for none; unchanged where the build stored the same."""
    stored = rows.with_format("arrow")["label"][:].to_pandas().fillna(-1).to_numpy()
    if order == list(SIX_CLASSES) and (stored == codes).all():
        return rows
    columns: dict[str, tuple[list[Any], Any]] = {
        "label": ([int(code) if code >= 0 else None for code in codes], datasets.ClassLabel(names=order))
    }
    if set(order) == set(SIX_CLASSES):
        pairs = [arousal_valence(order[code]) if code >= 0 else (None, None) for code in codes]
        for index, name in enumerate(("arousal", "valence")):
            columns[name] = [pair[index] for pair in pairs], datasets.Value("string")
    names = rows.column_names
    rows = rows.remove_columns([name for name in columns if name in names])
    for name, (values, feature) in columns.items():
        rows = rows.add_column(name, values, feature=feature)
    return rows.select_columns(names)
