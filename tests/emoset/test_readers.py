"""Readers list what file names and annotation files say, without reading audio."""

import json

import pytest

from exhubert.emoset import entry, read

from ..conftest import SHARED_CORPORA
from .conftest import touch


def test_emo_db_names_give_speaker_text_emotion_and_take(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/16b10Lb.wav", "erkennung.txt", "wav/readme.wav")
    first, second = read("emo_db", tmp_path)
    assert (first.speaker, first.raw_label, first.take, first.gender, first.age) == ("03", "F", "a", "male", "31")
    assert first.text == "Der Lappen liegt auf dem Eisschrank."
    assert (second.speaker, second.raw_label, second.gender) == ("16", "L", "female")


def test_emo_db_keeps_how_many_listeners_recognised_the_emotion(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/03a01Nc.wav")
    lines = "Nr.\tSatz\terkannt\tnatuerlich\n3\xa0\xa0\t03a01Fa.wav\t90,00\xa0\xa0\t75,00\xa0\xa0\n"
    (tmp_path / "erkennung.txt").write_text(lines, encoding="latin-1")
    first, second = read("emo_db", tmp_path)
    assert json.loads(first.other) == {"erkannt": 90.0, "natuerlich": 75.0} and second.other is None


def test_urdu_names_give_speaker_and_emotion(tmp_path):
    touch(tmp_path, "Angry/SM1_F10_A010.wav", "Sad/SF7_F2_S02.wav", "README.md")
    first, second = read("urdu", tmp_path)
    assert (first.speaker, first.raw_label, first.gender) == ("SM1", "A", "male")
    assert (second.speaker, second.raw_label, second.gender) == ("SF7", "S", "female")
    assert json.loads(first.other) == {"number": "10", "serial": "010"}


def test_manifest_gives_every_column_and_leaves_empty_cells_unknown(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "file,label,speaker,start,end,partition,gender,language,text\n"
        'a b.wav,joy,anna,0.5,1.25,dev,female,en,"hello, you"\n'
        "c.wav,anger,,,,,,,\n",
        encoding="utf-8",
    )
    first, second = read("manifest", tmp_path)
    assert first.file == tmp_path / "a b.wav" and (first.start, first.end) == (0.5, 1.25)
    assert (first.partition, first.text, first.language) == ("validation", "hello, you", "en")
    assert second.speaker is None and second.start is None and second.partition is None


@pytest.mark.parametrize(
    ("cell", "channel"),
    [("", None), ("0", 0), ("1", 1), (" 1 ", 1), ("1.0", 1), ("12", 12), ("left", 0), ("R", 1), ("Right", 1), ("l", 0)],
)
def test_manifest_names_the_channel_as_people_and_spreadsheets_write_it(tmp_path, cell, channel):
    (tmp_path / "manifest.csv").write_text(f"file,label,channel\na.wav,joy,{cell}\n")
    assert [record.channel for record in read("manifest", tmp_path)] == [channel]
    (tmp_path / "manifest.csv").unlink()
    (tmp_path / "manifest.tsv").write_text(f"file\tlabel\tchannel\na.wav\tjoy\t{cell}\n")
    assert [record.channel for record in read("manifest", tmp_path)] == [channel]
    (tmp_path / "manifest.tsv").unlink()
    value = int(cell) if cell.isdecimal() else cell
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"file": "a.wav", "label": "joy", "channel": value}))
    assert [record.channel for record in read("manifest", tmp_path)] == [channel]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,speaker\na.wav,x\n", "column label is missing; found file, speaker"),
        ("file,label\n,joy\n", "line 2: file must not be empty"),
        ("file,label,start\na.wav,joy,1 s\n", "line 2: start is '1 s', expected seconds"),
        ("file,label,partition\na.wav,joy,holdout\n", "line 2: partition is 'holdout'"),
        ("file,label,channel\na.wav,joy,1\nb.wav,joy,-1\n", "line 3: channel is '-1', expected its number"),
        ("file,label,channel\na.wav,joy,0.5\n", "line 2: channel is '0.5', expected its number"),
        ("file,label,channel\na.wav,joy,agent\n", "line 2: channel is 'agent', expected its number"),
        ("", "column file and label is missing; found no header"),
    ],
)
def test_broken_manifest_names_the_line_and_what_was_expected(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        list(read("manifest", tmp_path))


def test_missing_folder_wrong_layout_and_unknown_corpus_are_sentences(tmp_path):
    with pytest.raises(FileNotFoundError, match="EMO-DB: there is no folder"):
        list(read("emo_db", tmp_path / "nowhere"))
    touch(tmp_path, "other.wav")
    with pytest.raises(FileNotFoundError, match="has the layout 'wav/<spk:2>"):
        list(read("emo_db", tmp_path))
    with pytest.raises(KeyError, match="no corpus 'emodb'; did you mean emo_db"):
        entry("emodb")


def test_own_corpora_may_use_class_names_or_english_words():
    own = entry("manifest")
    assert own.class_of("low_positive") == "low_positive"
    assert own.class_of("Happy") == "high_positive"
    assert own.class_of("Pleasant Surprise") == "high_positive"


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
@pytest.mark.parametrize(("corpus", "utterances", "speakers"), [("emo_db", 535, 10), ("urdu", 400, 29)])
def test_real_corpora_are_listed_whole(corpus, utterances, speakers):
    records = list(read(corpus, SHARED_CORPORA / corpus))
    assert len(records) == utterances
    assert len({record.speaker for record in records}) == speakers
    assert all(entry(corpus).class_of(record.raw_label) for record in records)
    assert all(record.other for record in records) and all(record.gender for record in records)
