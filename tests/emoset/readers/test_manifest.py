"""Manifests as people make them: other column names, encodings, spreadsheets, and names as they are on disk."""

import builtins
import json
import tempfile
import unicodedata
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exhubert.emoset import read
from exhubert.emoset.readers.columns import UNKNOWN, known


def records(root, content, name="manifest.csv", files=(), encoding=None):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read("manifest", root, encoding))


@pytest.mark.parametrize(
    ("column", "cell", "field", "value"),
    [
        *[(name, "x", "speaker", "x") for name in ("Speaker", "speaker_id", "speakerID", "spk", "ACTOR", "Subject ID")],
        *[(name, "TEST", "partition", "test") for name in ("split", "Partition", "set", "Subset")],
        *[("split", word, "partition", "train") for word in ("training", "Train", "trn")],
        *[("split", word, "partition", "validation") for word in ("valid", "VAL", "dev", "devel", "development")],
        *[(name, "F", "gender", "female") for name in ("sex", "Gender")],
        *[(name, "de", "language", "de") for name in ("lang", "Locale", "LANGUAGE")],
        *[(name, "Hi.", "text", "Hi.") for name in ("transcript", "Transcription", "sentence")],
        *[(name, "1,25", "start", 1.25) for name in ("begin", "onset", "Start Time (s)", "start_sec", "startTime")],
        *[(name, "2", "end", 2.0) for name in ("stop", "end_time", "End [s]")],
        *[("start", cell, "start", 0.0) for cell in ("0 days", "0 days 00:00:00", "0:00:00.000")],
        *[("end", cell, "end", 62.5) for cell in ("0 days 00:01:02.500000", "00:01:02,500", "0 days 00:01:02.5")],
        *[("channel", cell, "channel", 1) for cell in ("right", "R", "B", "1.0")],
        *[(name, "Positive", "sentiment", "positive") for name in ("valence", "Sentiment")],
        *[("Session ID", "s1", "session", "s1"), ("text", "NA", "text", "NA"), ("text", "null", "text", "null")],
        *[("speaker", cell, "speaker", None) for cell in ("nan", "NaN", "NA", "<NA>", "null", "None", "n/a")],
        *[(name, "nan", name, None) for name in ("start", "end", "gender", "partition", "language")],
        *[(name, "NaT", name, None) for name in ("start", "end")],
    ],
)
def test_columns_and_cells_may_be_spelt_as_is_common(tmp_path, column, cell, field, value, caplog):
    (record,) = records(tmp_path, f"Path;Emotion;{column}\na.wav;joy;{cell}\n")
    assert (record.file.name, record.raw_label, getattr(record, field)) == ("a.wav", "joy", value)
    assert not caplog.records


@pytest.mark.parametrize("cell", ["1.234,5", "1 250", "soon", "-1", "-1 days", "1:02", "00:00:00:01"])
def test_a_time_that_may_mean_several_things_is_refused(tmp_path, cell):
    with pytest.raises(ValueError, match=rf"line 2: start is '{cell}', expected seconds"):
        records(tmp_path, f"file;label;start\na.wav;joy;{cell}\n")


def test_channels_counted_from_one_are_refused_but_a_single_one_is_not(tmp_path):
    with pytest.raises(ValueError, match=r"the channels are 1 and 2, never 0, but are counted from 0"):
        records(tmp_path, "file,label,channel\na.wav,joy,1\na.wav,anger,2\n")
    assert [record.channel for record in records(tmp_path, "file,label,channel\na.wav,joy,2\n")] == [2]


@pytest.mark.parametrize("name", ["file", "File_Name", "filepath", "audio", "wav", "audio_filepath", "PATH"])
@pytest.mark.parametrize("label", ["label", "Emotion", "class", "emotion_label"])
def test_the_recording_and_the_label_have_other_names_too(tmp_path, name, label):
    (record,) = records(tmp_path, f"{label}\t{name}\njoy\ta.wav\n")
    assert (record.file, record.raw_label) == (tmp_path / "a.wav", "joy")


