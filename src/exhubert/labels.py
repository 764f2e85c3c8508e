"""Emotion labels of ExHuBERT: arousal, valence, and the six classes that combine them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

AROUSALS = ("low", "high")
VALENCES = ("negative", "neutral", "positive")
# In logit order. configuration_exhubert.py repeats it, as it is saved with models without this file.
SIX_CLASSES = tuple(f"{arousal}_{valence}" for arousal in AROUSALS for valence in VALENCES)

_WORDS = Path(__file__).parent / "emotion_words.yaml"
# Letters that people type in place of others, and that Unicode doesn't decompose
_SAME_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه"})  # noqa: RUF001
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# What follows an emotion in labels such as `hot anger (rage)` and `sad low intensity`
_QUALIFIER = re.compile(r"\s*(\([^()]*\)|\b(very )?(low|medium|normal|high|strong) intensity)\s*$", re.IGNORECASE)
_ACCENTS = 10  # combining classes from here on are accents; below are marks that make another letter


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


@dataclass(frozen=True)
class EmotionClass:
    """The class of an emotion in the common map, from which all corpora of the catalog take theirs.

    Attributes:
        class_name: One of `SIX_CLASSES`.
        alternative: Another defensible class, or None.
        basis: `source` if the paper's model card prints the emotion as the example of the class, else `judgement`.
    """

    class_name: str
    alternative: str | None
    basis: str


@cache
def emotion_classes() -> dict[str, EmotionClass]:
    """Returns the common map: the class of each emotion, by the emotion's English name, such as `fear`."""
    content = _content()
    return {
        emotion: EmotionClass(name, alternative, "source" if emotion in content["source"] else "judgement")
        for name, emotions in content["classes"].items()
        for emotion, alternative in emotions.items()
    }


def class_of_word(word: str, languages: Sequence[str] = ()) -> str | None:
    """Class of an emotion word or of a class name; None for unknown and ambiguous words.

    Args:
        word: The word in English or in one of the languages. Case and accents don't matter.
        languages: BCP-47 tags or English names of languages whose words are known too. Their meaning takes precedence:
            French `content` is happy.

    >>> class_of_word("Pleasant surprise")
    'high_positive'
    >>> class_of_word("colere", ["fr-CA"])
    'high_negative'
    """
    key, class_of = _key(word), _words().class_of
    if key in SIX_CLASSES:
        return key
    classes = {class_of[emotion] for emotion in _emotions(key, languages)}
    return classes.pop() if len(classes) == 1 else None


def emotion_of_word(word: str, languages: Sequence[str] = ()) -> str | None:
    """The emotion that a word names, in English and the same for all its forms; None for unknown and ambiguous words.

    Args:
        word: The word, as for [`class_of_word`]. What stands behind it in parentheses and an intensity don't matter. Of
            several with slashes between them the first counts, unless they are of different classes.
        languages: Likewise.

    >>> emotion_of_word("Angry"), emotion_of_word("joy"), emotion_of_word("Freude", ["de"])
    ('anger', 'happiness', 'happiness')
    >>> emotion_of_word("fear/anxiety"), emotion_of_word("sad low intensity"), emotion_of_word("sad/angry")
    ('fear', 'sadness', None)
    """
    parts = [word] if _emotions(_key(word), languages) else _QUALIFIER.sub("", word).split("/")
    emotions = [_emotions(_key(part), languages) for part in parts]
    classes = {_words().class_of[emotion] for each in emotions for emotion in each}
    if len(emotions[0]) != 1 or len(classes) != 1:
        return None
    [emotion] = emotions[0]
    return _words().synonyms.get(emotion, emotion).replace("_", " ")


def words_with_prefix(code: str, language: str) -> list[str]:
    """Emotion words of a language, a tag of [`word_languages`], that begin with a code; without case and accents.

    >>> words_with_prefix("Wut", "de")
    ['wut', 'wutend']
    """
    return [word for word in _words().by_language[language] if word.startswith(_key(code))]


def word_languages() -> list[str]:
    """BCP-47 tags of the languages whose emotion words [`class_of_word`] knows."""
    return list(_words().by_language)


@dataclass(frozen=True)
class _Words:
    """Class of each emotion, emotion of each word by language, primary tag of each name of a language, and synonyms."""

    class_of: dict[str, str]
    by_language: dict[str, dict[str, str]]
    tags: dict[str, str]
    synonyms: dict[str, str]


def _emotions(key: str, languages: Sequence[str]) -> set[str]:
    """Returns the emotions that a word has in the languages, or else in English."""
    words = _words()
    primary = dict.fromkeys(re.split("[-_]", language.strip().lower())[0] for language in languages)
    known = [words.tags[tag] for tag in primary if tag in words.tags]
    emotions = {words.by_language[tag][key] for tag in known if key in words.by_language[tag]}
    return emotions or {emotion for emotion in [words.by_language["en"].get(key)] if emotion}


@cache
def _words() -> _Words:
    content = _content()
    class_of = {emotion: facts.class_name for emotion, facts in emotion_classes().items()}
    words: dict[str, dict[str, str]] = {}
    for language, emotions in content["words"].items():
        forms = ((form, emotion) for emotion, text in emotions.items() for form in text.split())
        words[language] = {
            key: emotion for form, emotion in forms for key in (_key(form), _key(_without_umlauts(form)))
        }
    tags = {name: tag for tag, names in content["languages"].items() for name in (tag, *names.split())}
    return _Words(class_of, words, tags, content["synonyms"])


@cache
def _content() -> dict[str, Any]:
    return yaml.safe_load(_WORDS.read_text(encoding="utf-8"))


def _key(word: str) -> str:
    """A word without case, accents, hyphens, invisible characters, and spaces and punctuation around it."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    kept = "".join(
        letter
        for letter in letters
        if unicodedata.combining(letter) < _ACCENTS and unicodedata.category(letter) != "Cf"
    )
    return re.sub(r"[\s_-]+", "_", kept.translate(_SAME_LETTERS)).strip("_.,;:!\"'")


def _without_umlauts(word: str) -> str:
    return unicodedata.normalize("NFC", word.casefold()).translate(_UMLAUTS)


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
