"""Emotion labels of ExHuBERT: arousal, valence, and the six classes that combine them."""

from collections.abc import Mapping, Sequence
from typing import Any

AROUSALS = ("low", "high")
VALENCES = ("negative", "neutral", "positive")
# In logit order. configuration_exhubert.py repeats it, as it is saved with models without this file.
SIX_CLASSES = tuple(f"{arousal}_{valence}" for arousal in AROUSALS for valence in VALENCES)

# Default classes of emotion words, for corpora without their own mapping. The published source names one emotion for
# each class (disgust, neutral, kind, anger, surprise, joy); the other words are our judgement.
EMOTION_WORDS = {
    "low_negative": "disgust sadness sad boredom bored contempt guilt shame tired hurt",
    "low_neutral": "neutral indifference",
    "low_positive": "kind kindness calm interest relief pleasure tenderness contentment",
    "high_negative": "anger angry fear frustration panic despair nervous nervousness anxiety",
    "high_neutral": "surprise surprised alertness",
    "high_positive": "joy happiness happy excitement elation pride amusement pleasant_surprise",
}
_CLASS_OF_WORD = {word: name for name, words in EMOTION_WORDS.items() for word in words.split()}


def class_name(arousal: str, valence: str) -> str:
    """Class of an arousal and a valence.

    >>> class_name("high", "negative")
    'high_negative'

    Raises:
        ValueError: `arousal` is not in `AROUSALS`, or `valence` not in `VALENCES`.
    """
    if arousal not in AROUSALS or valence not in VALENCES:
        raise ValueError(
            f"No class for arousal {arousal!r} and valence {valence!r}: expected arousal in {AROUSALS} and valence in "
            f"{VALENCES}."
        )
    return f"{arousal}_{valence}"


def arousal_valence(name: str) -> tuple[str, str]:
    """Arousal and valence of a class: `"low_positive"` returns `("low", "positive")`."""
    arousal, valence = name.split("_")
    return arousal, valence


def class_of_word(word: str) -> str | None:
    """Class of an English emotion word or of a class name; None for unknown words.

    >>> class_of_word("Pleasant surprise")
    'high_positive'
    """
    key = word.strip().lower().replace(" ", "_").replace("-", "_")
    return key if key in SIX_CLASSES else _CLASS_OF_WORD.get(key)


def names_by_index(id2label: Mapping[Any, str]) -> list[str]:
    """Class names in logit order, regardless of their order in the configuration.

    >>> names_by_index({"1": "b", "0": "a"})
    ['a', 'b']
    """
    return [id2label[key] for key in sorted(id2label, key=int)]


def label_maps(names: Sequence[str]) -> dict[str, Any]:
    """Label fields of a configuration, from class names in logit order.

    >>> label_maps(["a", "b"])
    {'id2label': {0: 'a', 1: 'b'}, 'label2id': {'a': 0, 'b': 1}}
    """
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
