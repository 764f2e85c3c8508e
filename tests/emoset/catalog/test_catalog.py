"""The label map of the catalog: one emotion has one class in all corpora, unless an entry says why."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from exhubert.cli.main import main
from exhubert.emoset import catalog, entry
from exhubert.emoset.catalog import AnnotationTable, CatalogEntry, LabelMap, Layout
from exhubert.emoset.catalog.problems import problems
from exhubert.emoset.readers import READERS
from exhubert.labels import SIX_CLASSES, class_of_word, emotion_classes

# the example of each class that the paper's model card prints
PRINTED = {
    "disgust": "low_negative",
    "neutral": "low_neutral",
    "kindness": "low_positive",
    "anger": "high_negative",
    "surprise": "high_neutral",
    "joy": "high_positive",
}
LABELS = [(corpus, raw, label) for corpus, facts in catalog().items() for raw, label in facts.labels.items()]


def test_one_emotion_has_one_class_and_alternative_in_all_corpora_unless_an_entry_says_why():
    seen = {}
    for corpus, raw, label in LABELS:
        if not label.why:
            own = (label.class_name, label.alternative, label.basis)
            first = seen.setdefault(label.emotion, (own, corpus, raw))
            assert own == first[0], f"{label.emotion}: {corpus} {raw}, {first[1]} {first[2]}"
    assert {"worry", "nervousness", "anxiety", "frustration", "interest", "pride", "boredom"} <= seen.keys()


def test_the_catalog_and_the_emotion_words_of_manifests_agree():
    for corpus, raw, label in LABELS:
        for word in (label.emotion, raw):
            known = class_of_word(word)
            assert known is None or known == label.class_name, f"{corpus} {raw}: {word}"
    near = ("worried", "nervous", "anxious")
    assert len({class_of_word(word) for word in near}) == 1, "shades of one emotion stand together"


def test_only_the_printed_examples_come_from_the_source():
    common = emotion_classes()
    assert {emotion: common[emotion].class_name for emotion in common if common[emotion].basis == "source"} == PRINTED
    assert {label.emotion for _, _, label in LABELS if label.basis == "source"} == set(PRINTED)
    for facts in common.values():
        assert facts.alternative is None or facts.alternative in set(SIX_CLASSES) - {facts.class_name}


def test_an_entry_names_an_emotion_or_says_in_what_and_why_it_differs():
    assert LabelMap.parse("W", "anger") == LabelMap("anger", "high", "negative", "source")
    assert LabelMap.parse("L", "boredom").alternative == "low_neutral"
    assert LabelMap.parse("x", None) == LabelMap("x", None, None)
    other = LabelMap.parse("E", {"emotion": "emphatic", "arousal": "high", "valence": "negative"})
    assert (other.class_name, other.basis) == ("high_negative", "judgement")
    with pytest.raises(ValueError, match="E: 'emphatic' is no emotion of the common map .*arousal and valence"):
        LabelMap.parse("E", "emphatic")
    silent = LabelMap.parse("H", {"emotion": "happiness", "arousal": "low"})
    assert silent.class_name == "low_positive"
    facts = replace(entry("emo_db"), labels={"H": silent})
    assert problems(facts, READERS) == ["H: happiness differs from the common map; say why"]
    assert problems(replace(facts, labels={"H": replace(silent, why="it is quiet")}), READERS) == []


def test_show_says_why_a_label_differs(capsys):
    assert main(["emoset", "show", "smartkom"]) == 0
    shown = capsys.readouterr().out
    assert "Freude/Erfolg: joy -> high_positive (judgement; the label joins joy with success)" in shown
    assert "Ratlosigkeit: helplessness -> high_negative (judgement, or low_negative)" in shown


def test_every_key_of_an_entry_is_explained_in_one_place():
    text = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("## A new corpus") : text.index("## The words")]
    explained = set(re.findall(r"`(\w+)`", section))
    for kind in (CatalogEntry, Layout, AnnotationTable, LabelMap):
        assert {item.name for item in fields(kind)} - {"file"} <= explained, kind
    assert {"replaces", "file", "bytes", "md5"} <= set(re.findall(r"\w+", section))
