"""The same recording in two corpora is found at another rate, level or encoding, and different recordings are not."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from exhubert.audio import read_audio, resample
from exhubert.cli.main import main
from exhubert.emoset.checks.near_duplicates import SAME, fingerprint, likeness, near_duplicates
from exhubert.emoset.readers import read

from ...conftest import SHARED_CORPORA

RATE = 22_050
real = pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")


def sound(seed, seconds=1.5):
    """Bands of noise that come and go at random, as in speech."""
    random = np.random.default_rng(seed)
    samples = np.zeros(int(seconds * RATE))
    times = np.arange(len(samples)) / RATE
    for frequency in (250, 500, 900, 1600, 2800):
        strength = np.interp(times, np.linspace(0, seconds, 16), random.uniform(0, 1, 16) ** 3)
        samples += strength * np.sin(2 * np.pi * frequency * times + random.uniform(0, 6))
    return (0.1 * samples + random.normal(0, 1e-3, len(samples))).astype(np.float32)


def encoded(samples, rate, form, subtype):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")


COPIES = {
    "at 16 kHz": lambda samples: (resample(samples, RATE, 16_000), 16_000),
    "at 8 kHz": lambda samples: (resample(samples, RATE, 8_000), 8_000),
    "quieter at 48 kHz": lambda samples: (0.05 * resample(samples, RATE, 48_000), 48_000),
    "mp3": lambda samples: encoded(samples, RATE, "MP3", "MPEG_LAYER_III"),
    "Vorbis": lambda samples: encoded(samples, RATE, "OGG", "VORBIS"),
    "later by 30 ms": lambda samples: (np.concatenate([np.zeros(int(0.03 * RATE), np.float32), samples]), RATE),
}


def corpus(root, sounds):
    """A corpus of one's own, with a manifest."""
    root.mkdir(parents=True)
    for name, (samples, rate) in sounds.items():
        soundfile.write(root / f"{name}.wav", samples, rate)
    lines = ["file,label,speaker", *(f"{name}.wav,anger,{name}" for name in sounds)]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_sounds_the_same_and_another_recording_does_not(kind):
    print_of = fingerprint(sound(1), RATE)
    assert likeness(print_of, fingerprint(*COPIES[kind](sound(1)))) >= SAME
    assert max(likeness(print_of, fingerprint(*COPIES[kind](sound(seed)))) for seed in range(2, 12)) < 0.8


def test_copies_are_found_in_two_corpora_and_reported(tmp_path, capsys):
    originals = {f"s{seed}": (sound(seed, 1.2 + seed / 10), RATE) for seed in range(6)}
    originals["short"] = (sound(9, 0.5), RATE)
    copies = {"a": COPIES["at 8 kHz"](originals["s2"][0]), "b": COPIES["mp3"](originals["s4"][0])}
    copies |= {"c": (sound(77, 1.4), RATE)}
    found = {"first": corpus(tmp_path / "first", originals), "second": corpus(tmp_path / "second", copies)}
    pairs, skipped = near_duplicates(found)
    assert {(pair.first, pair.second) for pair in pairs} == {
        ("first/s2.wav", "second/a.wav"), ("first/s4.wav", "second/b.wav")}  # fmt: skip
    assert all(SAME <= pair.likeness <= 1 for pair in pairs) and skipped == {"first": 1}
    assert main(["emoset", "verify", "--root", str(tmp_path), "--duplicates"]) == 0
    printed = capsys.readouterr().out
    assert "first and second share 2 recordings, such as first/s" in printed
    assert "first: 1 recordings were not compared; they last less than 1.0 s" in printed
    assert near_duplicates({"first": found["first"]})[0] == [], "copies within a corpus are the builder's affair"


def test_copies_in_rows_of_tables_are_found_also_between_corpora_of_one_dataset(tmp_path, capsys, caplog):
    def row(seed, name, samples):
        content = io.BytesIO()
        soundfile.write(content, samples, RATE, format="FLAC")
        return {"sound": {"bytes": content.getvalue(), "path": f"{seed}.flac"}, "feels": "anger", "from": name}

    first, second = (sound(seed, 1.2 + seed / 10) for seed in (1, 2))
    rows = [row(1, "calls", first), row(2, "calls", second), row(3, "films", 0.3 * second), row(4, "films", sound(4))]
    (tmp_path / "mixed").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mixed" / "train.parquet")
    corpus(tmp_path / "single", {"a": (0.2 * first, RATE)})
    broken = corpus(tmp_path / "broken", {"a": (sound(5), RATE)})
    (broken / "manifest.csv").write_text("file,label\n,joy\n")
    options = ["--columns", "mixed:audio=sound,label=feels,corpus=from"]
    assert main(["emoset", "verify", "--root", str(tmp_path), "--duplicates", *options]) == 0
    printed = capsys.readouterr().out
    assert "calls and films share 1 recordings, such as calls/train.parquet/2.flac and films/train" in printed
    assert "calls and single share 1 recordings, such as calls/train.parquet/1.flac and single/a.wav" in printed
    assert printed.count(" share ") == 2 and "broken isn't compared" in caplog.text


@real
def test_no_recording_of_emo_db_or_urdu_is_taken_for_another_and_copies_of_them_are_found(tmp_path):
    roots = {name: SHARED_CORPORA / name for name in ("emo_db", "urdu")}
    assert near_duplicates(roots)[0] == []
    records = [record for name, root in roots.items() for record in list(read(name, root))[::40]]
    kinds = [COPIES[name] for name in ("at 8 kHz", "mp3", "quieter at 48 kHz")]
    copies = {}
    for number, record in enumerate(records):
        samples, rate = read_audio(record.file)
        copies[f"c{number}"] = kinds[number % 3](resample(samples, rate, RATE))
    pairs, _ = near_duplicates(roots | {"copies": corpus(tmp_path / "copies", copies)})
    assert len(pairs) == len(records) and len({pair.second for pair in pairs}) == len(records)
    for pair in pairs:
        number = int(pair.second.removeprefix("copies/c").removesuffix(".wav"))
        assert pair.first.endswith(records[number].file.name)


@real
def test_different_recordings_of_one_corpus_differ_in_sound_too():
    records = list(read("emo_db", SHARED_CORPORA / "emo_db"))[::6]  # the same ten sentences by the same speakers
    prints = [fingerprint(*read_audio(record.file)) for record in records]
    assert max(likeness(one, other) for index, one in enumerate(prints) for other in prints[index + 1 :]) < SAME
