"""Label spaces: the classes that a dataset is opened with, computed from what its corpora say, without building again."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from ..labels import AROUSALS, SIX_CLASSES, VALENCES, arousal_valence, class_name, emotion_of_word
from ..records import BuildSummary
from .catalog import catalog
from .scheme import ALL_CORPORA, CLASSES, Scheme, check_corpora, check_labels, nearest, read_map

SPACES = ("six", "native", "four", "arousal", "valence", "alternative", "corpus_valence")
Labels = str | Path | Mapping[str, Any]

_FILE = Path(__file__).with_name("label_spaces.yaml")
_FIXED = {"arousal": AROUSALS, "valence": VALENCES, "native": None}  # the others of those computed here have six classes
_KEYS = ("corpus", "raw_label", "emotion", "language", "sentiment", "label")
_RATINGS = ("arousal_rating", "valence_rating")
COLUMNS = (*_KEYS, *_RATINGS, "rating_scale")  # those of the dataset that decide on the class
_FEW = 5
_SHOWN = 20
_logger = datasets.logging.get_logger(__name__)

LabelMaps = Mapping[str, Mapping[str, Mapping[str, Any]]]  # of `BuildSummary.label_map`, by corpus


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a head, and how they follow from the labels of the corpora.

    Attributes:
        name: One of `SPACES`, or the path of a file.
        kind: One of `SPACES`, or `map` for a map from labels or emotions to classes.
        classes: In logit order; None for those that occur, in alphabetical order.
        rules: Class of each label or emotion of each corpus, or of `*`, before anything else; None for no class.
        own: Whether the rules are a user's.
    """

    name: str
    kind: str
    classes: tuple[str, ...] | None
    rules: Scheme = field(default_factory=dict)
    own: bool = False

    @property
    def short_name(self) -> str:
        """The name, or that of the file without its folder."""
        return Path(self.name).name

    @property
    def definition(self) -> str | dict[str, Any]:
        """The name, or for a user's space its content: what [`read_space`] makes the same space of, without the file."""
        if not self.own:
            return self.name
        return {"name": self.short_name, CLASSES: list(self.classes or ()), "rules": self.rules}


@dataclass(frozen=True)
class Chosen:
    """What choosing a label space did to a dataset.

    Attributes:
        space: Name of the label space.
        definition: See [`LabelSpace`].
        classes: Class names in logit order.
        utterances: Number of utterances of each class.
        left_out: Number of utterances without a class, by raw label; the empty label stands for none.
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

    def notes(self) -> list[str]:
        """Sentences about what a user should know; empty if every utterance has a class."""
        notes = []
        if missing := sum(self.left_out.values()):
            total = missing + sum(self.utterances.values())
            notes.append(
                f"{missing} of {total} utterances have no class in the label space {self.space}: "
                f"{labels_text(self.left_out)}."
            )
        if self.from_ratings:
            notes.append(f"{self.from_ratings} utterances have no label; their class comes from ratings.")
        if self.without_scale:
            notes.append(scale_sentence(self.without_scale))
        if self.outside_scale:
            notes.append(f"{self.outside_scale} utterances have a rating outside its scale, which isn't used.")
        if self.space != "six":
            few = {name: number for name, number in self.utterances.items() if number < _FEW}
            if empty := [name for name, number in few.items() if not number]:
                notes.append(f"No utterance has the class {' or '.join(empty)}.")
            if rare := {name: number for name, number in few.items() if number}:
                notes.append(f"Classes with hardly any utterances: {labels_text(rare)}.")
        return notes


def labels_text(counts: Mapping[str, int]) -> str:
    """Labels with their counts, the most frequent first: `"anger (12), no label (3)"`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name or 'no label'} ({number})" for name, number in ordered[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(ordered) - _SHOWN} more labels" if len(ordered) > _SHOWN else "")


def scale_sentence(number: int) -> str:
    """Says that ratings without a scale can't be used, and how to give one."""
    return (
        f"{number} utterances have ratings instead of a label, but the scale of the ratings isn't known. Give it in the "
        "corpus's catalog entry, such as `rating_scale: [1, 5]`, and build again."
    )


