"""Sessions, dialogues and recordings stay whole where that leaves partitions enough; speakers always do."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exhubert.emoset import Record
from exhubert.emoset.dealing.partition import deal_speakers, partition
from exhubert.emoset.dealing.ties import Ties

PARTITIONS = {"train", "validation", "test"}


def parts_by(records, parts, key):
    found = {}
    for record, part in zip(records, parts, strict=True):
        if key(record) is not None and part is not None:
            found.setdefault(key(record), set()).add(part)
    return found


def iemocap(utterances=8):
    """Five sessions of a woman and a man, with dialogues of both."""
    return [
        Record(
            Path(f"Ses0{session}_{dialogue}_{letter}{index}.wav"),
            "anger",
            f"Ses0{session}{letter}",
            gender={"F": "female", "M": "male"}[letter],
            session=f"Ses0{session}",
            dialogue=f"Ses0{session}_{dialogue}",
        )
        for session in range(1, 6)
        for dialogue in range(6)
        for letter in "FM"
        for index in range(utterances + session)
    ]


def sitcom(seed=0):
    """Six main characters in most dialogues, many minor ones, and some who speak together."""
    rng = random.Random(seed)
    mains = ["Ross", "Joey", "Rachel", "Monica", "Phoebe", "Chandler"]
    records = []
    for dialogue in range(300):
        cast = rng.sample(mains, rng.randint(1, 3)) + [f"Guest {rng.randrange(150)}"] * rng.randint(0, 1)
        names = [rng.choice(cast) for _ in range(9)]
        if dialogue % 10 == 0:
            names.append(" and ".join(rng.sample(mains, 2)))
        if dialogue % 25 == 0:
            names.append("All")
        records += [
            Record(f"dia{dialogue}_utt{index}.mp4", rng.choice("abc"), name, dialogue=str(dialogue))
            for index, name in enumerate(names)
        ]
    return records


def test_sessions_stay_whole_so_that_nobody_tests_whose_partner_trains():
    records = iemocap()
    parts, rule = partition(records, ["ab"[index % 2] for index in range(len(records))])
    assert rule == "dialogue+session+speaker" and set(parts) == PARTITIONS
    sessions = parts_by(records, parts, lambda record: record.session)
    assert all(len(found) == 1 for found in sessions.values())
    assert Counter(part for [part] in sessions.values()) == {"train": 3, "validation": 1, "test": 1}


def test_characters_in_all_dialogues_are_kept_apart_and_the_divided_dialogues_counted():
    records = sitcom()
    parts, rule = partition(records, [record.raw_label for record in records])
    counts = Counter(parts)
    assert set(counts) - {None} == PARTITIONS and counts["train"] / len(records) == pytest.approx(0.6, abs=0.1)
    assert all(len(found) == 1 for found in parts_by(records, parts, lambda record: record.speaker).values())
    dialogues = parts_by(records, parts, lambda record: record.dialogue)
    divided = sum(len(found) > 1 for found in dialogues.values())
    assert rule == f"speaker; {divided} of 300 dialogues divided" and divided > 0


def test_an_utterance_of_several_persons_is_where_all_of_them_are_or_nowhere():
    records = sitcom()
    parts, _ = partition(records, [record.raw_label for record in records])
    alone = parts_by(records, parts, lambda record: record.speaker)
    joint = [(record, part) for record, part in zip(records, parts, strict=True) if " and " in record.speaker]
    assert {part is None for _, part in joint} == {True, False}
    for record, part in joint:
        places = set().union(*(alone[name] for name in record.speaker.split(" and ")))
        assert places == {part} if part is not None else len(places) > 1
    everyone = [(record, part) for record, part in zip(records, parts, strict=True) if record.speaker == "All"]
    assert {part is None for _, part in everyone} == {True, False}
    for record, part in everyone:
        names = {own.speaker for own in records if own.dialogue == record.dialogue} - {"All"}
        places = set().union(*(alone[person] for name in names for person in name.split(" and ")))
        assert part is None or places == {part}


def test_a_few_joint_speakers_stay_with_each_of_theirs():
    names = ["a", "b", "a and b", *"cdefgh"] * 4
    records = [Record(f"{index}.wav", "x", name) for index, name in enumerate(names)]
    parts, rule = partition(records, ["x"] * len(records))
    assert rule == "speaker" and None not in parts
    found = parts_by(records, parts, lambda record: record.speaker)
    assert found["a"] == found["b"] == found["a and b"]


def test_sessions_that_all_speakers_share_do_not_merge_them():
    records = [
        Record(f"{speaker}{day}{index}.wav", "x", f"s{speaker}", session=f"day{day}")
        for speaker in range(10)
        for day in (1, 2)
        for index in range(3)
    ]
    parts, rule = partition(records, ["x"] * len(records))
    assert rule == "speaker; 2 of 2 sessions divided"
    assert Counter(parts) == {"train": 36, "validation": 12, "test": 12}


def test_who_speaks_in_one_recording_stays_together_and_so_do_its_unnamed_parts():
    calls = [
        Record(f"call{call}.wav", "x", f"{call}{side}", start=float(turn), end=turn + 1.0)
        for call in range(10)
        for side in "ab"
        for turn in range(3)
    ]
    parts, rule = partition(calls, ["x"] * len(calls))
    assert rule == "recording+speaker"
    assert all(len(found) == 1 for found in parts_by(calls, parts, lambda record: record.file).values())
    unnamed = [Record(record.path, "x", start=record.start, end=record.end) for record in calls]
    parts, rule = partition(unnamed, ["x"] * len(calls))
    assert rule == "recording"
    assert all(len(found) == 1 for found in parts_by(calls, parts, lambda record: record.file).values())
    one = [Record("call.wav", "x", start=float(turn), end=turn + 1.0) for turn in range(10)]
    parts, rule = partition(one, ["x"] * 10)
    assert rule == "utterance; 1 of 1 recordings divided" and Counter(parts) == {"train": 6, "validation": 2, "test": 2}


def test_a_partner_without_a_partition_follows_the_dialogue():
    records = [
        Record(f"{speaker}.wav", "x", speaker, dialogue=dialogue, partition=part)
        for speaker, dialogue, part in (
            ("a", "1", "train"),
            ("b", "2", "validation"),
            ("c", "3", "test"),
            ("d", "3", None),
        )
    ]
    assert partition(records, ["x"] * 4, trust_official=True)[0] == ["train", "validation", "test", "test"]


def test_official_partitions_that_divide_dialogues_are_kept_and_the_dialogues_counted():
    records = [
        Record(f"{index}.wav", "x", f"s{index}", dialogue=str(index // 2), partition=part)
        for index, part in enumerate(["train", "train", "train", "validation", "test", "train"])
    ]
    parts, rule = partition(records, ["x"] * 6)
    assert parts == [record.partition for record in records] and rule == "official; 2 of 3 dialogues divided"


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 6), st.sampled_from("ab")),
        min_size=3,
        max_size=60,
    ),
    st.integers(0, 2),
)
def test_three_speakers_or_more_are_never_divided_and_leave_no_partition_empty(rows, seed):
    records = [
        Record(f"{index}.wav", name, f"s{speaker}", session=str(session), dialogue=str(dialogue))
        for index, (speaker, session, dialogue, name) in enumerate(rows)
    ]
    classes = [record.raw_label for record in records]
    parts, rule = partition(records, classes, seed)
    speakers = {record.speaker for record in records}
    if len(speakers) >= 3:
        assert set(parts) == PARTITIONS and rule.split(";")[0].split("+")[-1] == "speaker"
        assert all(len(found) == 1 for found in parts_by(records, parts, lambda record: record.speaker).values())
        order = random.Random(seed).sample(range(len(records)), len(records))
        again, _ = partition([records[i] for i in order], [classes[i] for i in order], seed)
        assert again == [parts[i] for i in order]


def test_piles_of_several_corpora_keep_their_speakers_apart_by_corpus():
    records = iemocap()
    scopes = ["one"] * len(records) + ["two"] * len(records)
    piles = deal_speakers(records * 2, ["x"] * len(scopes), [0.2] * 5, 0, scopes)
    sessions = {(scope, record.session, pile) for scope, record, pile in zip(scopes, records * 2, piles, strict=True)}
    assert len(sessions) == 10 and Counter(pile for _, _, pile in sessions) == dict.fromkeys(range(5), 2)
    with pytest.raises(ValueError, match="11 piles need as many speakers, found 10"):
        deal_speakers(records, ["x"] * len(records), [1 / 11] * 11, 0)


def test_ties_count_what_is_divided():
    records = iemocap()
    ties = Ties(records)
    assert ties.divided(["train"] * len(records)) == []
    assert ties.divided([record.gender for record in records]) == [
        "5 of 5 sessions divided",
        "30 of 30 dialogues divided",
    ]
