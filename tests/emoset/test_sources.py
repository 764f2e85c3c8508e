"""Folders below a root become corpora, with the certainty and the reason; what can't be told is asked, not guessed."""

import shutil
from itertools import product

import pytest

from exhubert.cli.main import main
from exhubert.emoset import load
from exhubert.emoset.sources import find_corpora

from ..conftest import write_tone
from .conftest import EMOTIONS, manifest, touch

EMO_DB = [f"wav/{speaker}a01{emotion}a.wav" for speaker, emotion in product(("03", "08", "09"), EMOTIONS)]
URDU = [
    f"{folder}/S{gender}{number}_F1_{folder[0]}01.wav"
    for folder, gender, number in product(("Angry", "Happy", "Neutral", "Sad"), "MF", range(1, 4))
]
DEMOS = [f"DEMOS/NP_m_30_{label}03b.wav" for label in ("rab", "tri", "gio")] + [
    f"NEU/m_3{n}_neu03b.wav" for n in range(3)
]


def test_certainty_and_reason_of_each_folder(tmp_path):
    touch(tmp_path / "emo_db", *EMO_DB)
    touch(tmp_path / "archive", *URDU)
    manifest(tmp_path / "calls", ["file,label"])
    touch(tmp_path / "podcast", *(f"{number}.wav" for number in range(50)), "03a01Fa.wav")
    touch(tmp_path / "riddle", "a.wav")
    sources = find_corpora(tmp_path)
    assert sources.certainty == {"emo_db": "certain", "urdu": "likely", "calls": "manifest"}
    assert sources.unknown == [*sources.doubtful, tmp_path / "riddle"] == [tmp_path / "podcast", tmp_path / "riddle"]
    assert sources.reasons[tmp_path / "archive"].startswith(
        "24 of 24 recordings have the names, speakers and labels of"
    )
    asked = sources.reasons[tmp_path / "podcast"]
    assert asked.startswith("1 of 51 recordings have the names, speakers and labels of EMO-DB; 1 of its 535")
    assert f"--corpus emo_db={tmp_path / 'podcast'}" in asked and "No guess is made" in asked
    assert "no known layout" in sources.reasons[tmp_path / "riddle"]
    with pytest.raises(FileNotFoundError, match="holds urdu, calls, emo_db, but not ravdess"):
        find_corpora(tmp_path, ["ravdess"])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.wav", "b.wav"], "is named EMO-DB, but nothing in it has the layout wav/<spk:2>"),
        (["03a01Fa.wav", *(f"{number}.wav" for number in range(9))], "is named EMO-DB, which isn't enough; 1 of 10"),
        (URDU, "is named EMO-DB, but nothing in it has the layout .*; 24 of 24 recordings .* of Urdu"),
    ],
)
def test_a_name_alone_makes_no_corpus(tmp_path, names, reason):
    touch(tmp_path / "EMO-DB", *names)
    sources = find_corpora(tmp_path)
    assert not sources.found
    with pytest.raises(FileNotFoundError, match=reason):
        find_corpora(tmp_path, ["emo_db"])


