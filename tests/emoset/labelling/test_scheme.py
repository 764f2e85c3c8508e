"""A label scheme is taken as it is written, or refused: no part of it is without effect."""

import pytest

from exhubert.emoset import EmoSetPlusPlus
from exhubert.emoset.labelling.scheme import read_scheme
from exhubert.emoset.listing import list_corpora

from ...conftest import write_tone
from ..conftest import manifest


@pytest.fixture
def own(tmp_path):
    root = tmp_path / "mine"
    for name in "abcd":
        write_tone(root / f"{name}.wav", frequency=ord(name) * 5.0)
    return manifest(root, ["file,label,speaker", "a.wav,Yes,a", "b.wav,no,b", "c.wav,01,c", "d.wav,joy,d"])


def scheme(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "mine.yaml"


def test_words_that_yaml_reads_as_values_are_labels(own, tmp_path):
    path = scheme(tmp_path, "mine:\n  Yes: high_positive\n  no: low_negative\n  01: null\n")
    assert read_scheme(path) == {"mine": {"Yes": "high_positive", "no": "low_negative", "01": None}}
    listing = list_corpora({"mine": own}, scheme=path)["mine"]
    assert {item.record.raw_label: item.class_name for item in listing.utterances} == {
        "Yes": "high_positive",
        "no": "low_negative",
        "joy": "high_positive",
        "01": None,
    }
    assert listing.dropped == {"01": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "emodb: {W: low_neutral}",
            "no corpus 'emodb' is in the catalog or among those to build. Did you mean emo_db?",
        ),
        ("Mine: {no: low_neutral}", "no corpus 'Mine' .* Did you mean mine?"),
        ("emo_db: {w: low_neutral}", "emo_db has no label 'w'. Did you mean W?"),
        ("mine: {yess: low_neutral}", "mine has no label 'yess'. Did you mean Yes?"),
        ("mine: {1: low_neutral}", "mine has no label '1'. Did you mean 01?"),
        (
            "'*': {neutrall: low_neutral}",
            "none of the corpora has a label 'neutrall'. The labels are|label 'neutrall'. ",
        ),
        ("'*': {YES: low_neutral}", "none of the corpora has a label 'YES'. Did you mean Yes?"),
        ("mine: {no: lowneutral}", "mine: no: lowneutral; a class is one of low_negative"),
        ("mine: {no: [low_neutral]}", "mine: no: a list or map; a class is one name"),
        ("mine: {no: low_neutral, no: low_negative}", "names no twice"),
        ("mine:", "line 1: expected corpus ids"),
        ("- mine", "line 1: expected corpus ids"),
        ("# nothing", "is empty; expected corpus ids"),
        ("mine: {", "isn't valid YAML"),
    ],
)
def test_what_matches_nothing_is_refused_with_the_nearest_name(own, emo_db, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        list_corpora({"mine": own, "emo_db": emo_db}, scheme=scheme(tmp_path, text))


def test_labels_of_the_catalog_and_other_corpora_of_it_may_be_named(emo_db, tmp_path):
    for path in emo_db.rglob("*T*.wav"):
        path.unlink()
    text = "urdu: {A: high_neutral}\nemo_db: {T: null}\n'*': {W: high_neutral}\n"
    listing = list_corpora({"emo_db": emo_db}, scheme=scheme(tmp_path, text))["emo_db"]
    assert {item.class_name for item in listing.utterances if item.record.raw_label == "W"} == {"high_neutral"}
    with pytest.raises(ValueError, match="urdu has no label 'angry'"):  # a typo counts though urdu isn't built now
        list_corpora({"emo_db": emo_db}, scheme=scheme(tmp_path, "urdu: {angry: high_neutral}"))


def test_a_label_for_all_corpora_needs_only_one_that_has_it(own, emo_db, tmp_path):
    path = scheme(tmp_path, "mine: {01: low_neutral}\n'*': {no: low_neutral, W: high_neutral}\n")
    assert set(list_corpora({"mine": own, "emo_db": emo_db}, scheme=path)) == {"mine", "emo_db"}
    with pytest.raises(ValueError, match="none of the corpora has a label 'no'"):
        EmoSetPlusPlus(config_name="emo_db", root=emo_db, scheme=scheme(tmp_path, "'*': {no: low_neutral}"))