def read_space(labels: Labels) -> LabelSpace:
    """Reads a label space.

    - `six`: the class that the build stored.
    - `alternative`: each label's other defensible class of the six, if the catalog names one.
    - `corpus_valence`: of the six, with the valence that the corpus annotates by a word, such as MELD's Sentiment.
    - `arousal`: `low` and `high`, of the six.
    - `valence`: `negative`, `neutral` and `positive`, of the six; else by the word that the corpus annotates.
    - `native`: the emotions of the corpora in English, all forms of one joined; other labels as they are.
    - `four`: anger, happiness, neutral and sadness; IEMOCAP's excitement is happiness.
    - a YAML file: corpus ids, or `*` for all, each with `raw label or emotion word: class`, with null for no class; and
      `classes: [...]` for their order, else that of the file. Labels that it doesn't name have no class; but a file
      without `classes` that names none but the six changes those: labels it doesn't name keep theirs.

    An utterance that has ratings instead of a label gets arousal and valence from them, if their scale is known: high
    arousal is above the middle of the scale, and the valences are its thirds.

    Args:
        labels: One of `SPACES`, the path of a file, or the `definition` of a space.

    Raises:
        ValueError: There is no such space or file, the file isn't such a map, or its classes don't fit its lines.
    """
    if isinstance(labels, Mapping):
        return _own_space(labels["name"], labels["rules"], labels[CLASSES])
    if labels in _FIXED:
        classes = _FIXED[str(labels)]
        return LabelSpace(str(labels), str(labels), classes, _shipped()["native"] if classes is None else {})
    if labels in ("six", "alternative", "corpus_valence"):
        return LabelSpace(str(labels), str(labels), SIX_CLASSES)
    if labels == "four":
        rules = dict(_shipped()["four"])
        return LabelSpace("four", "map", tuple(rules.pop(CLASSES)), rules)
    path = Path(labels)
    if not path.is_file():
        hint = nearest(str(labels), SPACES)
        raise ValueError(f"No label space {str(labels)!r}: expected {', '.join(SPACES)}, or a YAML file.{hint}")
    return _own_space(str(path), *read_map(path))


@cache
def _shipped() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def _own_space(name: str, rules: Scheme, order: Sequence[str] | None) -> LabelSpace:
    used = list(dict.fromkeys(each for lines in rules.values() for each in lines.values() if each is not None))
    if not rules:
        raise ValueError(f"{name} maps no label to a class; expected corpus ids, or *, with `label: class` lines.")
    if order is None and set(used) <= set(SIX_CLASSES):
        return LabelSpace(name, "six", SIX_CLASSES, rules, own=True)
    classes = list(order or used)
    if strange := [each for each in used if each not in classes]:
        raise ValueError(f"{name}: the class {strange[0]!r} isn't among `{CLASSES}`.{nearest(strange[0], classes)}")
    is_change_of_six = classes == list(SIX_CLASSES)
    if idle := [each for each in classes if each not in used and not is_change_of_six]:
        raise ValueError(f"{name}: no label is mapped to {', '.join(map(repr, idle))} of `{CLASSES}`.")
    if len(classes) < 2:
        raise ValueError(f"{name} has the class {', '.join(classes) or 'none'}, but a classifier needs at least two.")
    return LabelSpace(name, "six" if is_change_of_six else "map", tuple(classes), rules, own=True)


