"""`exhubert emoset ...` over a root as users have it: several corpora, one damaged, one unknown, one of their own."""

import json
import re
from collections import Counter

import pytest
from datasets import load_dataset

from exhubert.cli.main import main
from exhubert.emoset import EmoSetPlusPlus, build, load
from exhubert.emoset.sources import ROOT_VARIABLE, find_corpora

from ..conftest import write_tone


def test_build_over_a_root_ends_in_a_loadable_dataset_and_a_plain_report(root, tmp_path, capsys):
    assert main(["emoset", "build", "--root", str(root), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "EMO-DB: 35 utterances" in printed and "eNTERFACE: 3 utterances" in printed
    assert "1 recordings set aside" in printed and "no class, kept without one: sung (1)" in printed
    assert "riddle: no known layout; to use it, put a manifest.csv there" in printed
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert {row["corpus"] for row in rows} == {"emo_db", "enterface", "my_calls"} and len(rows) == 41
    video = next(row for row in rows if row["corpus"] == "enterface")
    assert video["source_sampling_rate"] == 48_000 and video["speaker"].startswith("enterface/subject ")
    parquet = load_dataset("parquet", data_files={"train": f"{tmp_path}/out/*/*-train*.parquet"}, split="train")
    assert set(parquet.column_names) == set(rows[0])


def test_corpora_are_chosen_by_id_by_yaml_and_by_environment(root, tmp_path, monkeypatch):
    assert set(find_corpora(root).found) == {"emo_db", "enterface", "my_calls"}
    assert set(find_corpora(root, ["emo_db"]).found) == {"emo_db"}
    assert find_corpora(root / "some archive").found == {"enterface": root / "some archive"}
    (tmp_path / "places.yaml").write_text("emo_db: corpora/EMO-DB\n")
    assert find_corpora(tmp_path / "places.yaml").found == {"emo_db": tmp_path / "corpora/EMO-DB"}
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    assert set(find_corpora().found) == {"emo_db", "enterface", "my_calls"}
    with pytest.raises(FileNotFoundError, match="holds emo_db, my_calls, enterface, but not urdu"):
        find_corpora(root, ["urdu"])
    with pytest.raises(KeyError, match="no corpus 'urdo'; did you mean urdu"):
        find_corpora(root, ["urdo"])
    monkeypatch.delenv(ROOT_VARIABLE)
    with pytest.raises(ValueError, match="Where are the corpora"):
        find_corpora()


def test_one_builder_takes_all_corpora_or_a_subset(root, tmp_path):
    for name, expected in (
        ("all", {"emo_db": 35, "enterface": 3, "my_calls": 3}),
        ("emo_db,my_calls", {"emo_db": 35, "my_calls": 3}),
    ):
        builder = EmoSetPlusPlus(config_name=name, root=root, cache_dir=str(tmp_path / name))
        builder.download_and_prepare()
        corpora = [corpus for part in builder.as_dataset().values() for corpus in part["corpus"]]
        assert Counter(corpora) == expected


def test_list_show_and_verify_say_what_is_known_and_what_is_missing(root, capsys):
    assert main(["emoset", "list", "--root", str(root)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len([line for line in listed if line.startswith(("emo_db ", "urdu ", "gemep "))]) == 3
    assert str(root / "EMO-DB") in next(line for line in listed if line.startswith("emo_db "))
    assert main(["emoset", "show", "fau_aibo"]) == 0
    shown = capsys.readouterr().out
    assert "R: rest -> dropped" in shown and "utterances: 18216 (recalled, not read in a source)" in shown
    assert main(["emoset", "verify", "--root", str(root)]) == 0
    verified = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "partial" in verified["emo_db"] and "36 of 535 utterances (v1); 5 speakers, 10" in verified["emo_db"]
    assert "0.00 h, 0.41 h in the catalog" in verified["emo_db"]
    assert "no utterance of disgust, fear" in verified["enterface"] and "absent" in verified["urdu"]
    assert "unknown layout" in verified["riddle"] and "unknown size" in verified["my_calls"]
    assert main(["emoset", "show", "emodb"]) == 1
    assert "did you mean emo_db" in capsys.readouterr().err


def test_emonets_three_tables_make_a_corpus_of_your_own(tmp_path):
    for table, speaker in (("train", "a"), ("val", "b"), ("test", "c")):
        write_tone(tmp_path / "phone" / f"{speaker}.wav")
        (tmp_path / "phone" / f"{table}.csv").write_text(f"file,label,speaker\n{speaker}.wav,anger,{speaker}\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "train.csv").write_text("epoch,loss\n1,2.0\n")
    found = find_corpora(tmp_path)
    assert found.found == {"phone": tmp_path / "phone"} and found.unknown == [tmp_path / "results"]
    summary = build(found.found, tmp_path / "out")["phone"]
    assert [len(part["speakers"]) for part in summary.partitions.values()] == [1, 1, 1]


def test_strict_makes_anything_set_aside_an_error_and_leaves_nothing_that_loads(root, tmp_path, capsys):
    arguments = ["emoset", "build", "--root", str(root), "--corpora", "emo_db", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--strict"]) == 1
    assert "1 recordings can't be used, and --strict" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "out")
    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 1, "also where it was built before"


def test_a_scheme_of_your_own_relabels_the_dataset_and_is_stored_with_it(root, tmp_path):
    (tmp_path / "mine.yaml").write_text("emo_db:\n  L: low_neutral\n  T: null\n")
    summary = build({"emo_db": root / "EMO-DB"}, tmp_path / "out", scheme=tmp_path / "mine.yaml")["emo_db"]
    assert summary.dropped_labels == {"T": 5} and summary.label_map["L"]["basis"] == "user"
    assert 'raw_label": "T' not in (tmp_path / "out/emo_db/rejected.jsonl").read_text()
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    everything = [row for part in load(tmp_path / "out", keep_unlabelled=True).values() for row in part]
    assert Counter(row["label"] is None for row in everything) == {False: len(rows), True: 5}
    assert {row["raw_label"] for row in everything if row["label"] is None} == {"T"}
    assert {row["arousal"] + row["valence"] for row in rows if row["raw_label"] == "L"} == {"lowneutral"}
    assert build({"emo_db": root / "EMO-DB"}, tmp_path / "out")["emo_db"].dropped_labels == {}


def test_a_recording_that_is_there_twice_is_kept_once(root, tmp_path):
    copy = root / "EMO-DB/copy/03a01Wa.wav"
    copy.parent.mkdir()
    copy.write_bytes((root / "EMO-DB/wav/03a01Wa.wav").read_bytes())
    summary = build({"emo_db": root / "EMO-DB"}, tmp_path / "out")["emo_db"]
    assert summary.utterances == 35 and summary.rejected == 2
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "out/emo_db/rejected.jsonl").read_text().splitlines()]
    assert any("the same recording as emo_db/copy/03a01Wa" in reason for reason in reasons)


def test_mistakes_do_not_touch_a_finished_dataset(root, tmp_path):
    build({"emo_db": root / "EMO-DB"}, tmp_path / "out")
    for roots in ({"emodb": root / "EMO-DB"}, {"..": root / "EMO-DB"}, {"urdu": root / "nowhere"}):
        with pytest.raises((KeyError, ValueError, FileNotFoundError)):
            build(roots, tmp_path / "out")
    assert sum(map(len, load(tmp_path / "out").values())) == 35


def test_a_partition_whose_recordings_are_all_unusable_is_left_out(tmp_path):
    root = tmp_path / "own"
    for name in "ab":
        write_tone(root / f"{name}.wav", frequency=100.0 * ord(name))
    (root / "c.wav").write_text("nothing")
    (root / "manifest.csv").write_text(
        "file,label,speaker,partition\na.wav,joy,a,train\nb.wav,joy,b,test\nc.wav,joy,c,dev\n"
    )
    build({"own": root}, tmp_path / "out")
    assert set(load(tmp_path / "out")) == {"train", "test"}
    (root / "manifest.csv").write_text("file,label,speaker\nc.wav,joy,c\n")
    with pytest.raises(ValueError, match=r"can be used. The first: c.wav: .*that can be read.*\. All are in"):
        build({"own": root}, tmp_path / "out2")


def test_corpora_without_speaker_names_say_so(tmp_path, capsys):
    root = tmp_path / "own"
    for index in range(6):
        write_tone(root / f"{index}.wav", frequency=100.0 + 50 * index)
    lines = [f"{index}.wav,joy,{('train', 'validation', 'test')[index % 3]}" for index in range(6)]
    (root / "manifest.csv").write_text("\n".join(["file,label,partition", *lines]) + "\n")
    assert main(["emoset", "build", "--corpus", f"own={root}", "--output", str(tmp_path / "out")]) == 0
    assert "NOT speaker-independent" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/summary.json").read_text())["own"]["speaker_independent"] is False


def test_a_root_of_archives_says_to_unpack_them(tmp_path, capsys):
    place = tmp_path / "corpora"
    place.mkdir()
    (place / "EmoDB.zip").write_bytes(b"PK\xbc")
    for command in (["build", "--output", str(tmp_path / "out")], ["verify"]):
        for root, message in (
            (place, "holds no corpus but EmoDB.zip: unpack"),
            (place / "EmoDB.zip", "is an archive: unpack it"),
        ):
            assert main(["emoset", *command, "--root", str(root)]) == 1
            assert message in capsys.readouterr().err


def test_notices_about_a_manifest_are_printed_once_and_its_encoding_can_be_given(tmp_path, caplog, capsys):
    root = tmp_path / "mine"
    rows = ["path;emotion;speaker;lang;mood"]
    for index in range(6):
        write_tone(root / f"{index}.wav", frequency=100.0 + 50 * index)
        rows.append(f"{index}.wav;{('złość', 'radość')[index % 2]};Łukasz{index};pl;3,5")
    (root / "manifest.csv").write_bytes("\n".join(rows).encode("cp1250"))
    command = ["emoset", "build", "--corpus", f"mine={root}", "--output"]
    for number, encoding in enumerate((["mine=cp1250"], ["latin-1", "--encoding", "mine=cp1250"])):
        assert main([*command, str(tmp_path / f"out{number}"), "--encoding", *encoding]) == 0
        assert [item.getMessage() for item in caplog.records if "mood" in item.getMessage()] == [
            f"{root / 'manifest.csv'}: these columns aren't used, but kept in the column `other` of the dataset: mood."
        ]
        caplog.clear()
        rows = [row for part in load(tmp_path / f"out{number}").values() for row in part]
        assert {row["speaker"] for row in rows} == {f"mine/Łukasz{index}" for index in range(6)}
        assert {(row["raw_label"], row["arousal"], row["valence"]) for row in rows} == {
            ("złość", "high", "negative"),
            ("radość", "high", "positive"),
        }
    for encoding, message in (
        ("cp1525", "no text encoding 'cp1525'; did you mean"),
        ("ascii", "manifest.csv, line 2: byte 0xB3"),
        ("theirs=cp1250", "An encoding is given for theirs, but the corpora are mine"),
    ):
        assert main([*command, str(tmp_path / "out"), "--encoding", encoding]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheme_with_a_typo_is_refused_before_anything_is_built(root, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("emodb: {W: low_neutral}\n")
    command = ["emoset", "build", "--root", str(root), "--output", str(tmp_path / "out")]
    assert main([*command, "--scheme", str(tmp_path / "mine.yaml")]) == 1
    assert "no corpus 'emodb'" in (message := capsys.readouterr().err) and "Did you mean emo_db?" in message
    assert not (tmp_path / "out").exists()


def test_protocols_are_listed_with_what_they_keep_apart_and_their_folds_are_shown(root, tmp_path, capsys):
    assert main(["emoset", "protocols"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.search(
        r"iemocap +speaker, session +one for each session +leave-one-session-out", "\n".join(listed.values())
    )
    assert re.search(r"meld +nothing +1 +.*arXiv 1810.02508", listed["meld_published"])
    assert {"held_out", "speaker_folds", "emo_db_serab"} <= set(listed)
    assert main(["emoset", "protocols", "emo_db"]) == 0
    assert "emo_db_audeering" in (printed := capsys.readouterr().out) and "iemocap" not in printed
    assert main(["emoset", "protocols", "urdu"]) == 0
    assert "No protocol for Urdu is shipped" in capsys.readouterr().out
    assert main(["emoset", "protocols", "urdo"]) == 1
    assert "did you mean urdu" in capsys.readouterr().err
    build({"emo_db": root / "EMO-DB"}, tmp_path / "built")
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\nsource: own\ncorpora: any\nkeeps_apart: nothing\nfolds:\n"
        "  - {name: by text, train: rest, validation: {speaker: '08'}, test: {raw_label: [W, L]}}\n"
    )
    assert main(["emoset", "protocols", str(own), "--data", str(tmp_path / "built")]) == 1
    assert "2 utterances are in validation and in test" in capsys.readouterr().err
    own.write_text(own.read_text().replace("[W, L]}", "[W, L], speaker: ['03', '09']}"))
    assert main(["emoset", "protocols", str(own), "--data", str(tmp_path / "built")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"0 +by text +24 +7 +4 +NOT speaker-independent: 2 speakers are in train and test", printed)


def test_a_corpus_without_any_known_label_is_built_and_says_what_to_do(tmp_path, capsys):
    root = tmp_path / "own"
    for index in range(6):
        write_tone(root / f"{index}.wav", frequency=100.0 + 50 * index)
    lines = [f"{index}.wav,{('whoop', 'hmm')[index % 2]},s{index}" for index in range(6)]
    (root / "manifest.csv").write_text("\n".join(["file,label,speaker", *lines]) + "\n")
    assert main(["emoset", "build", "--corpus", f"own={root}", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "labels that map to no class, kept without one: hmm (3), whoop (3)" in printed
    assert "NO utterance has one of the six classes: give the classes of these labels in a YAML file by" in printed
    with pytest.raises(ValueError, match=r"has a class in the label space six .*The labels are: hmm \(3\)"):
        load(tmp_path / "out")
    assert load(tmp_path / "out", labels="native")["train"].features["label"].names == ["hmm", "whoop"]


def test_folds_are_shown_in_the_label_space_that_is_chosen(tmp_path, capsys):
    """Four labels of no known emotion have a class only in the space `native`."""
    lines = ["file,label,speaker"]
    for speaker in "abcd":
        write_tone(tmp_path / f"own/{speaker}.wav", 0.4)
        lines.append(f"{speaker}.wav,sung {speaker},{speaker}")
    (tmp_path / "own/manifest.csv").write_text("\n".join(lines) + "\n")
    build({"own": tmp_path / "own"}, tmp_path / "built")
    show = ["emoset", "protocols", "speaker_folds", "--data", str(tmp_path / "built")]
    assert main(show) == 1 and "labels='native'" in capsys.readouterr().err
    assert main([*show[:2], "held_out", *show[3:], "--labels", "native"]) == 0
    assert "held_out" in capsys.readouterr().out
