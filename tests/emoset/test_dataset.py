"""The built dataset: opened with plain datasets, completed after an interruption, filtered."""

import hashlib
import shutil
import subprocess
import sys

import datasets
import pyarrow.parquet as pq
import pytest
import soundfile

from exhubert import SIX_CLASSES
from exhubert.emoset import build, load
from exhubert.emoset.dealing.partition import LeakageError
from exhubert.emoset.listing import list_corpus

from ..conftest import write_tone
from .conftest import MOVED, manifest


def test_built_dataset_opens_with_plain_datasets_where_exhubert_is_missing(emo_db, tmp_path):
    build({"emo_db": emo_db}, tmp_path / "out")
    code = (
        "import sys; sys.modules['exhubert'] = None\n"
        "from datasets import Audio, load_dataset\n"
        f"rows = load_dataset('parquet', data_files='{tmp_path}/out/*/*-train*.parquet', split='train')\n"
        "rows = rows.cast_column('audio', Audio(decode=False))\n"
        "print(rows.features['label'].int2str(rows[0]['label']), len(rows[0]['audio']['bytes']) > 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, has_audio = done.stdout.split()
    assert name in SIX_CLASSES and has_audio == "True"


def test_a_second_build_keeps_what_is_there_and_notices_a_new_file(emo_db, tmp_path):
    out = tmp_path / "out"
    build({"emo_db": emo_db}, out)
    shards = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("emo_db/*.parquet")}
    build({"emo_db": emo_db}, out)
    assert all(path.stat().st_mtime_ns == time for path, (time, _) in shards.items())
    write_tone(emo_db / "wav/03a02Na.wav", frequency=333.0)
    assert build({"emo_db": emo_db}, out)["emo_db"].utterances == 36
    (emo_db / "wav/03a02Na.wav").unlink()
    build({"emo_db": emo_db}, out)
    assert all(path.read_bytes() == content for path, (_, content) in shards.items())


def test_a_summary_says_how_the_corpus_was_built_and_stays_the_same(emo_db, tmp_path):
    (tmp_path / "mine.yaml").write_text("emo_db: {L: low_neutral, T: null}\n")
    out = tmp_path / "out"
    summary = build({"emo_db": emo_db}, out, seed=3, scheme=tmp_path / "mine.yaml")["emo_db"]
    assert summary.seed == 3 and summary.scheme == {
        "name": "mine.yaml",
        "sha256": hashlib.sha256((tmp_path / "mine.yaml").read_bytes()).hexdigest(),
        "map": {"emo_db": {"L": "low_neutral", "T": None}},
    }
    assert summary.versions["datasets"] == datasets.__version__
    assert {"exhubert", "soundfile", "soxr", "numpy"} <= set(summary.versions)
    files = {path: path.read_bytes() for path in out.rglob("*.json")}
    build({"emo_db": emo_db}, out, seed=3, scheme=tmp_path / "mine.yaml")
    assert files == {path: path.read_bytes() for path in files}
    other = build({"emo_db": emo_db}, out)["emo_db"]
    assert other.scheme == {"name": "default"} and other.catalog_sha256 != summary.catalog_sha256
    assert build({"emo_db": emo_db}, tmp_path / "out2")["emo_db"].catalog_sha256 == other.catalog_sha256


def test_a_corpus_built_before_a_column_was_added_loads_beside_new_ones(emo_db, tmp_path):
    out, own = tmp_path / "out", tmp_path / "own"
    build({"emo_db": emo_db}, out)
    for path in out.glob("emo_db/*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns("channel"), path)
    for index in range(3):
        write_tone(own / f"{index}.wav", frequency=100.0 + index)
    lines = ["file,label,speaker,channel", *(f"{index}.wav,joy,s{index},0" for index in range(3))]
    build({"own": manifest(own, lines)}, out)
    channels = [(row["corpus"], row["channel"]) for part in load(out).values() for row in part]
    assert sorted(channels, key=str) == [("emo_db", None)] * 35 + [("own", 0)] * 3


def test_an_interrupted_build_never_loads_and_is_completed_by_the_next(emo_db, tmp_path):
    out = tmp_path / "out"
    (out / "emo_db.incomplete").mkdir(parents=True)
    (out / "emo_db.incomplete" / "emoset_plus_plus-train.parquet").write_bytes(b"half")
    with pytest.raises(FileNotFoundError, match="holds no finished dataset"):
        load(out)
    build({"emo_db": emo_db}, out)
    assert sum(map(len, load(out).values())) == 35
    assert not (out / "emo_db.incomplete").exists()


def test_the_same_audio_in_two_partitions_fails_the_build(tmp_path):
    root = tmp_path / "own"
    for name in ("a.wav", "b.wav"):
        write_tone(root / name)
    shutil.copy(root / "a.wav", root / "c.wav")
    lines = ["file,label,speaker,partition", "a.wav,joy,anna,train", "b.wav,joy,ben,validation", "c.wav,joy,cleo,test"]
    with pytest.raises(LeakageError, match="same audio stand in two partitions: own/[ac] "):
        build({"own": manifest(root, lines)}, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="holds no finished dataset"):
        load(tmp_path / "out")


def test_filters_by_corpus_and_language_and_names_what_is_missing(emo_db, tmp_path):
    out = tmp_path / "out"
    build({"emo_db": emo_db}, out)
    assert sum(map(len, load(out, languages=["de"]).values())) == 35
    with pytest.raises(ValueError, match="in the languages fr"):
        load(out, languages=["fr"])
    with pytest.raises(FileNotFoundError, match="holds emo_db, but not urdu"):
        load(out, corpora=["urdu"])


def test_a_failed_check_after_the_work_leaves_the_finished_dataset_as_it_was(emo_db, tmp_path):
    out = tmp_path / "out"
    build({"emo_db": emo_db}, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    # the same audio in another format: no file is equal, and only the decoded audio tells
    parts = {item.record.speaker: item.partition for item in list_corpus("emo_db", emo_db).utterances}
    root = tmp_path / "flac"
    lines = ["file,label,speaker,partition"]
    for path in sorted((emo_db / "wav").iterdir()):
        samples, rate = soundfile.read(path, dtype="int16")
        root.mkdir(exist_ok=True)
        soundfile.write(root / f"{path.stem}.flac", samples, rate)
        lines.append(f"{path.stem}.flac,joy,{path.name[:2]},{MOVED[parts[path.name[:2]]]}")
    with pytest.raises(LeakageError, match="same audio stand in two partitions"):
        build({"flac": manifest(root, lines)}, out)
    assert sum(map(len, load(out).values())) == 35
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not list(out.glob("flac*/*.parquet")), "opened with plain datasets, too, it is as it was"
    build({"emo_db": emo_db}, out)
