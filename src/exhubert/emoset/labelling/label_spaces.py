"""Label spaces: the classes that a dataset is opened with, and how they follow from the labels of its corpora."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ...labels import AROUSALS, SIX_CLASSES, VALENCES, emotion_of_word
from .scheme import ALL_CORPORA, CLASSES, Scheme, nearest, read_map

SPACES = ("six", "native", "four", "arousal", "valence", "alternative", "corpus_valence")
Labels = str | Path | Mapping[str, Any]

_SIX = (
    "The map from each corpus's own labels to the six classes is in the dataset's `summary.json`; it is "
    "this project's reading, since the paper's was not published."
)
_DESCRIPTIONS = {
    "six": _SIX,
    "native": "The classes are the corpora's own emotions in English, with all forms and synonyms of one joined.",
    "four": (
        "The classes are anger, happiness, neutral and sadness; other labels have none. In IEMOCAP excitement counts "
        "as happiness, as is usual."
    ),
    "arousal": f"The classes are the arousal of the six classes. {_SIX}",
    "valence": f"The classes are the valence of the six classes. {_SIX}",
    "alternative": f"Labels with another defensible class of the six have that one. {_SIX}",
    "corpus_valence": f"Where a corpus annotates valence by a word, the class has that valence. {_SIX}",
}
_FILE = Path(__file__).with_name("label_spaces.yaml")
_FIXED = {"arousal": AROUSALS, "valence": VALENCES, "native": None}


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
    def description(self) -> str:
        """What the classes are, in sentences for a card."""
        if self.own:
            return f"The classes come from the map `{self.short_name}`, which is in the model's `run.json`."
        return _DESCRIPTIONS[self.name]

    @property
    def short_name(self) -> str:
        """The name, or that of the file without its folder."""
        return Path(self.name).name

    @property
    def definition(self) -> str | dict[str, Any]:
        """The name, or for a user's space its content: [`read_space`] makes the same space of it without the file."""
        if not self.own:
            return self.name
        return {"name": self.short_name, CLASSES: list(self.classes or ()), "rules": self.rules}


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


def class_by_rules(
    rules: Scheme, corpus: str, raw: str, emotion: str, labels: Collection[str]
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
