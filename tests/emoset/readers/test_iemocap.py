"""IEMOCAP's evaluations: ratings, and what each rater answered."""

import json

import pytest

from exhubert.emoset import build, entry, load, read
from exhubert.emoset.record import Vote

from ...conftest import write_tone
from ..conftest import touch

# as in the corpus's files, whose columns are separated by tabs
EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 3.0000, 2.0000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral; Frustration;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
A-E4:\tval 2; act 3; dom  3;\t(mildly aggravated but staying polite, attitude)
A-F1:\tval 3; act 2; dom  ;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\txxx\t[2.5000, 2.5000, -1.0000]
C-E2:\tOther;\t(tired)
A-E5:\tval 4; act 1; dom  5;\t()
"""
TRANSCRIPT = "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"


@pytest.fixture
def session(tmp_path):
    dialog = tmp_path / "IEMOCAP_full_release" / "Session1" / "dialog"
    for folder, text in (("EmoEvaluation", EVALUATION), ("transcriptions", TRANSCRIPT)):
        (dialog / folder).mkdir(parents=True)
        (dialog / folder / "Ses01F_impro01.txt").write_text(text)
    return dialog.parent


def test_ratings_are_on_the_scale_from_one_to_five_and_missing_ones_are_unknown(session, tmp_path):
    first, second = read("iemocap", tmp_path)
    assert (first.valence, first.arousal, first.dominance) == (2.5, 3.0, 2.0)
    assert (second.valence, second.arousal, second.dominance) == (2.5, 2.5, None)
    assert first.rating_scale == second.rating_scale == (1, 5)


def test_each_rater_has_votes_and_actors_who_judge_themselves_are_among_them(session, tmp_path):
    first, second = read("iemocap", tmp_path)
    assert first.votes == (
        Vote("E2", "neu"),
        Vote("E3", "neu", arousal=2, valence=3, dominance=2),
        Vote("E4", "neu", arousal=3, valence=2, dominance=3),
        Vote("E4", "fru"),
        Vote("F1", "neu", arousal=2, valence=3),
    )
    assert {vote.label for vote in first.votes} <= entry("iemocap").labels.keys()
    assert second.votes == (Vote("E2", "oth"), Vote("E5", None, arousal=1, valence=4, dominance=5))


def test_place_in_the_dialogue_style_and_comments_are_kept(session, tmp_path):
    first, second = read("iemocap", tmp_path)
    comments = {"F1": "curious", "E4": "mildly aggravated but staying polite, attitude"}
    assert json.loads(first.other) == {"start": 6.2901, "end": 8.2357, "style": "improvised", "comments": comments}
    assert json.loads(second.other)["comments"] == {"E2": "tired"}
    assert (first.session, first.dialogue, first.text) == ("Ses01", "Ses01F_impro01", "Excuse me.")
    path = session / "dialog" / "EmoEvaluation" / "Ses01F_script02_1.txt"
    path.write_text("[1.0 - 2.0]\tSes01F_script02_1_F000\tang\t[1.0, 4.0, 4.5]\n")
    assert json.loads(list(read("iemocap", tmp_path))[-1].other)["style"] == "scripted"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav", True),
        ("IEMOCAP_wavonly/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav", True),
        ("flac/Ses01F_impro01_F000.flac", True),
        ("Session1/dialog/wav/Ses01F_impro01.wav", False),  # the whole dialogue
    ],
)
def test_sentences_are_found_by_name_in_any_folder_and_container(session, tmp_path, name, found):
    touch(tmp_path, name)
    (record,) = [record for record in read("iemocap", tmp_path) if record.raw_label == "neu"]
    assert record.file.is_file() == found and record.file.stem == "Ses01F_impro01_F000"


def test_copies_without_evaluations_are_read_from_their_table(tmp_path):
    turn = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav"
    touch(tmp_path, turn)
    (tmp_path / "iemocap_full_dataset.csv").write_text(
        f"session,method,gender,emotion,n_annotators,agreement,path\n1,impro,M,ang,3,2,{turn}\n"
    )
    (record,) = read("iemocap", tmp_path)
    assert (record.raw_label, record.speaker, record.gender, record.session) == ("ang", "Ses01M", "male", "Ses01")
    assert record.file == tmp_path / turn and record.dialogue == "Ses01F_impro01"
    assert json.loads(record.other) == {"method": "impro", "n_annotators": "3", "agreement": "2"}


def test_the_dataset_has_the_votes_and_ratings_and_the_turns_without_a_class(session, tmp_path):
    for number, turn in enumerate(("F000", "M001")):
        write_tone(session / f"sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav", frequency=200 + 90 * number)
    build({"iemocap": session.parent}, tmp_path / "data")
    stored = [row for path in (tmp_path / "data").glob("*/*.parquet") for row in _rows(path)]
    (first,) = [row for row in stored if row["raw_label"] == "neu"]
    assert (first["valence_rating"], first["dominance_rating"], first["rating_scale"]) == (2.5, 2.0, [1.0, 5.0])
    assert first["votes"][1] == {
        "rater": "E3",
        "label": "neu",
        "arousal": 2.0,
        "valence": 3.0,
        "dominance": 2.0,
        "count": 1,
    }
    assert {row["raw_label"] for row in stored} == {"neu", "xxx"}
    assert sum(len(part) for part in load(tmp_path / "data").values()) == 1


def _rows(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


def test_turns_of_another_form_are_named_and_left_out_and_labels_may_be_capitals(session, caplog):
    path = session / "dialog/EmoEvaluation/Ses01F_impro02.txt"
    lines = ["turn", "Ses01F_impro02_XX1", "Ses01F_impro02_", "Ses01F_impro02_M000"]
    rows = [f"[1.0 - 2.0]\t{turn}\tNEU\t[2.5, 2.5, 2.5]\nC-E1:\tAnger;\t()" for turn in lines]
    path.write_text("\n".join([*rows, "[1..0 - 2.0]\tSes01F_impro02_M001\tneu\t[2.5, 2.5, 2.5]", ""]))
    (record,) = [item for item in read("iemocap", session.parent) if item.dialogue == "Ses01F_impro02"]
    assert (record.raw_label, record.speaker, len(record.votes)) == ("neu", "Ses01M", 1)
    assert "4 lines on turns aren't understood, and left out, such as '[1.0 - 2.0]" in caplog.text


def test_a_path_in_the_table_that_is_no_turn_has_no_speaker(tmp_path):
    (tmp_path / "iemocap_full_dataset.csv").write_text("emotion,path\nang,Session1/odd.wav\nang,Session1/odd_x.wav\n")
    assert {(item.speaker, item.session, item.dialogue) for item in read("iemocap", tmp_path)} == {(None, None, None)}