def test_columns_that_are_not_used_are_listed_once_with_what_may_have_been_meant(tmp_path, caplog):
    rows = "".join(f"{number}.wav,joy,3.5,2,1,x,\n" for number in range(3))
    found = records(tmp_path, f"file,label,valence,arousal,fold,speeker,empty\n{rows}")
    assert [(record.sentiment, record.valence, record.arousal) for record in found] == [(None, 3.5, 2.0)] * 3
    assert [json.loads(record.other) for record in found] == [{"fold": "1", "speeker": "x"}] * 3
    (message,) = [item.getMessage() for item in caplog.records]
    assert message.endswith("kept in the column `other` of the dataset: fold, speeker (did you mean speaker?).")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "file,emotion,class\na.wav,joy,comedy\n",
            "the columns emotion and class all mean label; call the one to use label",
        ),
        ("file,label,label\na.wav,joy,fear\n", "the columns label and label all mean label"),
        ("file,label,offset\na.wav,joy,1\n", "the column offset may mean start or end"),
        ("file,label,start,offset\na.wav,joy,1,2\n", "the column offset may mean start or end"),
        ("file,label,split\na.wav,joy,train\nb.wav,joy,eval\n", "line 3: partition is 'eval' .*validation or test"),
        ("file,label,split\na.wav,joy,holdout\n", "line 2: partition is 'holdout', expected train"),
        ("file,label,text\na.wav,joy,Oh, no\n", "line 2: 4 cells, but 3 columns .* in double quotes"),
        ('file,label,text\na.wav,joy,"Oh\nb.wav,joy,x\n', "line 2: the double quotes don't match"),
        ("file,label\n\n\n,joy\n", "line 4: file must not be empty"),
        ('file,label,text\na.wav,joy,"two\nlines"\n,joy,x\n', "line 4: file must not be empty"),
    ],
)
def test_what_could_mean_two_things_is_asked_for_with_the_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        records(tmp_path, content)


def test_a_column_with_exactly_the_name_is_preferred_and_one_without_values_ignored(tmp_path, caplog):
    (record,) = records(tmp_path / "exact", "file,path,label\na.wav,/data/b.wav,joy\n")
    assert record.file.name == "a.wav" and "other` of the dataset: path" in caplog.text
    (record,) = records(tmp_path / "empty", "file,label,emotion\na.wav,,joy\n")
    assert record.raw_label == "joy"


def test_a_set_that_is_no_partition_is_listed_and_one_that_is_must_be_so_in_all_rows(tmp_path, caplog):
    found = records(tmp_path, "file,label,set\na.wav,joy,A\nb.wav,joy,B\n")
    assert [record.partition for record in found] == [None, None] and "other` of the dataset: set" in caplog.text
    with pytest.raises(ValueError, match="line 3: partition is 'B'"):
        records(tmp_path, "file,label,set\na.wav,joy,train\nb.wav,joy,B\n")


@pytest.mark.parametrize(("beside", "meaning"), [("test", "validation"), ("dev", "test")])
def test_evaluation_is_the_partition_that_the_others_leave_over(tmp_path, beside, meaning):
    found = records(tmp_path, f"file,label,split\na.wav,joy,train\nb.wav,joy,evaluation\nc.wav,joy,{beside}\n")
    assert [record.partition for record in found][:2] == ["train", meaning]


@pytest.mark.parametrize(
    ("columns", "cells", "span"),
    [
        ("start,duration", "1.5,2", (1.5, 3.5)),
        ("offset,duration", "1.5,2", (1.5, 3.5)),
        ("onset,offset", "1.5,3", (1.5, 3.0)),
        ("start,end,duration", "1,2,9", (1.0, 2.0)),
        ("duration", "2", (None, None)),
    ],
)
def test_duration_and_offset_give_the_part_that_they_mean(tmp_path, columns, cells, span):
    (record,) = records(tmp_path, f"file,label,{columns}\na.wav,joy,{cells}\n")
    assert (record.start, record.end) == span


