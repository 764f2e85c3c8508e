"""The builder: what is on disk becomes rows; nothing bad stops it, and nothing half-built is taken for whole."""

import io
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from datasets import load_dataset

from exhubert import SIX_CLASSES
from exhubert.audio import AudioError
from exhubert.emoset import EmoSetPlusPlus, build, load
from exhubert.emoset.builder import check_usable
from exhubert.emoset.dealing.partition import LeakageError

from ..conftest import SHARED_CORPORA, bad_files, write_tone
from .conftest import manifest


def test_rows_hold_16_khz_flac_with_class_speaker_and_source(emo_db, tmp_path):
    build({"emo_db": emo_db}, tmp_path / "out")
    data = load(tmp_path / "out")
    rows = {row["utterance_id"]: row for part in data.values() for row in part}
    assert len(rows) == 35
    row = rows["emo_db/wav/03a01Wa"]
    samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
    assert rate == 16_000 and len(samples) == 8000
    assert data["train"].features["label"].names == list(SIX_CLASSES)
    assert SIX_CLASSES[row["label"]] == "high_negative" and (row["arousal"], row["valence"]) == ("high", "negative")
    assert row["speaker"] == "emo_db/03" and row["gender"] == "male" and row["language"] == "de"
    assert row["source_file"] == "wav/03a01Wa.wav" and row["source_sampling_rate"] == 22_050
    assert row["duration"] == pytest.approx(0.5, abs=1e-3)


def test_no_speaker_is_in_two_partitions_and_the_summary_counts_them(emo_db, tmp_path):
    summary = build({"emo_db": emo_db}, tmp_path / "out")["emo_db"]
    speakers = {name: set(part["speakers"]) for name, part in summary.partitions.items()}
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values())) == 5
    assert summary.utterances == 35 and summary.speaker_independent
    data = load(tmp_path / "out")
    assert {name: len(rows) for name, rows in data.items()} == {
        name: part["utterances"] for name, part in summary.partitions.items()
    }


def test_a_recorders_offset_is_silence_and_the_quietest_voice_is_not():
    voice = 1.2e-4 * np.sin(np.arange(11_025) / 9)
    for offset in (0.0, 0.01, -0.3):
        check_usable((voice + offset).astype(np.float32), 22_050, "quiet.wav")
        with pytest.raises(AudioError, match=r"dead.wav: the recording is silent"):
            check_usable((0.5 * voice + offset).astype(np.float32), 22_050, "dead.wav")


def test_bad_recordings_are_set_aside_with_reasons_and_the_build_goes_on(emo_db, tmp_path):
    bad_files(tmp_path)
    bad = {"empty.wav": "03a02Wa", "text.wav": "03a04Wa", "zero.wav": "03a05Wa", "nan.wav": "03a07Wa"}
    for name, target in bad.items():
        shutil.copy(tmp_path / name, emo_db / "wav" / f"{target}.wav")
    soundfile.write(emo_db / "wav" / "03b01Wa.wav", np.zeros(8000), 16_000)
    summary = build({"emo_db": emo_db}, tmp_path / "out")["emo_db"]
    assert summary.utterances == 35 and summary.rejected == 5
    lines = [json.loads(line) for line in (tmp_path / "out/emo_db/rejected.jsonl").read_text().splitlines()]
    reasons = {line["file"].split("/")[-1]: line["reason"] for line in lines}
    assert "empty (0 bytes)" in reasons["03a02Wa.wav"] and "silent" in reasons["03b01Wa.wav"]
    assert "NaN" in reasons["03a07Wa.wav"] and len(reasons) == 5


@pytest.mark.slow
@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_build_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path, num_proc):
    roots = {}
    for corpus in ("first", "second"):
        root = tmp_path / corpus
        lines = ["file,label,speaker"]
        for index in range(150):
            write_tone(root / f"{index}.wav", 0.5, 44_100, frequency=100.0 + index)
            lines.append(f"{index}.wav,{('joy', 'anger', 'sadness')[index % 3]},s{index % 7}")
        roots[corpus] = manifest(root, lines)
    whole = tmp_path / "whole"
    build(roots, whole)
    expected = {path.relative_to(whole): path.read_bytes() for path in whole.glob("*/*.parquet")}

    killed = tmp_path / "killed"
    code = f"from exhubert.emoset import build; build({ {k: str(v) for k, v in roots.items()}!r}, {str(killed)!r})"
    for delay in (0.0, 0.3, 0.6):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(killed.glob("*.incomplete")):
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        if process.wait() == -9 and not (killed / "summary.json").is_file():
            with pytest.raises(FileNotFoundError, match="holds no finished dataset"):
                load(killed)
    build(roots, killed, num_proc=num_proc)
    rows = {row["utterance_id"]: row for part in load(killed).values() for row in part}
    assert rows == {row["utterance_id"]: row for part in load(whole).values() for row in part}
    if num_proc == 1:
        assert {path.relative_to(killed): path.read_bytes() for path in killed.glob("*/*.parquet")} == expected


def test_a_corpus_of_your_own_is_read_from_its_manifest_in_segments(tmp_path):
    root = tmp_path / "calls"
    lines = ["file,label,speaker,start,end"]
    for index in range(3):
        write_tone(root / f"call{index}.wav", 2.0, frequency=200.0 + 50 * index)
        lines += [f"call{index}.wav,joy,p{index},0.0,0.8", f"call{index}.wav,hostile,p{index},1.0,1.5"]
        lines += [f"call{index}.wav,anger,p{index},1.0,1.5"]
    summary = build({"calls": manifest(root, lines)}, tmp_path / "out")["calls"]
    assert summary.utterances == 6 and summary.dropped_labels == {"hostile": 3} and summary.rejected == 3
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert sorted(round(row["duration"], 3) for row in rows) == [0.5] * 3 + [0.8] * 3
    assert {row["corpus"] for row in rows} == {"calls"}


