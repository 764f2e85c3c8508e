"""The same audio in two corpora is found from files alone, before anything is decoded or written."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exhubert.emoset import EmoSetPlusPlus, build, load
from exhubert.emoset.checks.shared_audio import check_shared_audio
from exhubert.emoset.dealing.partition import LeakageError
from exhubert.emoset.listing import list_corpus

from ...conftest import write_tone
from ..conftest import MOVED, manifest


def twin(emo_db, tmp_path, partition):
    """A manifest over copies of EMO-DB's files, with a partition for each speaker."""
    root = tmp_path / "mine"
    shutil.copytree(emo_db / "wav", root)
    lines = [f"{path.name},joy,{path.name[:2]},{partition[path.name[:2]]}" for path in sorted(root.glob("*.wav"))]
    return manifest(root, ["file,label,speaker,partition", *lines])


def partitions_of(emo_db):
    return {item.record.speaker: item.partition for item in list_corpus("emo_db", emo_db).utterances}


def test_the_same_files_in_two_corpora_and_partitions_are_found_before_any_work(emo_db, tmp_path):
    copy = twin(emo_db, tmp_path, {speaker: MOVED[part] for speaker, part in partitions_of(emo_db).items()})
    with pytest.raises(LeakageError, match=r"35 recordings .* emo_db/wav/\w+ \(\w+\) and mine/\w+ \(\w+\)"):
        build({"emo_db": emo_db, "mine": copy}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_files_as_a_corpus_built_earlier_are_found_before_any_work(emo_db, tmp_path):
    out = tmp_path / "out"
    copy = twin(emo_db, tmp_path, {speaker: MOVED[part] for speaker, part in partitions_of(emo_db).items()})
    build({"emo_db": emo_db}, out)
    with pytest.raises(LeakageError, match=r"emo_db/wav/\w+ \(\w+\) and mine/\w+ \(\w+\)"):
        build({"mine": copy}, out)
    assert sum(map(len, load(out).values())) == 35 and not list(out.glob("mine*"))


def test_copies_in_the_same_partition_are_kept_and_named(emo_db, tmp_path, caplog):
    copy = twin(emo_db, tmp_path, partitions_of(emo_db))
    summaries = build({"emo_db": emo_db, "mine": copy}, tmp_path / "out")
    assert {name: facts.utterances for name, facts in summaries.items()} == {"emo_db": 35, "mine": 35}
    assert "35 recordings are the same in two corpora, such as emo_db/wav/03a01Aa" in caplog.text


def test_the_same_recordings_as_files_and_as_rows_of_a_table_are_found_before_any_work(emo_db, tmp_path):
    parts = {speaker: MOVED[part] for speaker, part in partitions_of(emo_db).items()}
    rows = [
        {
            "audio": {"bytes": path.read_bytes()},
            "emotion": "joy",
            "speaker": path.name[:2],
            "split": parts[path.name[:2]],
        }
        for path in sorted((emo_db / "wav").glob("*.wav"))
    ]
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows" / "all.parquet")
    with pytest.raises(LeakageError, match=r"35 recordings .* emo_db/wav/\w+ \(\w+\) and rows/all.parquet/\d+ \(\w+\)"):
        build({"emo_db": emo_db, "rows": tmp_path / "rows"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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


def test_two_channels_of_one_recording_are_different_audio_and_the_mix_is_both(tmp_path):
    roots = {}
    for corpus in ("left", "right"):
        write_tone(tmp_path / corpus / "a.wav", 0.5, channels=2)
        roots[corpus] = manifest(tmp_path / corpus, ["file,label", "a.wav,joy"])
    listings = {corpus: list_corpus(corpus, root) for corpus, root in roots.items()}
    for channels, partitions, shared in [((0, 1), "ab", False), ((0, 0), "ab", True), ((0, None), "ab", True)]:
        changed = {}
        for (corpus, listing), channel, part in zip(listings.items(), channels, partitions, strict=True):
            (item,) = listing.utterances
            utterance = replace(item, record=replace(item.record, channel=channel), partition=part)
            changed[corpus] = replace(listing, utterances=[utterance])
        if shared:
            with pytest.raises(LeakageError):
                check_shared_audio(changed)
        else:
            check_shared_audio(changed)


def test_one_builder_of_several_corpora_compares_them_too(emo_db, tmp_path):
    twin(emo_db, emo_db.parent, {speaker: MOVED[part] for speaker, part in partitions_of(emo_db).items()})
    with pytest.raises(LeakageError, match="the same in two corpora"):
        EmoSetPlusPlus(config_name="all", root=emo_db.parent, cache_dir=str(tmp_path / "cache"))