def test_a_place_that_looks_like_a_corpus_itself_is_asked_about(tmp_path, capsys):
    touch(
        tmp_path / "oreau", *(f"{speaker:02d}a01{emotion}a.wav" for speaker, emotion in product(range(1, 33), "CTJPN"))
    )
    (tmp_path / "oreau/notes").mkdir()
    assert main(["emoset", "build", "--root", str(tmp_path / "oreau"), "--output", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "20 of 160 recordings have the names, speakers and labels of EMO-DB (160 have its names)" in printed.out
    assert "No corpus was recognised" in printed.err and not (tmp_path / "out").exists()


def test_a_name_helps_where_many_recordings_fit(tmp_path):
    touch(tmp_path / "EMO-DB", *EMO_DB, *(f"noise {number}.wav" for number in range(10)))
    assert find_corpora(tmp_path).certainty == {"emo_db": "likely"}
    (tmp_path / "EMO-DB").rename(tmp_path / "mixed")
    assert not find_corpora(tmp_path).found


def test_two_folders_of_one_corpus_are_set_aside_and_the_others_are_found(tmp_path):
    for folder in ("EMO-DB", "emodb old"):
        touch(tmp_path / folder, *EMO_DB)
    touch(tmp_path / "archive", *URDU)
    sources = find_corpora(tmp_path)
    assert set(sources.found) == {"urdu"} and len(sources.unknown) == 2
    assert "emodb old are both EMO-DB" in sources.reasons[tmp_path / "EMO-DB"]
    with pytest.raises(FileNotFoundError, match="keep one, or name one: --corpus emo_db="):
        find_corpora(tmp_path, ["emo_db"])
    (tmp_path / "places.yaml").write_text("emo_db: emodb old\n")
    assert find_corpora(tmp_path / "places.yaml").certainty == {"emo_db": "named"}


def test_a_link_to_a_corpus_is_no_second_one_and_laryngograms_are_none(tmp_path):
    touch(tmp_path / "root/EMO-DB", *EMO_DB)
    (tmp_path / "root/again").symlink_to(tmp_path / "root/EMO-DB")
    touch(tmp_path / "root/laryngo", *EMO_DB)
    manifest(tmp_path / "root/lar", ["file,label"])
    assert set(find_corpora(tmp_path / "root").found) == {"emo_db", "lar"}


def test_a_corpus_of_several_folders_is_a_place_by_itself(tmp_path):
    touch(tmp_path / "archive", *URDU, "README.md")
    assert find_corpora(tmp_path / "archive").found == {"urdu": tmp_path / "archive"}
    touch(tmp_path / "demos set", *DEMOS)
    assert find_corpora(tmp_path / "demos set").found == {"demos": tmp_path / "demos set"}
    touch(tmp_path / "archive/EMO-DB", *EMO_DB)
    sources = find_corpora(tmp_path / "archive")
    assert set(sources.found) == {"emo_db"}
    assert "are parts of Urdu" in sources.reasons[tmp_path / "archive/Angry"]


@pytest.fixture
def two_copies(tmp_path):
    root = tmp_path / "corpora"
    for index, name in enumerate(EMO_DB):
        write_tone(root / "EMO-DB" / name, frequency=150.0 + 7 * index)
    shutil.copytree(root / "EMO-DB", root / "backup")
    for index in range(6):
        write_tone(root / "calls" / f"{index}.wav", frequency=500.0 + 50 * index)
    manifest(root / "calls", ["file,label,speaker", *(f"{index}.wav,joy,s{index}" for index in range(6))])
    return root


def test_build_goes_on_without_what_it_asks_about_and_the_user_may_name_it(two_copies, tmp_path, capsys):
    command = ["emoset", "build", "--root", str(two_copies), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "calls: 6 utterances" in printed and f"{two_copies / 'backup'}: set aside, because it and" in printed
    assert main([*command, "--strict"]) == 1
    assert "2 folders are set aside, and --strict makes that an error" in capsys.readouterr().err
    twice = [f"--corpus=emo_db={two_copies / folder}" for folder in ("backup", "EMO-DB")]
    assert main([*command, *twice]) == 1 and "--corpus emo_db is given twice" in capsys.readouterr().err
    assert main([*command, "--corpus", f"emo_db={two_copies / 'backup'}"]) == 0
    assert "EMO-DB: 21 utterances" in capsys.readouterr().out
    assert {row["corpus"] for part in load(tmp_path / "out").values() for row in part} == {"calls", "emo_db"}


def test_list_verify_and_build_say_how_sure_a_corpus_is(two_copies, tmp_path, capsys):
    (two_copies / "EMO-DB").rename(tmp_path / "elsewhere")
    for command in ("list", "verify"):
        assert main(["emoset", command, "--root", str(two_copies)]) == 0
        row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("emo_db "))
        assert "likely" in row
    assert main(["emoset", "build", "--root", str(two_copies), "--output", str(tmp_path / "out")]) == 0
    assert "likely EMO-DB: in " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["manifest.ods", "manifest.txt", "Manifest.xls"])
def test_a_manifest_that_is_not_read_is_named(tmp_path, name, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("file label speaker\na.wav joy anna\n")
    assert main(["emoset", "list", "--root", str(tmp_path)]) == 0
    assert f"{tmp_path / 'mine'}: holds {name}, which isn't read: a manifest is a .csv" in capsys.readouterr().out


def test_folders_named_by_emotions_are_a_corpus_though_numbers_are_names_of_others_too(tmp_path):
    names = [f"{number}.wav" for number in (1, 2, 201, 202, 250)]
    for place in ("Gefühle", "日本"):
        touch(tmp_path / place, *map("/".join, product(("train", "test"), ("angry", "happy", "sad"), names)))
    sources = find_corpora(tmp_path)
    assert sources.found == {"Gefuhle": tmp_path / "Gefühle"}
    assert "named by emotions, but its name has no letter" in sources.reasons[tmp_path / "日本"]


@pytest.mark.parametrize(
    ("corpus", "names"),
    [
        ("casia", [f"{speaker}/{emotion}/{number}.wav" for speaker, emotion, number in product(
            ("liuchanhg", "wangzhe"), ("angry", "sad"), (201, 202))]),
        ("emotiw_2014", [f"{part}_AFEW/{emotion}/{number:09d}.avi" for part, emotion, number in product(
            ("Train", "Val"), ("Angry", "Sad"), (46280, 5150814))]),
        ("tess", [f"{emotion}/OAF_{word}_{emotion}.wav" for emotion, word in product(
            ("angry", "happy"), ("back", "bar"))] + [f"sad/YAF_{word}_sad.wav" for word in ("back", "bar", "base")]),
    ],
)  # fmt: skip
def test_parts_of_a_corpus_that_is_the_place_itself_are_no_corpora(tmp_path, corpus, names):
    touch(tmp_path, *names)
    sources = find_corpora(tmp_path)
    assert sources.found == {corpus: tmp_path} and not sources.unknown


def test_names_of_another_corpus_without_its_speakers_hide_no_folders_of_emotions(tmp_path):
    touch(tmp_path, *(f"mine/{part}/{emotion}/{number}.wav" for part, emotion, number in product(
        ("train", "test"), ("angry", "happy", "sad"), range(3))))  # fmt: skip
    assert find_corpora(tmp_path).found == {"mine": tmp_path / "mine"}


def test_a_table_beside_recordings_of_a_corpus_has_its_labels(tmp_path, capsys):
    root, rows = tmp_path / "corpora", []
    for number, (speaker, letter) in enumerate(product(("001", "002"), "ABH")):
        write_tone(root / "stuff" / f"DK_{speaker}_{letter}_1.wav", frequency=200 + 40 * number)
        rows.append(f"DK_{speaker}_{letter}_1.wav,{letter},{speaker},2.5")
    (root / "stuff/annotations.csv").write_text("\n".join(["filename,emotion,speaker,arousal", *rows]) + "\n")
    sources = find_corpora(root)
    assert sources.found == {"emotale": root / "stuff"}
    assert sources.reasons[root / "stuff"] == "it has a table of recordings with the names of EmoTale"
    assert main(["emoset", "build", "--root", str(root), "--output", str(tmp_path / "out")]) == 0
    rows = [row for part in load(tmp_path / "out").values() for row in part.remove_columns("audio")]
    assert {(row["raw_label"], row["arousal_rating"]) for row in rows} == {("A", 2.5), ("B", 2.5), ("H", 2.5)}
