"""Names in users' lists mean the utterances that they mean, and no others."""

import json

import pytest

from exhubert.emoset.protocols.name_lists import Entry, NameIndex, read_list, read_rows


def index(*files, starts=None, ids=None):
    ids = ids or [f"mine/{file.rpartition('.')[0]}" for file in files]
    return NameIndex(["mine"] * len(files), ids, files, starts)


def found(names, *files, **options):
    entries = [Entry((name,)) if isinstance(name, str) else name for name in names]
    return index(*files, **options).find(entries)


@pytest.mark.parametrize(
    "name",
    [
        "mine/wav/03a01Fa",  # the id
        "wav/03a01Fa.wav",
        "03a01Fa",
        "03A01FA.WAV",
        "downloads/emodb/wav/03a01Fa.flac",
        "C:\\corpora\\EmoDB\\wav\\03a01Fa.wav",
        "./wav//03a01Fa.wav",
    ],
)
def test_ids_paths_and_stems_in_any_form_mean_the_recording(name):
    assert found([name], "wav/03a01Fa.wav", "wav/03a01Nc.wav").rows == [0]


def test_accents_may_be_composed_or_not():
    assert found(["émotion/a.wav"], "e\u0301motion/a.wav", "b/a.wav").rows == [0]


def test_as_much_of_a_path_counts_as_tells_recordings_apart():
    files = ("train/dia0_utt0.mp4", "dev/dia0_utt0.mp4", "dev/dia1_utt0.mp4")
    result = found(["MELD/dev/dia0_utt0.mp4", "dia1_utt0", "dia0_utt0", "test/dia0_utt0.mp4", "dia9_utt0"], *files)
    assert result.rows == [1, 2] and result.names == 5
    assert result.ambiguous == ["dia0_utt0", "test/dia0_utt0.mp4"] and result.missing == ["dia9_utt0"]


def test_two_names_of_one_utterance_count_for_neither():
    """Only the train folder was built, and the list also names the clip of the same number in dev."""
    result = found(["train/dia0_utt0.mp4", "dev/dia0_utt0.mp4"], "train/dia0_utt0.mp4")
    assert not result.rows and set(result.ambiguous) == {"train/dia0_utt0.mp4", "dev/dia0_utt0.mp4"}
    assert found(["train/dia0_utt0.mp4", "MELD/train/dia0_utt0.wav"], "train/dia0_utt0.mp4").rows == [0]


def test_dots_in_names_are_no_endings():
    assert found(["a.1"], "a.1.wav", "a.2.wav").rows == [0]
    assert found(["a.2.wav"], "a.1.wav", "a.2.wav").rows == [1]


def test_parts_of_a_recording_are_meant_together_or_by_id_or_by_start():
    files, ids = ("call.wav", "call.wav"), ["mine/call#1.000-2.000", "mine/call#2.000-3.500"]
    options = {"starts": [1.0, 2.0], "ids": ids}
    assert found(["call.wav"], *files, **options).rows == [0, 1]
    assert found(["mine/call#2.000-3.500"], *files, **options).rows == [1]
    assert found([Entry(("call.wav",), 1.0)], *files, **options).rows == [0]
    assert found([Entry(("call.wav",), 7.0)], *files, **options).missing == ["call.wav"]


EMOBOX = {"key": "emodb-03a01Fa", "dataset": "emodb", "wav": "downloads/emodb/wav/03a01Fa.wav", "emo": "happy"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", json.dumps(EMOBOX) + "\n"),
        ("a.jsonl", json.dumps({"key": "emodb-03a01Fa", "dataset": "emodb"})),
        ("a.jsonl", json.dumps({"audio": {"path": "03a01Fa.wav"}, "label": 1})),
        ("a.jsonl", '"03a01Fa"\n'),
        ("a.json", json.dumps({"emodb-03a01Fa": EMOBOX}, indent=2)),
        ("a.json", json.dumps({"03a01Fa": {"emo": "happy"}, "03a01Nc": {"emo": "neutral"}})),
        ("a.json", json.dumps([EMOBOX])),
        ("a.json", json.dumps(["03a01Fa.wav"])),
        ("a.csv", "file,label\nwav/03a01Fa.wav,happy\n"),
        ("a.csv", "label;File Path\nhappy;wav/03a01Fa.wav\n"),
        ("a.csv", "wav/03a01Fa.wav\n"),
        ("a.tsv", "utt_id\temotion\n03a01Fa\thappy\n"),
        ("a.txt", "wav/03a01Fa.wav\n"),
        ("a.txt", "\ufeff03a01Fa\r\n\r\n"),
        ("a.txt", "03a01Fa happy\n"),
        ("wav.scp", "utt-1 /data/emodb/wav/03a01Fa.wav\n"),
        ("a.lst", "wav/03a01Fa.wav\thappy\n"),
    ],
)
def test_lists_are_read_as_people_have_them(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    result = index("wav/03a01Fa.wav", "wav/03b01Fa.wav").find(read_list(tmp_path / name))
    assert result.rows == [0] and len(result.missing) == result.names - 1


def test_other_columns_of_a_list_are_kept(tmp_path):
    (tmp_path / "a.csv").write_text("file,fold\na.wav,1\nb.wav,2\n")
    assert [(entry.names, values["fold"]) for entry, values in read_rows(tmp_path / "a.csv")] == [
        (("a.wav",), "1"),
        (("b.wav",), "2"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "emotion,score\nhappy,3\n", "no column names utterances; found emotion, score. Expected one called"),
        ("a.jsonl", '{"emo": "happy"}\n', "a.jsonl.*nothing names the utterance; found emo"),
        ("a.jsonl", '{"key": "a"}\n{"key"\n', "a.jsonl, line 2: not a JSON object"),
        ("a.json", "[1]", "a.json, no. 1: expected an object or a name, found int"),
        ("a.txt", "\n", "a.txt names no utterance"),
        ("a.jsonl", "", "a.jsonl names no utterance"),
    ],
)
def test_what_is_no_list_is_said(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_list(tmp_path / name)