def space_of_classes(classes: Sequence[str]) -> str | dict[str, Any] | None:
    """The label space that has these classes in any order, as `read_space` takes it; None if there is none.

    Classes that are words for different emotions make a space of their own: `angry` has the utterances of anger.

    >>> space_of_classes(["high", "low"])
    'arousal'
    >>> space_of_classes(["Angry", "calm"])["rules"]
    {'*': {'anger': 'Angry', 'calm': 'calm'}}
    """
    fixed = {name: read_space(name).classes for name in SPACES}
    if name := next((name for name, own in fixed.items() if own and set(own) == set(classes)), None):
        return name
    emotions = {emotion_of_word(each): each for each in classes}
    if None in emotions or len(emotions) < len(classes):
        return None
    return {"name": "emotions", CLASSES: list(classes), "rules": {ALL_CORPORA: emotions}}


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
    table = pd.concat([_facts_of(rows) for rows in data.values()], ignore_index=True)
    if space.own and not isinstance(labels, Mapping):  # what was trained on may lack in what is evaluated
        check_space(space, table, maps)
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


def _facts_of(rows: datasets.Dataset) -> pd.DataFrame:
    columns = [name for name in COLUMNS if name in rows.column_names]
    return label_facts(rows.with_format("arrow").select_columns(columns)[:])


def ratings_of(rows: datasets.Dataset) -> pd.DataFrame:
    """`arousal_rating` and `valence_rating` of a built dataset's rows, see [`scaled_ratings`]."""
    return scaled_ratings(_facts_of(rows))


@cache  # for folds and arms open a dataset many times
def _say(note: str) -> None:
    _logger.warning(note)


def label_facts(table: pa.Table) -> pd.DataFrame:
    """The columns of a built dataset that decide on the class, one row per utterance; columns it lacks are null.

    Returns:
        `corpus`, `raw_label`, `emotion`, `language`, `sentiment`, `label` (index of the six classes), `arousal_rating`
        and `valence_rating` on the scale from `scale_low` to `scale_high`.
    """
    facts = table.select([name for name in (*_KEYS, *_RATINGS) if name in table.column_names]).to_pandas()
    facts = facts.reindex(columns=[*_KEYS, *_RATINGS])
    facts[["scale_low", "scale_high"]] = np.nan
    if "rating_scale" in table.column_names and table["rating_scale"].null_count < len(table):
        scales = [scale if scale and len(scale) == 2 else (np.nan, np.nan) for scale in table["rating_scale"].to_pylist()]
        facts[["scale_low", "scale_high"]] = np.array(scales, dtype=float)
    return facts


def classes_of(space: LabelSpace, table: pd.DataFrame, maps: LabelMaps) -> pd.Series:
    """The class of each row of a table from [`label_facts`]; None for no class.

    Args:
        space: The label space.
        table: From [`label_facts`].
        maps: `BuildSummary.label_map` of each corpus.
    """
    group = np.zeros(len(table), dtype=np.int64)
    for column in _KEYS:
        codes, _ = pd.factorize(table[column], use_na_sentinel=False)
        group, _ = pd.factorize(group * (codes.max(initial=0) + 1) + codes)
    _, first = np.unique(group, return_index=True)
    known = table.loc[first, list(_KEYS)].astype(object)
    rows = known.where(known.notna(), None).to_dict("records")
    by_group = np.array([_class_of(space, row, maps) for row in rows] or [None], dtype=object)
    names = pd.Series(by_group[group], index=table.index, dtype=object)
    rated = rated_only(table)
    if rated.any() and (rule := _BY_RATINGS.get(space.kind)):
        names[rated] = rule(*dimensions(table[rated]))
    return names


def rated_only(table: pd.DataFrame) -> pd.Series:
    """Whether a row of a table from [`label_facts`] has no label, but ratings."""
    return table["raw_label"].fillna("").eq("") & table[list(_RATINGS)].notna().any(axis=1)


