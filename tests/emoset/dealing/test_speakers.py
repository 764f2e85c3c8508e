"""Names of speakers: which are one person, which are nobody, which are several."""

import pytest

from exhubert.emoset import Record
from exhubert.emoset.dealing.speakers import people_of, speaker_key, unify_speakers


@pytest.mark.parametrize(
    "spellings",
    [
        ("Ben", "ben", "BEN ", " Ben", "Ben\u00a0", "\ufeffBen", "Ben.", "[Ben]"),
        ("1", "01", "001", "1.0", "1,0", "\uff11", "#1"),
        ("S1", "s01", "S001"),
        ("Phoebe Sr", "Phoebe Sr.", "phoebe  sr.", "Phoebe_Sr", "Phoebe-Sr"),
        ("José", "Jose\u0301", "JOSÉ"),
        ("O'Neil", "O\u2019Neil", "o'neil"),
        ("subject 1", "subject_01", "Subject 1", "subject1", "Subject-001"),
        ("0", "00", "0.0"),
    ],
)
def test_spellings_of_one_speaker_have_one_key(spellings):
    assert len({speaker_key(name) for name in spellings}) == 1 and speaker_key(spellings[0])


@pytest.mark.parametrize(
    "names",
    [
        ("Ben", "Bens"),
        ("1", "10", "100", "1.5"),
        ("S1", "S11", "S1_1", "M1"),
        ("José", "Jose"),
        ("Phoebe", "Phoebe Sr"),
    ],
)
def test_different_speakers_have_different_keys(names):
    assert len({speaker_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name",
    [
        *("nan", "NaN", "NA", "N/A", "n.a.", "#N/A", "<NA>", "unknown", "(Unknown)", "UNK", "None", "null", "?", "???"),
        *("-", "--", "_", "", " ", "-1", "-1.0", "unbekannt", "Unknown speaker", "Anonymous"),
    ],
)
def test_names_that_are_not_a_persons_are_nobody(name):
    assert speaker_key(name) == ""
    [record], merged, nobody = unify_speakers([Record("a.wav", "joy", name)])
    assert record.speaker is None and not merged and nobody == {name: 1}


def test_the_most_frequent_spelling_becomes_the_name_and_merges_are_reported():
    names = ["ben", "Ben", "Ben", "BEN", "02", "2", "unknown", None, "anna", "NA", "unknown"]
    records = [Record(f"{index}.wav", "joy", name) for index, name in enumerate(names)]
    unified, merged, nobody = unify_speakers(records)
    assert [record.speaker for record in unified] == [*["Ben"] * 4, "02", "02", None, None, "anna", None, None]
    assert merged == {"02": ["2"], "Ben": ["BEN", "ben"]} and nobody == {"NA": 1, "unknown": 2}
    assert unify_speakers(records[::-1])[0] == unified[::-1]
    clean = [record for record in unified if record.speaker]
    assert unify_speakers(clean) == (clean, {}, {})


def test_joint_names_are_several_persons_where_these_occur_on_their_own():
    friends = ["Ross", "Joey", "Rachel"]
    for name in (
        "Ross and Joey",
        "Ross/Joey",
        "Ross & Joey",
        "ross, joey",
        "Ross + Joey",
        "Ross&Joey",
        "Ross und Joey",
    ):
        assert set(people_of([*friends, name])[-1]) == {"ross", "joey"}, name
    assert set(people_of([*friends, "Rachel, Joey and Ross"])[-1]) == {"ross", "joey", "rachel"}
    assert people_of(["e", "a", "e and a"])[-1] == ("e", "a")
    assert people_of([*friends, "Ross and a waiter"])[-1] == ("ross",)
    for name in ("Anderson", "Smith and Wesson", "Ross, MD", "Randy"):
        assert people_of([*friends, name])[-1] == (speaker_key(name),), name


def test_all_and_both_are_the_others_in_the_dialogue():
    names = ["Ross", "Joey", "All", "Both", "All", "All"]
    people = people_of(names, ["1", "1", "1", "2", None, "1"])
    assert set(people[2]) == set(people[5]) == {"ross", "joey"}
    assert people[3:5] == [("both",), ("all",)]