@pytest.mark.parametrize(
    "content",
    [
        "file;label;speaker;start;;\na.wav;joy;x;1,5;;\n;;;;;\n\nb.wav;anger;y;;;\n",
        "sep=;\r\nfile;label;speaker;start\r\na.wav;joy;x;1.5\r\nb.wav;anger;y;\r\n",
        '"sep=,"\n"file","label","speaker","start"\n"a.wav","joy","x","1,5"\n"b.wav","anger","y",""\n',
        "file\tlabel\tspeaker\tstart\na.wav\tjoy\tx\t1.5\nb.wav\tanger\ty\tNaN\n",
        "file|label|speaker|start\na.wav|joy|x|1.5\nb.wav|anger|y|\n",
        "# my corpus, 2024\n\nfile, label, speaker, start\n# first\na.wav, joy, x, 1.5\nb.wav, anger, y,\n",
        "file,label,speaker,start\na.wav,joy,x,1.5\nfile,label,speaker,start\nb.wav,anger,y\n",
        "file,label,speaker,start\ra.wav,joy,x,1.5\rb.wav,anger,y,\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_tables_from_excel_pandas_and_editors_give_the_same_rows(tmp_path, content, encoding):
    first, second = records(tmp_path, content.encode(encoding), "Manifest.CSV")
    assert (first.file.name, first.raw_label, first.speaker, first.start) == ("a.wav", "joy", "x", 1.5)
    assert (second.file.name, second.raw_label, second.speaker, second.start) == ("b.wav", "anger", "y", None)


def test_json_comes_as_a_list_or_in_lines_with_a_byte_order_mark_and_windows_ends(tmp_path):
    rows = [{"File": "a.wav", "Emotion": "joy", "Speaker": 1.0, "split": None}, {"File": "b.wav", "Emotion": "joy"}]
    lines = "\r\n".join(json.dumps(row) for row in rows)
    for name, content in (("manifest.json", json.dumps(rows, indent=2)), ("manifest.jsonl", "\ufeff" + lines)):
        first, second = records(tmp_path / name, content, name)
        assert (first.speaker, second.speaker, second.file.name) == ("1", None, "b.wav")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n "file": "a.wav",\n "label": "joy"\n}', "line 1: not a JSON object .* one object on each line"),
        ('[{"file": "a.wav", "label": "joy"}, 3]', "row 2: expected a JSON object, found int"),
        ('{"file": {"0": "a.wav"}, "label": {"0": "joy"}}', "line 1: the object holds columns, not a row"),
        ('[{"file": "", "label": "joy"}]', "row 1: file must not be empty"),
    ],
)
def test_broken_json_names_the_row(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        records(tmp_path, content, "manifest.json")


def spreadsheet(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def test_spreadsheets_are_read_with_whole_numbers_and_their_row_in_messages(tmp_path, monkeypatch):
    header = ["File", "Emotion", "Speaker", "Start"]
    spreadsheet(
        tmp_path / "manifest.xlsx",
        ("notes", [["made in 2024"]]),
        ("A", [header, ["a.wav", "joy", 1.0, 0.5], [None] * 4, ["b.wav", "anger", 2, None]]),
        ("B", [header, ["c.wav", "joy", "x", None]]),
    )
    found = list(read("manifest", tmp_path))
    assert [(record.file.name, record.speaker, record.start) for record in found] == [
        ("a.wav", "1", 0.5),
        ("b.wav", "2", None),
        ("c.wav", "x", None),
    ]
    spreadsheet(tmp_path / "bad/manifest.xlsx", ("A", [header, [], [None, "joy", 1, None]]))
    with pytest.raises(ValueError, match="sheet A, row 3: file must not be empty"):
        list(read("manifest", tmp_path / "bad"))
    (tmp_path / "bad/manifest.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match="isn't a spreadsheet that openpyxl reads"):
        list(read("manifest", tmp_path / "bad"))
    real = builtins.__import__

    def without_openpyxl(name, *args):
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_openpyxl)
    with pytest.raises(ValueError, match="needs openpyxl: pip install"):
        list(read("manifest", tmp_path))


def test_several_manifests_in_a_folder_are_said(tmp_path, caplog):
    (tmp_path / "manifest.tsv").write_text("file\tlabel\nb.wav\tjoy\n")
    (record,) = records(tmp_path, "file,label\na.wav,joy\n")
    assert record.file.name == "a.wav" and "manifest.csv is read, manifest.tsv not" in caplog.text


@pytest.mark.parametrize(
    ("cell", "file"),
    [
        ("sub\\a.wav", "sub/a.wav"),
        (".\\sub\\deep\\a.wav", "sub/deep/a.wav"),
        (unicodedata.normalize("NFC", "für/é.wav"), unicodedata.normalize("NFD", "für/é.wav")),
        (unicodedata.normalize("NFD", "für/é.wav"), unicodedata.normalize("NFC", "für/é.wav")),
        ("A.WAV", "a.wav"),
        ("x\\Ü.wav", unicodedata.normalize("NFD", "X/ü.WAV")),
    ],
)
def test_names_are_found_as_they_are_written_on_disk(tmp_path, cell, file):
    (record,) = records(tmp_path, f"file,label\n{cell},joy\n", files=[file])
    assert record.file == tmp_path / file


def test_a_name_that_two_files_have_but_for_case_stays_missing(tmp_path):
    (record,) = records(tmp_path, "file,label\nA.wav,joy\n", files=["a.wav", "a.WAV"])
    assert record.file == tmp_path / "A.wav"


# Excel takes a text that begins with = for a formula
CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=20).filter(lambda text: text[:1] != "=")
CELLS |= st.sampled_from(["a\nb", "a,b;c|d\te", '"quoted"'])


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    form=st.sampled_from(["csv", "xlsx", "json", "jsonl"]),
)
def test_whatever_pandas_writes_is_read_back(rows, delimiter, encoding, form):
    table = pd.DataFrame([(f"{number}.wav", "joy", *row) for number, row in enumerate(rows)])
    table.columns = ["File", "Emotion", "Speaker", "Transcript"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"manifest.{form}")
        if form == "csv":
            table.to_csv(path, sep=delimiter, index=False, encoding=encoding)
        elif form == "xlsx":
            table.to_excel(path, index=False)
        else:
            table.to_json(path, orient="records", lines=form == "jsonl", force_ascii=False)
        found = list(read("manifest", folder))
    expected = [
        (
            f"{number}.wav",
            None if speaker.strip() in UNKNOWN else speaker.strip(),
            text.strip() if known("text", text.strip()) else None,
        )
        for number, (speaker, text) in enumerate(rows)
    ]
    assert [(record.file.name, record.speaker, record.text) for record in found] == expected


