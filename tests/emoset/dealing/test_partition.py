"""Partitions: no speaker in two of them, balanced, the same on every run."""

import random
from collections import Counter

import pytest

from exhubert.emoset import Record
from exhubert.emoset.dealing.partition import LeakageError, check_leakage, partition


def corpus(speakers=10, per_class=4, classes=("a", "b", "c")):
    return [(name, f"s{index}") for index in range(speakers) for name in classes for _ in range(per_class)]


def split(rows, languages=None, official=None, groups=None, **options):
    nothing = [None] * len(rows)
    fields = zip(rows, languages or nothing, official or nothing, groups or nothing, strict=True)
    records = [
        Record(f"{index:04d}.wav", name, speaker, language=language, partition=part, group=group)
        for index, ((name, speaker), language, part, group) in enumerate(fields)
    ]
    return partition(records, [name for name, _ in rows], **options)


def test_equal_speakers_are_dealt_60_20_20_and_never_divided():
    rows = corpus()
    parts, rule = split(rows)
    assert rule == "speaker"
    by_speaker = {speaker: {p for (_, s), p in zip(rows, parts, strict=True) if s == speaker} for _, speaker in rows}
    assert all(len(found) == 1 for found in by_speaker.values())
    assert Counter(next(iter(p)) for p in by_speaker.values()) == {"train": 6, "validation": 2, "test": 2}


@pytest.mark.parametrize("seed", range(5))
def test_every_partition_gets_every_class_where_speakers_are_very_unequal(seed):
    rng = random.Random(seed)
    rows = [(rng.choice("abcd"), f"s{index}") for index in range(29) for _ in range(rng.choice([1, 3, 10, 60]))]
    parts, _ = split(rows, seed=seed)
    totals = Counter(name for name, _ in rows)
    for name in totals:
        found = Counter(part for (own, _), part in zip(rows, parts, strict=True) if own == name)
        assert abs(found["test"] / totals[name] - 0.2) < 0.1 and abs(found["validation"] / totals[name] - 0.2) < 0.1


def test_order_of_rows_and_a_second_run_change_nothing():
    rows = [
        (name, speaker, index) for index, (name, speaker) in enumerate(corpus(7, 5))
    ]  # by speaker, so order is free
    parts = dict(zip([r[1] for r in rows], split([r[:2] for r in rows])[0], strict=True))
    random.Random(1).shuffle(rows)
    assert parts == dict(zip([r[1] for r in rows], split([r[:2] for r in rows])[0], strict=True))


def test_languages_without_common_speakers_are_dealt_each_for_itself():
    rows = [(name, f"{language}{speaker}") for language in "xy" for name, speaker in corpus(5)]
    languages = [speaker[0] for _, speaker in rows]
    parts, _ = split(rows, languages)
    for language in "xy":
        assert {p for p, own in zip(parts, languages, strict=True) if own == language} == {
            "train",
            "validation",
            "test",
        }


def test_official_partitions_are_kept_and_the_rest_is_dealt():
    rows = corpus(6)
    official = ["test" if speaker == "s0" else None for _, speaker in rows]
    parts, rule = split(rows, official=official)
    assert rule == "official+speaker"
    assert all(part == "test" for (_, speaker), part in zip(rows, parts, strict=True) if speaker == "s0")


