"""Data folders of Kaldi as recipes write them."""

from collections import Counter

import pytest

from exhubert.cli.main import main
from exhubert.emoset import load, read
from exhubert.emoset.listing import list_corpora, list_corpus
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone
from ..conftest import touch


def data_folder(folder, **files):
    """Writes the files of a data folder: a line for each utterance; `wav_scp` is `wav.scp`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name.replace("_scp", ".scp")).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def records(root):
    return list(read("manifest", root))


def lines(values):
    return [f"{key} {value}" for key, value in values.items()]


def test_a_data_folder_gives_labels_speakers_and_what_else_is_known(tmp_path):
    root = data_folder(
        tmp_path / "mine",
        wav_scp=["eva-001 wav/eva-001.wav", "u2\t wav/with space.wav"],
        utt2spk=["eva-001 eva", "u2 tom"],
        utt2emo=["eva-001 anger", "u2 joy"],
        text=["eva-001 How dare you", "u2 "],
        spk2gender=["eva f", "tom m"],
        utt2lang=["eva-001 en", "u2 de"],
        utt2dur=["eva-001 1.0", "u2 2.0"],
        utt2arousal=["eva-001 3.5"],
        spk2utt=["eva eva-001", "tom u2"],
    )
    touch(root, "wav/eva-001.wav", "wav/with space.wav")
    first, second = records(root)
    assert (first.file, first.raw_label, first.speaker) == (root / "wav/eva-001.wav", "anger", "eva")
    assert (first.gender, first.language, first.text, first.arousal) == ("female", "en", "How dare you", 3.5)
    assert (second.file, second.speaker, second.gender) == (root / "wav/with space.wav", "tom", "male")
    assert (second.text, second.arousal, second.partition, second.start) == (None, None, None, None)


def test_folders_of_partitions_are_built_by_one_command(tmp_path, capsys):
    root = tmp_path / "corpora" / "mine"
    for number, part in enumerate(("train", "dev", "test_clean")):
        names = [f"s{number}-{index}" for index in range(4)]
        for index, name in enumerate(names):
            write_tone(root / "wav" / f"{name}.wav", frequency=100.0 + 50 * (4 * number + index))
        data_folder(
            root / "data" / part,
            wav_scp=[f"{name} wav/{name}.wav" for name in names],
            utt2spk=[f"{name} s{number}" for name in names],
            utt2emo=[f"{name} {('anger', 'joy')[index % 2]}" for index, name in enumerate(names)],
        )
    assert find_corpora(tmp_path / "corpora").found == {"mine": root} == find_corpora(root).found
    assert main(["emoset", "build", "--root", str(root.parent), "--output", str(tmp_path / "out")]) == 0
    assert "12 utterances" in capsys.readouterr().out
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    found = Counter((row["speaker"], row["partition"], row["published_partition"]) for row in rows)
    parts = {"mine/s0": "train", "mine/s1": "validation", "mine/s2": "test"}
    assert found == {(speaker, part, part): 4 for speaker, part in parts.items()}
    assert list_corpus("mine", root / "data").rule == "official", "the folder above holds the recordings"


@pytest.mark.parametrize(
    ("names", "parts"), [("train eval", "train test"), ("train dev eval", "train validation test")]
)
def test_eval_is_the_partition_that_the_others_leave_over(tmp_path, names, parts):
    for name in names.split():
        data_folder(tmp_path / name, wav_scp=[f"{name}1 {name}.wav"], utt2emo=[f"{name}1 joy"])
    found = {record.file.stem: record.partition for record in records(tmp_path)}
    expected = dict(zip(names.split(), parts.split(), strict=True))
    if names == "train eval":
        expected["eval"] = None  # it may be either
    assert found == expected


def test_segments_have_times_and_minus_one_is_the_end(tmp_path):
    root = data_folder(
        tmp_path,
        wav_scp=["rec call.wav"],
        segments=["a rec 0.0 1.25", "b rec 1.25 -1", "c rec 2 3 1"],
        utt2emotion=["a anger", "b joy", "c neutral"],
        utt2spk=["a x", "b y", "c x"],
    )
    found = [(record.file.name, record.start, record.end, record.channel, record.raw_label) for record in records(root)]
    assert found == [
        ("call.wav", 0.0, 1.25, None, "anger"),
        ("call.wav", 1.25, None, None, "joy"),
        ("call.wav", 2.0, 3.0, 1, "neutral"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a rec 2 1", "line 1: start is 2 and end 1"),
        ("a rec 0", "line 1: expected utterance, recording, start, end"),
        ("a rec 0 x", "line 1: expected utterance, recording, start, end"),
        ("a rec -2 -1", "line 1: start is -2"),
    ],
)
def test_invalid_segments_are_refused_with_their_line(tmp_path, line, message):
    data_folder(tmp_path, wav_scp=["rec call.wav"], segments=[line], utt2emo=["a joy"])
    with pytest.raises(ValueError, match=f"segments, {message}"):
        records(tmp_path)


def test_sides_of_a_call_are_channels_but_the_side_of_a_mono_recording_is_none(tmp_path):
    sides = ["call-A call A", "call-B call B"]
    emotions = ["call-A joy", "call-B anger"]
    call = data_folder(
        tmp_path / "call",
        wav_scp=["call-A call.wav", "call-B call.wav"],
        reco2file_and_channel=sides,
        utt2emo=emotions,
    )
    assert [(record.channel, record.raw_label) for record in records(call)] == [(0, "joy"), (1, "anger")]
    mono = data_folder(
        tmp_path / "mono", wav_scp=["call-A a.wav", "call-B b.wav"], reco2file_and_channel=sides, utt2emo=emotions
    )
    assert [record.channel for record in records(mono)] == [None, None]


@pytest.mark.parametrize(
    "command",
    [
        "sph2pipe -f wav -p -c 1 a.sph |",
        "sox a.flac -t wav - |",
        "ffmpeg -i a.mp3 -f wav - |",
        "cat a.wav |",
        "touch {marker} |",
        "a.ark:1234",
    ],
)
def test_commands_and_archives_are_never_run_but_named(tmp_path, command, caplog):
    marker = tmp_path / "run"
    command = command.format(marker=marker)
    root = data_folder(tmp_path / "mine", wav_scp=[f"a {command}"], utt2emo=["a joy", "b joy"])
    with pytest.raises(ValueError, match=r"wav.scp, line 1: a is .* write such recordings to files"):
        records(root)
    data_folder(root, wav_scp=["b b.wav", f"a {command}"])
    assert [record.file.name for record in records(root)] == ["b.wav"]
    assert "1 recordings aren't used" in caplog.text and "wav.scp, line 2: a is" in caplog.text
    assert not marker.exists()


def test_what_is_missing_is_listed(tmp_path, caplog):
    root = data_folder(
        tmp_path,
        wav_scp=["a a.wav", "b b.wav", "c c.wav"],
        utt2emo=["a joy", "c anger", "d anger"],
        utt2spk=["a x", "b x"],
    )
    found = [(record.file.name, record.raw_label, record.speaker) for record in records(root)]
    assert found == [("a.wav", "joy", "x"), ("b.wav", "", "x"), ("c.wav", "anger", None)]
    assert "1 of 3 utterances of wav.scp have no emotion in utt2emo: b." in caplog.text
    assert "1 of 3 utterances of wav.scp have no speaker in utt2spk: c." in caplog.text
    assert "1 utterances with an emotion aren't in wav.scp: d." in caplog.text
    data_folder(root, segments=["a1 a 0 1", "z1 z 0 1"], utt2emo=["a1 joy", "z1 joy"], utt2spk=["a1 x", "z1 x"])
    assert [record.file.name for record in records(root)] == ["a.wav"]
    assert "wav.scp lacks the recordings of 1 segments, which aren't used: z1 (z)" in caplog.text


def test_a_partition_without_emotions_is_named(tmp_path, caplog):
    data_folder(tmp_path / "data/train", wav_scp=["a a.wav"], utt2emotion=["a joy"])
    data_folder(tmp_path / "data/test", wav_scp=["b b.wav"])
    assert [(record.raw_label, record.partition) for record in records(tmp_path)] == [("joy", "train"), ("", "test")]
    assert "data/test: 1 of 1 utterances of wav.scp have no emotion in utt2emo: b." in caplog.text


def test_a_speaker_for_each_utterance_means_that_none_is_known(tmp_path, caplog):
    root = data_folder(tmp_path, wav_scp=["a a.wav", "b b.wav"], utt2emo=["a joy", "b joy"], utt2spk=["a a", "b b"])
    assert [record.speaker for record in records(root)] == [None, None] and "speakers are unknown" in caplog.text
    (root / "utt2spk").unlink()
    data_folder(root, spk2utt=["x a b"])
    assert [record.speaker for record in records(root)] == ["x", "x"]


def test_a_folder_of_everything_beside_partitions_adds_nothing_and_two_partitions_are_refused(tmp_path):
    emotions = {"a": "joy", "b": "anger", "c": "joy"}
    wavs = {name: f"{name}.wav" for name in emotions}
    data_folder(tmp_path / "data/all", wav_scp=lines(wavs), utt2emo=lines(emotions))
    data_folder(tmp_path / "data/train", wav_scp=["a a.wav"], utt2emo=["a joy"])
    data_folder(tmp_path / "data/test", wav_scp=["b b.wav"], utt2emo=["b anger"])
    found = {record.file.stem: record.partition for record in records(tmp_path)}
    assert found == {"a": "train", "b": "test", "c": None} and len(records(tmp_path)) == 3
    data_folder(tmp_path / "data/test", wav_scp=["a a.wav"], utt2emo=["a joy"])
    with pytest.raises(ValueError, match=r"The utterance a is in .*test and in .*train, which are two partitions"):
        records(tmp_path)


def test_a_data_folder_without_utterances_is_named(tmp_path):
    data_folder(tmp_path / "mine", wav_scp=[], utt2emo=["a joy"])
    with pytest.raises(FileNotFoundError, match=r"mine has Kaldi's wav.scp, but no utterance is in it"):
        records(tmp_path / "mine")


def test_an_id_that_is_there_twice_is_refused(tmp_path):
    data_folder(tmp_path, wav_scp=["a a.wav", "a b.wav"], utt2emo=["a joy"])
    with pytest.raises(ValueError, match=r"wav.scp, line 2: a is there twice, first in line 1"):
        records(tmp_path)


def test_data_folders_of_several_corpora_are_several_corpora(tmp_path):
    for name in ("first", "second"):
        data_folder(tmp_path / name, wav_scp=["a a.wav"], utt2emo=["a joy"])
        touch(tmp_path / name, "a.wav")
    assert find_corpora(tmp_path).found == {name: tmp_path / name for name in ("first", "second")}


def test_a_data_folder_without_emotions_is_no_corpus(tmp_path):
    data_folder(tmp_path / "asr", wav_scp=["a a.wav"], utt2spk=["a x"], text=["a hello"])
    touch(tmp_path / "asr", "a.wav")
    assert not find_corpora(tmp_path).found


def test_paths_from_another_machine_are_found_below_the_corpus(tmp_path):
    root = data_folder(
        tmp_path / "mine" / "data" / "train",
        wav_scp=["a /export/old/mine/wav/a.wav", "b wav/b.wav", "c /nowhere/c.wav"],
        utt2emo=["a joy", "b joy", "c joy"],
    ).parents[1]
    touch(root, "wav/a.wav", "wav/b.wav")
    found = sorted(record.path for record in records(root))
    assert found == sorted([str(root / "wav/a.wav"), str(root / "wav/b.wav"), str(root / "/nowhere/c.wav")])


def test_ratings_need_no_emotions_and_have_the_scale_of_the_entry(tmp_path, caplog):
    ratings = {"utt2arousal": ["a 3,5", "b 2"], "utt2valence": ["a 1", "b 5"]}
    root = data_folder(tmp_path, wav_scp=["a a.wav", "b b.wav"], utt2lang=["a German"], **ratings)
    listing = list_corpus("mine", root, rating_scale=(1, 5))
    found = [(item.record.arousal, item.record.rating_scale, item.record.language) for item in listing.utterances]
    assert found == [(3.5, (1.0, 5.0), "de"), (2.0, (1.0, 5.0), None)] and not caplog.records


def test_a_map_of_columns_is_refused_for_what_has_none(tmp_path):
    root = data_folder(tmp_path, wav_scp=["a a.wav"], utt2emo=["a joy"])
    with pytest.raises(ValueError, match="has no table: it has Kaldi's wav.scp. Leave out the map"):
        list_corpora({"mine": root}, columns={"mine": {"speaker": "who"}})