LETTERS = {
    encoding: "".join(
        letter
        for code in (*range(0x80, 0x700), *range(0x3040, 0x3100), *range(0x4E00, 0x5200), *range(0xAC00, 0xAE00))
        if (letter := chr(code)).isalpha() and letter.encode(encoding, "ignore").decode(encoding) == letter
    )
    for encoding in ("utf-8", "utf-16", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8-r",
                     "mac-roman", "cp437", "cp850", "iso8859-2", "gb18030", "big5", "cp932", "cp949")
}  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(sorted(LETTERS)))
def test_names_of_files_on_disk_are_read_right_in_any_encoding(data, encoding):
    letters = st.text(st.sampled_from(LETTERS[encoding]), min_size=1, max_size=8)
    names = data.draw(st.lists(letters, min_size=1, max_size=5, unique=True))
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(f"{name}.wav,joy\n" for name in names)
        files = [f"{name}.wav" for name in names]
        found = records(Path(folder), f"file,label\n{rows}".encode(encoding), files=files)
        assert sorted(record.file.name for record in found) == sorted(files)
        again = records(Path(folder), f"file,label\n{rows}".encode(encoding), encoding=encoding)
        assert again == found


@pytest.mark.parametrize("names", [("train.csv", "dev.csv", "test.csv"), ("Train.tsv", "validation.tsv", "test.tsv")])
def test_a_table_for_each_partition_may_have_any_name_of_one(tmp_path, names):
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"path\tsentence\temotion\n{number}.wav\thi\tjoy\n")
    found = {record.file.name: record.partition for record in read("manifest", tmp_path)}
    assert found == {"0.wav": "train", "1.wav": "validation", "2.wav": "test"}


@pytest.mark.parametrize("name", ["Dataset Split", "usage", "train/test"])
def test_a_column_of_nothing_but_partitions_is_one_whatever_its_name(tmp_path, name, caplog):
    found = records(tmp_path, f"file,label,{name},note\na.wav,joy,Train,train\nb.wav,joy,test,late\nc.wav,joy,dev,\n")
    assert [record.partition for record in found] == ["train", "test", "validation"]
    assert "other` of the dataset: note." in caplog.text