def test_of_two_speakers_the_larger_trains_and_validates_by_text_and_the_other_tests():
    texts = [f"word {index % 20}" for index in range(120)]
    records = [
        Record(f"{speaker}{index}.wav", "a", speaker, text=texts[index])
        for speaker, number in (("x", 80), ("y", 120))
        for index in range(number)
    ]
    parts, rule = partition(records, ["ab"[index // 20 % 2] for index in range(200)])
    assert rule == "few speakers (validation by text)"
    assert set(parts[:80]) == {"test"} and Counter(parts[80:]) == {"train": 90, "validation": 30}
    by_text = {(record.text, part) for record, part in zip(records[80:], parts[80:], strict=True)}
    assert len(by_text) == 20, "each text of the training speaker is in one partition"


def test_one_speaker_trains_and_validates_and_nobody_tests():
    parts, rule = split(corpus(1))
    assert rule == "few speakers (validation by utterance)" and Counter(parts) == {"train": 9, "validation": 3}
    assert split([("a", "x")]) == (["train"], "few speakers (no validation)")
    parts, _ = split([("a", "x")] * 4, official=["train"] * 4)
    assert Counter(parts) == {"train": 3, "validation": 1}
    parts, _ = split([("a", "x")] * 4 + [("a", "y")] * 3 + [("b", "z")], official=[None] * 7 + ["test"])
    assert Counter(parts) == {"train": 4, "validation": 3, "test": 1}, "beside a test partition, the second validates"


def test_utterances_without_names_are_dealt_one_by_one():
    parts, rule = split([(name, None) for name, _ in corpus(10)])
    assert rule == "utterance" and Counter(parts) == {"train": 72, "validation": 24, "test": 24}


def by_speaker(rows, parts):
    found = {}
    for (_, speaker), part in zip(rows, parts, strict=True):
        found.setdefault(speaker, set()).add(part)
    return found


def test_named_speakers_stay_whole_beside_utterances_without_names():
    rows = [*corpus(5), ("a", None), ("b", None)]
    parts, rule = split(rows)
    assert rule == "speaker+utterance"
    assert all(len(found) == 1 for speaker, found in by_speaker(rows, parts).items() if speaker)


def test_an_utterance_without_a_partition_follows_its_speaker():
    rows = [("a", "x"), ("a", "x"), ("b", "y"), ("b", "z"), ("a", "z")]
    parts, _ = split(rows, official=["test", None, "train", "validation", None])
    assert parts[1] == "test" and parts[4] == "validation"


def test_official_partitions_that_share_speakers_are_replaced_unless_they_are_the_users_own():
    rows = corpus(6)
    official = [("train", "validation", "test")[index % 3] for index in range(len(rows))]
    parts, rule = split(rows, official=official)
    assert rule == "speaker" and all(len(found) == 1 for found in by_speaker(rows, parts).values())
    assert split(rows, official=official, trust_official=True)[0] == official


def test_official_partitions_without_validation_give_up_a_quarter_of_training_by_speaker():
    rows = corpus(10)
    official = ["test" if speaker in ("s8", "s9") else "train" for _, speaker in rows]
    parts, rule = split(rows, official=official)
    assert rule == "official"
    found = by_speaker(rows, parts)
    assert found["s8"] == found["s9"] == {"test"}
    assert Counter(next(iter(f)) for f in found.values()) == {"train": 6, "validation": 2, "test": 2}


def test_groups_stay_together_across_speakers_and_languages():
    rows = [("a", None)] * 30
    groups = [f"film{index % 10}" for index in range(30)]
    languages = [("en", "es", "it")[index // 10] for index in range(30)]
    parts, rule = split(rows, languages=languages, groups=groups)
    assert rule == "group"
    for film in set(groups):
        assert len({part for part, group in zip(parts, groups, strict=True) if group == film}) == 1
    joined, _ = split([("a", name) for name in "xyyzvw"], groups=["1", "1", "2", "2", None, None])
    assert len(set(joined[:4])) == 1, "x, y and z are joined through their films"


def test_few_speakers_in_each_language_are_dealt_together():
    rows = [(name, f"{language}{index}") for language in "abcd" for index in range(2) for name in ("p", "q")]
    parts, rule = split(rows, languages=[speaker[0] for _, speaker in rows])
    assert rule == "speaker" and set(parts) == {"train", "validation", "test"}


def test_no_partition_stays_empty_where_three_speakers_are_very_unequal():
    rows = [("a", "big")] * 1000 + [("a", "small"), ("a", "tiny")]
    assert set(split(rows)[0]) == {"train", "validation", "test"}


def test_leakage_names_the_offender():
    check_leakage(["a", "a", None, None], ["train", "train", "train", "test"], "speakers")
    with pytest.raises(LeakageError, match=r"1 speakers stand in two partitions: b \(train and test\)"):
        check_leakage(["a", "b", "b"], ["train", "train", "test"], "speakers")


@pytest.mark.parametrize("seed", range(5))
def test_three_speakers_with_few_classes_are_in_three_partitions(seed):
    spoken = {"anna": {"anger": 9, "joy": 3}, "ben": {"joy": 6, "sadness": 6}, "cara": {"anger": 4, "neutral": 8}}
    rows = [(name, speaker) for speaker, counts in spoken.items() for name in counts for _ in range(counts[name])]
    assert set(split(rows, seed=seed)[0]) == {"train", "validation", "test"}


def test_leakage_is_allowed_between_train_and_validation_for_divided_speakers_only():
    check_leakage(["a", "a", "b"], ["train", "validation", "test"], "speakers", divided=["a"])
    for parts in (["train", "test", "test"], ["validation", "test", "test"]):
        with pytest.raises(LeakageError, match="a "):
            check_leakage(["a", "a", "b"], parts, "speakers", divided=["a"])
    with pytest.raises(LeakageError, match=r"b \(train and validation\)"):
        check_leakage(["b", "b"], ["train", "validation"], "speakers", divided=["a"])
