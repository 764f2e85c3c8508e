"""Partitions: no speaker in two of them, balanced, the same on every run."""

import random
from collections import Counter

import pytest

from exhubert.emoset.partition import LeakageError, check_leakage, partition


def corpus(speakers=10, per_class=4, classes=("a", "b", "c")):
    return [(name, f"s{index}") for index in range(speakers) for name in classes for _ in range(per_class)]


def split(rows, languages=None, official=None, seed=0):
    classes, speakers = zip(*rows, strict=True)
    nothing = [None] * len(rows)
    return partition(classes, speakers, languages or nothing, official or nothing, seed)


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
    rows = [(name, speaker, index) for index, (name, speaker) in enumerate(corpus(7, 5))]
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


def test_two_speakers_one_speaker_and_no_names_follow_their_stated_rules():
    parts, rule = split(corpus(2))
    assert rule == "few speakers" and set(parts[:12]) == {"train"} and set(parts[12:]) == {"test"}
    assert set(split(corpus(1))[0]) == {"train"}
    parts, rule = split([(name, None) for name, _ in corpus(10)])
    assert rule == "utterance" and Counter(parts) == {"train": 72, "validation": 24, "test": 24}


def test_leakage_names_the_offender():
    check_leakage(["a", "a", None, None], ["train", "train", "train", "test"], "speakers")
    with pytest.raises(LeakageError, match=r"1 speakers stand in two partitions: b \(train and test\)"):
        check_leakage(["a", "b", "b"], ["train", "train", "test"], "speakers")
