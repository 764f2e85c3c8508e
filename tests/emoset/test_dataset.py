"""The built dataset: opened with plain datasets, completed after an interruption, filtered."""

import shutil
import subprocess
import sys

import pytest
import soundfile

from exhubert import SIX_CLASSES
from exhubert.emoset import build, load
from exhubert.emoset.listing import list_corpus
from exhubert.emoset.partition import LeakageError

from ..conftest import write_tone
from .conftest import manifest


def test_built_dataset_opens_with_plain_datasets_where_exhubert_is_missing(emo_db, tmp_path):
    build({"emo_db": emo_db}, tmp_path / "out")
    code = (
        "import sys; sys.modules['exhubert'] = None\n"
        "from datasets import load_dataset\n"
        f"rows = load_dataset('parquet', data_files='{tmp_path}/out/*/*-train*.parquet', split='train')\n"
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


def twin(emo_db, tmp_path, partition):
    """A manifest over copies of EMO-DB's files, with a partition for each speaker."""
    root = tmp_path / "mine"
    shutil.copytree(emo_db / "wav", root)
    lines = [f"{path.name},joy,{path.name[:2]},{partition[path.name[:2]]}" for path in sorted(root.glob("*.wav"))]
    return manifest(root, ["file,label,speaker,partition", *lines])


def partitions_of(emo_db):
    return {item.record.speaker: item.partition for item in list_corpus("emo_db", emo_db).utterances}


def test_the_same_files_in_two_corpora_and_partitions_are_found_before_any_work(emo_db, tmp_path):
    moved = {"train": "test", "test": "validation", "validation": "train"}
    copy = twin(emo_db, tmp_path, {speaker: moved[part] for speaker, part in partitions_of(emo_db).items()})
    with pytest.raises(LeakageError, match=r"35 recordings .* emo_db/wav/\w+ \(\w+\) and mine/\w+ \(\w+\)"):
        build({"emo_db": emo_db, "mine": copy}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_files_as_a_corpus_built_earlier_are_found_before_any_work(emo_db, tmp_path):
    out = tmp_path / "out"
    moved = {"train": "test", "test": "validation", "validation": "train"}
    copy = twin(emo_db, tmp_path, {speaker: moved[part] for speaker, part in partitions_of(emo_db).items()})
    build({"emo_db": emo_db}, out)
    with pytest.raises(LeakageError, match=r"emo_db/wav/\w+ \(\w+\) and mine/\w+ \(\w+\)"):
        build({"mine": copy}, out)
    assert sum(map(len, load(out).values())) == 35 and not list(out.glob("mine*"))


def test_copies_in_the_same_partition_are_kept_and_named(emo_db, tmp_path, caplog):
    copy = twin(emo_db, tmp_path, partitions_of(emo_db))
    summaries = build({"emo_db": emo_db, "mine": copy}, tmp_path / "out")
    assert {name: facts.utterances for name, facts in summaries.items()} == {"emo_db": 35, "mine": 35}
    assert "35 recordings are the same in two corpora, such as emo_db/wav/03a01Aa" in caplog.text


@pytest.mark.parametrize("way", ["same", "link", "nested"])
def test_one_folder_under_two_ids_is_refused_before_any_work(emo_db, tmp_path, way):
    parts = partitions_of(emo_db)
    lines = [f"{path.name},joy,{path.name[:2]},{parts[path.name[:2]]}" for path in sorted((emo_db / "wav").iterdir())]
    manifest(emo_db / "wav", ["file,label,speaker,partition", *lines])
    (tmp_path / "link").symlink_to(emo_db / "wav")
    first = emo_db if way == "nested" else emo_db / "wav"
    second = tmp_path / "link" if way == "link" else emo_db / "wav"
    with pytest.raises(
        ValueError, match=r"35 recordings are read from the same files by two .*Build only one of the corpora"
    ):
        build({"emo_db" if way == "nested" else "ours": first, "mine": second}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_recording_and_a_part_of_its_copy_in_two_partitions_are_found(tmp_path, earlier):
    roots = {}
    for corpus, lines in {"calls": ["a.wav,joy,x,0,0.4,train"], "parts": ["a.wav,joy,y,0.3,0.5,test"]}.items():
        write_tone(tmp_path / corpus / "a.wav", 1.0)
        roots[corpus] = manifest(tmp_path / corpus, ["file,label,speaker,start,end,partition", *lines])
    if earlier:
        build({"calls": roots.pop("calls")}, tmp_path / "out")
    with pytest.raises(LeakageError, match=r"calls/a#0.000-0.400 \(train\) and parts/a#0.300-0.500 \(test\)"):
        build(roots, tmp_path / "out")
    assert not list((tmp_path / "out").glob("parts*"))
    lines = ["file,label,speaker,start,end,partition", "a.wav,joy,y,0.4,0.6,test"]
    assert build({"parts": manifest(tmp_path / "parts", lines)}, tmp_path / "out")["parts"].utterances == 1


def test_equal_damaged_files_are_no_leak_and_each_is_rejected(tmp_path):
    roots = {}
    for corpus, part in (("first", "train"), ("second", "test")):
        write_tone(tmp_path / corpus / f"{corpus}.wav", frequency=200.0 + len(corpus) * 50)
        (tmp_path / corpus / "lost.wav").write_text("404: not found")
        (tmp_path / corpus / "also lost.wav").write_text("404: not found")
        lines = [f"{corpus}.wav,joy,a,{part}", f"lost.wav,joy,a,{part}", f"also lost.wav,joy,b,{part}"]
        roots[corpus] = manifest(tmp_path / corpus, ["file,label,speaker,partition", *lines])
    summaries = build(roots, tmp_path / "out")
    assert [facts.rejected for facts in summaries.values()] == [2, 2]


def test_a_failed_check_after_the_work_leaves_the_finished_dataset_as_it_was(emo_db, tmp_path):
    out = tmp_path / "out"
    build({"emo_db": emo_db}, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    # the same audio in another format: no file is equal, and only the decoded audio tells
    moved = {"train": "test", "test": "validation", "validation": "train"}
    root = tmp_path / "flac"
    lines = ["file,label,speaker,partition"]
    for path in sorted((emo_db / "wav").iterdir()):
        samples, rate = soundfile.read(path, dtype="int16")
        root.mkdir(exist_ok=True)
        soundfile.write(root / f"{path.stem}.flac", samples, rate)
        lines.append(f"{path.stem}.flac,joy,{path.name[:2]},{moved[partitions_of(emo_db)[path.name[:2]]]}")
    with pytest.raises(LeakageError, match="same audio stand in two partitions"):
        build({"flac": manifest(root, lines)}, out)
    assert sum(map(len, load(out).values())) == 35
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not list(out.glob("flac*/*.parquet")), "opened with plain datasets, too, it is as it was"
    build({"emo_db": emo_db}, out)
