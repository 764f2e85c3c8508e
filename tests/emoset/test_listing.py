"""Listing and building: whose utterances are whose, and what the summary and the command line say about it."""

import json
import shutil

import pytest

from exhubert.cli.main import main
from exhubert.emoset import build, load
from exhubert.emoset.dealing.partition import LeakageError
from exhubert.emoset.listing import list_corpus
from exhubert.evaluation.protocols import apply_protocol, folds, table_of
from exhubert.records import BuildSummary
from exhubert.training.callbacks import DisjointSpeakersCallback, InvariantError

from ..conftest import write_tone
from .conftest import manifest


def corpus(root, rows, header="file,label,speaker"):
    """Tones with a manifest; the recordings are named by their order."""
    for index in range(len(rows)):
        write_tone(root / f"{index}.wav", 0.1, frequency=100.0 + index)
    return manifest(root, [header, *(f"{index}.wav,{row}" for index, row in enumerate(rows))])


@pytest.fixture
def tess(tmp_path):
    """Two speakers who say the same twelve words in two emotions."""
    root = tmp_path / "tess"
    for speaker in ("OAF", "YAF"):
        for number in range(12):
            for emotion in ("happy", "sad"):
                write_tone(root / f"{speaker}_word{number}_{emotion}.wav", 0.1, frequency=100.0 + number)
    return root