def write_call(path, voices):
    """A call with a speaker on each channel, each a noise of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = [0.1 * np.random.default_rng(voice).standard_normal(32_000) for voice in voices]
    soundfile.write(path, np.stack(noise, axis=1), 16_000)


def test_the_channels_of_a_call_are_utterances_of_their_speakers(tmp_path):
    root = tmp_path / "calls"
    lines = ["file,label,speaker,start,end,channel,partition"]
    for index, part in enumerate(("train", "validation", "test")):
        write_call(root / f"{index}.wav", (2 * index, 2 * index + 1))
        other = ("test", "train", "validation")[index]
        lines += [f"{index}.wav,joy,agent{index},,,0,{part}", f"{index}.wav,anger,caller{index},,,1,{other}"]
        lines += [f"{index}.wav,sadness,caller{index},0.5,1.5,1,{other}"]
        lines += [f"{index}.wav,sadness,caller{index},0.5,1.5,right,{other}"]
    lines += ["0.wav,joy,nobody,,,2,train"]
    summary = build({"calls": manifest(root, lines)}, tmp_path / "out")["calls"]
    assert summary.utterances == 9
    rejected = [json.loads(line) for line in (tmp_path / "out/calls/rejected.jsonl").read_text().splitlines()]
    reasons = sorted(line["reason"] for line in rejected)
    assert reasons[0].startswith("0.wav: channel 2, counted from 0, was asked for; there are 2.")
    assert reasons[1:] == [f"the same recording as calls/{index}#0.500-1.500#channel1" for index in range(3)]
    rows = {row["utterance_id"]: row for part in load(tmp_path / "out").values() for row in part}
    assert {name.removeprefix("calls/0") for name in rows if name.startswith("calls/0")} == {
        "#channel0", "#channel1", "#0.500-1.500#channel1",
    }  # fmt: skip
    for name, row in rows.items():
        call, _ = soundfile.read(root / row["source_file"])
        first, last = (8_000, 24_000) if row["start"] is not None else (0, 32_000)
        samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
        np.testing.assert_array_equal(samples, call[first:last, row["channel"]], err_msg=name)
        assert row["speaker"].startswith("calls/agent" if row["channel"] == 0 else "calls/caller")


def test_a_recording_whose_channels_cancel_is_built_from_its_louder_one(tmp_path):
    root = tmp_path / "own"
    for index in range(3):
        voice = 0.1 * np.random.default_rng(index).standard_normal(16_000)
        root.mkdir(exist_ok=True)
        soundfile.write(root / f"{index}.wav", np.stack([0.8 * voice, -voice], axis=1), 16_000)
    lines = ["file,label,speaker", *(f"{index}.wav,joy,s{index}" for index in range(3))]
    assert build({"own": manifest(root, lines)}, tmp_path / "out")["own"].utterances == 3
    for part in load(tmp_path / "out").values():
        for row in part:
            samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
            np.testing.assert_array_equal(samples, soundfile.read(root / row["source_file"])[0][:, 1])
            assert row["channel"] is None


def test_the_same_sound_on_both_channels_may_not_be_in_two_partitions(tmp_path):
    root = tmp_path / "own"
    for index in range(3):
        write_call(root / f"{index}.wav", (index, index))
    lines = ["file,label,speaker,channel,partition"]
    lines += [f"{index}.wav,joy,s{index},0,{part}" for index, part in enumerate(("train", "validation", "test"))]
    with pytest.raises(LeakageError, match=r"recordings with the same audio stand in two partitions: own/0#channel"):
        build({"own": manifest(root, [*lines, "0.wav,joy,other,1,test"])}, tmp_path / "out")


def test_a_speaker_in_two_official_partitions_fails_the_build_by_name(tmp_path):
    root = tmp_path / "own"
    for name in "abc":
        write_tone(root / f"{name}.wav", frequency=200.0 + 10 * ord(name))
    lines = ["file,label,speaker,partition", "a.wav,joy,anna,train", "b.wav,joy,anna,test", "c.wav,joy,ben,test"]
    with pytest.raises(LeakageError, match="anna \\(train and test\\)"):
        build({"own": manifest(root, lines)}, tmp_path / "out")
    assert not (tmp_path / "out" / "own").exists()


def test_the_builder_works_as_any_datasets_builder(emo_db, tmp_path):
    builder = EmoSetPlusPlus(config_name="emo_db", root=emo_db, cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    assert sum(map(len, builder.as_dataset().values())) == 35
    builder.download_and_prepare(str(tmp_path / "parquet"), file_format="parquet", num_proc=2)
    again = load_dataset(str(tmp_path / "parquet"))
    assert sum(map(len, again.values())) == 35


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
def test_real_corpora_build_whole_with_every_class_in_every_partition(tmp_path):
    roots = {name: SHARED_CORPORA / name for name in ("emo_db", "urdu")}
    summary = build(roots, tmp_path / "out")
    assert {name: facts.utterances for name, facts in summary.items()} == {"emo_db": 535, "urdu": 400}
    for facts in summary.values():
        assert facts.rejected == 0 and not facts.dropped_labels
        for part in facts.partitions.values():
            assert sum(count > 0 for count in part["classes"].values()) == 4
    for rows in load(tmp_path / "out").values():
        both = {(corpus, gender) for corpus in roots for gender in ("female", "male")}
        assert {*zip(rows["corpus"], rows["gender"], strict=True)} == both, "women and men are in each partition"
