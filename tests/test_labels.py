"""The six classes are the same in both places that define them; emotion words have one class in each language."""

import pytest
import yaml

from exhubert import configuration_exhubert, labels
from exhubert.labels import SIX_CLASSES, class_of_word, word_languages

LANGUAGES = "ar de el es fa fr he hi it ja ko nl pl pt ru sv tr ur zh"


def test_the_configuration_that_travels_alone_has_the_same_classes():
    assert configuration_exhubert.SIX_CLASSES == labels.SIX_CLASSES


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("disgusted sadly unhappy sleepy tired bored ashamed guilty jealous sorrow Disgust", "low_negative"),
        ("neutral NEUTRALITY indifferent", "low_neutral"),
        ("calm calmly relieved interested kindly tender satisfied", "low_positive"),
        (
            "fearful afraid scared angrily furious irritated annoyed anxious worried desperate frustrated nervous",
            "high_negative",
        ),
        ("surprised Surprise astonished alert", "high_neutral"),
        ("joyful amused happily cheerful proud excited elated pleasantly-surprised", "high_positive"),
    ],
)
def test_english_words_are_known_in_their_usual_forms(words, name):
    assert {word: class_of_word(word) for word in words.split()} == dict.fromkeys(words.split(), name)


@pytest.mark.parametrize("language", LANGUAGES.split())
def test_each_language_has_the_basic_emotions_without_a_word_in_two_classes(language):
    content = yaml.safe_load(labels._WORDS.read_text(encoding="utf-8"))
    emotions = content["words"][language]
    assert {"anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"} <= set(emotions)
    class_of = {emotion: name for name, group in content["classes"].items() for emotion in group}
    classes = {}
    for emotion, words in emotions.items():
        for word in words.split():
            assert class_of_word(word, [language]) == class_of[emotion], word
            assert class_of_word(word.upper().replace("_", " "), [f"{language}-XX"]) == class_of[emotion], word
            classes.setdefault(labels._key(word), set()).add(class_of[emotion])
    assert [word for word, group in classes.items() if len(group) > 1] == []
    assert language in word_languages()


def test_words_of_other_languages_count_only_where_the_language_is_named():
    assert class_of_word("Wut") is None and class_of_word("Wut", ["fr"]) is None
    assert class_of_word("Wut", ["de-AT"]) == class_of_word("Wut", ["German"]) == class_of_word("anger", ["de"])
    assert class_of_word("content") == "low_positive" and class_of_word("content", ["fr"]) == "high_positive"
    assert class_of_word("content", ["fr", "en"]) is None, "two languages that disagree"
    assert class_of_word("sung", ["de"]) is None


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", "ärgerlich Argerlich AERGERLICH"),
        ("fr", "colère COLERE Colère"),
        ("pl", "złość zlosc"),
        ("tr", "kızgın kizgin KIZGIN"),  # noqa: RUF001
        ("tr", "iğrenme İĞRENME igrenme"),
        ("ru", "удивлённый удивленный"),
        ("fa", "عصبانی عصباني"),
    ],
)
def test_accents_and_case_do_not_matter(language, words):
    (name,) = {class_of_word(word, [language]) for word in words.split()}
    assert name in SIX_CLASSES


@pytest.mark.parametrize("word", ["Angry!", "angry.", '"Angry"', " angry, ", "ANGRY:"])
def test_punctuation_around_a_word_does_not_matter_but_a_question_does(word):
    assert class_of_word(word) == "high_negative"
    assert class_of_word("angry?") is None and class_of_word("angry/sad") is None