def test_two_speakers_give_all_partitions_and_every_place_says_what_is_not_independent(tess, tmp_path, capsys):
    assert main(["emoset", "build", "--corpus", f"tess={tess}", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert (
        "36 train" not in printed and "18 train, 6 validation, 24 test; by few speakers (validation by text)" in printed
    )
    assert (
        "validation is NOT speaker-independent: too few speakers, so tess/OAF is in train and in validation" in printed
    )
    summary = BuildSummary.load(tmp_path / "out/tess")
    assert summary.divided_speakers == ["tess/OAF"] and not summary.speaker_independent
    assert summary.independent_on("test") and not summary.independent_on("validation")
    data = load(tmp_path / "out")
    assert not set(data["train"]["text"]) & set(data["validation"]["text"])
    assert main(["emoset", "stats", str(tmp_path / "out")]) == 0
    assert "(validation not speaker-independent)" in (tmp_path / "out/README.md").read_text()


def test_training_and_protocols_allow_the_divided_speaker_and_nobody_else(tess, tmp_path):
    build({"tess": tess}, tmp_path / "out")
    divided = BuildSummary.all_divided_speakers(tmp_path / "out")
    data = load(tmp_path / "out")
    speakers = {part: list(rows["speaker"]) for part, rows in data.items()}
    check = DisjointSpeakersCallback(speakers, divided)
    check.on_train_begin(None, None, None)
    assert check.findings == {"speakers": 2, "unnamed": 0, "divided": ["tess/OAF"]}
    [fold] = folds("held_out", table_of(data), divided=divided)
    assert {part: len(rows) for part, rows in fold.partitions.items()} == {"train": 18, "validation": 6, "test": 24}
    assert apply_protocol(data, "held_out", divided=divided)[0] is data
    with pytest.raises(LeakageError, match="tess/OAF"):
        folds("held_out", table_of(data))
    speakers["test"].append("tess/OAF")
    with pytest.raises(InvariantError, match="tess/OAF"):
        DisjointSpeakersCallback(speakers, divided).on_train_begin(None, None, None)


def test_spellings_of_one_speaker_are_one_speaker_and_said_once(tmp_path, capsys):
    names = ["Ben", "ben", "Ben", "01", "1", "1.0", "Cleo", "cleo.", "NA", "unknown", "dan", "eve"]
    root = corpus(tmp_path / "own", [f"joy,{name}" for name in names])
    assert main(["emoset", "build", "--corpus", f"own={root}", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "spellings taken for one speaker: 01 (also 1, 1.0); Ben (also ben); Cleo (also cleo.)" in printed
    assert "taken for no person's name: unknown (1)" in printed
    assert "NOT speaker-independent: 2 utterances without a speaker's name" in printed
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert {row["speaker"] for row in rows} == {"own/Ben", "own/01", "own/Cleo", "own/dan", "own/eve", None}
    parts = {(row["speaker"], row["partition"]) for row in rows if row["speaker"]}
    assert len(parts) == 5


def test_a_speaker_in_two_official_partitions_is_found_under_any_spelling(tmp_path):
    rows = ["joy,Ben,train", "joy,ben,test", "joy,cleo,validation"]
    with pytest.raises(LeakageError, match=r"Ben, also written ben, \(train and test\)"):
        list_corpus("own", corpus(tmp_path / "a", rows, "file,label,speaker,partition"))
    rows = ["joy,Ross,train", "joy,Joey,train", "joy,Ross and Joey,test", "joy,cleo,validation"]
    with pytest.raises(LeakageError, match=r"Ross and Joey, \(train and test\)"):
        list_corpus("own", corpus(tmp_path / "b", rows, "file,label,speaker,partition"))
    # the rule for few speakers is no licence for the author's own partitions
    rows = ["joy,anna,train", "joy,anna,validation", "joy,ben,"]
    with pytest.raises(LeakageError, match=r"anna \(train and validation\)"):
        list_corpus("own", corpus(tmp_path / "c", rows, "file,label,speaker,partition"))


def test_an_utterance_of_two_speakers_in_different_partitions_is_set_aside_with_its_reason(tmp_path):
    names = ["a", "b", "c", "d", "e", "a and b", "a and c", "b and c", "c and d", "d and e", "e and a"]
    rows = [f"joy,{name}" for name in names for _ in range(3)]
    listing = list_corpus("own", corpus(tmp_path / "own", rows))
    parts = {item.record.speaker: item.partition for item in listing.utterances}
    assert {parts[name] for name in "abcde"} == {"train", "validation", "test"}
    aside = {line["reason"].rpartition(": ")[2] for line in listing.rejected}
    assert all("several persons speak who are in different partitions" in line["reason"] for line in listing.rejected)
    for name in names[5:]:
        first, second = name.split(" and ")
        assert (name in aside) == (parts[first] != parts[second]) and (name in parts) != (name in aside)


def test_sessions_and_dialogues_are_columns_of_the_dataset(tmp_path, capsys):
    rows = [f"joy,s{index // 2},day{index // 6},talk{index // 3}" for index in range(30)]
    root = corpus(tmp_path / "own", rows, "file,label,speaker,session,dialogue")
    assert main(["emoset", "build", "--corpus", f"own={root}", "--output", str(tmp_path / "out")]) == 0
    assert "by dialogue+session+speaker" in capsys.readouterr().out
    data = load(tmp_path / "out")
    assert [name for name in data["train"].column_names if name in ("end", "session", "dialogue", "text")] == [
        "end", "session", "dialogue", "text"
    ]  # fmt: skip
    found = [{(row["session"], row["dialogue"]) for row in part} for part in data.values()]
    assert sum(map(len, found)) == len(set().union(*found)) == 10
    summary = json.loads((tmp_path / "out/summary.json").read_text())["own"]
    assert "divided" not in summary["partition_rule"]


def test_speaker_folds_keep_sessions_whole_and_leave_out_who_speaks_with_the_tested(tmp_path):
    rows = [f"{('joy', 'anger')[index % 2]},{index // 2 % 10},{index // 2 % 10 // 2}" for index in range(40)]
    root = corpus(tmp_path / "own", rows, "file,label,speaker,session")
    build({"own": root}, tmp_path / "out")
    table = table_of(load(tmp_path / "out"))
    sessions = table["session"].to_numpy()
    for fold in folds("speaker_folds", table, number=5):
        found = [set(sessions[rows]) for rows in fold.partitions.values()]
        assert [len(names) for names in found] == [3, 1, 1] and len(set().union(*found)) == 5
    for fold in folds("leave_one_speaker_out", table):
        tested = set(sessions[fold.partitions["test"]])
        assert len(fold.partitions["test"]) == 4 and len(fold.partitions["train"]) == 24
        assert not tested & (set(sessions[fold.partitions["train"]]) | set(sessions[fold.partitions["validation"]]))


def test_copies_that_the_partition_alone_would_separate_are_kept_once(tmp_path):
    for speaker in ("anna", ""):
        root = corpus(tmp_path / f"own{speaker}", [f"joy,{speaker}" for _ in range(12)])
        for index in range(6):
            shutil.copy(root / f"{index}.wav", root / f"{index + 6}.wav")
        listing = list_corpus("own", root)
        assert len(listing.utterances) == 6 and len(listing.rejected) == 6