def dimensions(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Arousal and valence of ratings, `(utterances,)` each; None where a rating or its scale is missing.

    Args:
        table: `arousal_rating`, `valence_rating`, `scale_low` and `scale_high`, as in [`label_facts`].
    """
    shares = scaled_ratings(table)
    arousal = np.where(shares["arousal_rating"] > 0.5, "high", "low").astype(object)
    third = np.digitize(shares["valence_rating"], [1 / 3, 2 / 3 + 1e-6])
    valence = np.array(VALENCES, dtype=object)[np.minimum(third, len(VALENCES) - 1)]
    arousal[shares["arousal_rating"].isna()] = None
    valence[shares["valence_rating"].isna()] = None
    return arousal, valence


def scaled_ratings(table: pd.DataFrame) -> pd.DataFrame:
    """`arousal_rating` and `valence_rating` as shares of their scale, from 0 to 1; NaN without a scale or outside it.

    Args:
        table: As in [`dimensions`].
    """
    low, width = table["scale_low"], table["scale_high"] - table["scale_low"]
    shares = table[list(_RATINGS)].astype(float).sub(low, axis=0).div(width.where(width > 0), axis=0)
    return shares.where(shares.ge(-1e-6) & shares.le(1 + 1e-6)).clip(0, 1)


def _six_of(arousal: Iterable[str | None], valence: Iterable[str | None]) -> list[str | None]:
    pairs = zip(arousal, valence, strict=True)
    return [class_name(low_high, sign) if low_high and sign else None for low_high, sign in pairs]


_BY_RATINGS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    **dict.fromkeys(("six", "alternative", "corpus_valence"), _six_of),
    "arousal": lambda arousal, _: arousal,
    "valence": lambda _, valence: valence,
}


def _class_of(space: LabelSpace, row: Mapping[str, Any], maps: LabelMaps) -> str | None:
    """Class of a combination of the `_KEYS`."""
    raw, corpus = row["raw_label"] or "", row["corpus"]
    facts = maps.get(corpus, {}).get(raw, {})
    six = None if row["label"] is None else SIX_CLASSES[int(row["label"])]
    if raw and space.rules:
        emotion = _emotion(row, facts)
        named, name = _by_rules(space.rules, corpus, raw, emotion, maps.get(corpus, {}))
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


def _by_rules(
    rules: Scheme, corpus: str, raw: str, emotion: str, labels: Mapping[str, Any]
) -> tuple[bool, str | None]:
    """Whether rules name a label, itself or by its emotion, and its class; the lines of its corpus take precedence."""
    for name in (corpus, ALL_CORPORA):
        lines = rules.get(name, {})
        if raw in lines:
            return True, lines[raw]
        # a label of the corpus stands for itself alone: who drops `joy` may keep `happiness`
        words = {key: each for key, each in lines.items() if name == ALL_CORPORA or key not in labels}
        if emotion in words:
            return True, words[emotion]
        found = {key: each for key, each in words.items() if (emotion_of_word(key) or key.strip().lower()) == emotion}
        if len(set(found.values())) > 1:
            raise ValueError(
                f"The label {raw!r} of {corpus} is {emotion}, for which {' and '.join(map(repr, found))} name "
                f"different classes; add a line for {raw!r}."
            )
        if found:
            return True, next(iter(found.values()))
    return False, None


def check_space(space: LabelSpace, table: pd.DataFrame, maps: LabelMaps) -> None:
    """Raises `ValueError` if a user's space names a corpus or label that doesn't exist, with the nearest one.

    Args:
        space: A space whose rules are a user's.
        table: From [`label_facts`], all utterances that were opened.
        maps: `BuildSummary.label_map` of each corpus of the dataset.
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
        dict(sorted(Counter(missing["raw_label"].fillna("")).items())),
        int((labelled & rated).sum()),
        int((~labelled & rated & ~scaled).sum()) if space.kind in _BY_RATINGS else 0,
        int((table[list(_RATINGS)].notna() & scaled_ratings(table).isna()).any(axis=1)[scaled].sum()),
    )


def _nothing_left(space: LabelSpace, chosen: Chosen) -> str:
    remedy = (
        scale_sentence(chosen.without_scale)
        if chosen.without_scale
        else "Give the classes of these labels in a YAML file, such as `'*': {LABEL: anger}`, as `labels` (`--labels`), "
        "or open it with labels='native', where every label is a class."
    )
    return (
        f"no utterance has a class in the label space {space.name} ({', '.join(chosen.classes) or 'without classes'}). "
        f"The labels are: {labels_text(chosen.left_out)}. {remedy}"
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
