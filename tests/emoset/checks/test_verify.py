"""A copy is complete if its utterances and its hours are those of the catalog."""

import hashlib
from dataclasses import replace
from itertools import product

import pytest

from exhubert.cli.main import main
from exhubert.emoset import entry
from exhubert.emoset.catalog import Archive
from exhubert.emoset.checks.verify import verify, verify_archives

from ...conftest import SHARED_CORPORA, write_tone
from ..conftest import touch

NAMES = [f"wav/{speaker}a01{emotion}a.wav" for speaker, emotion in product(("03", "08", "09", "10"), "WLEAFTN")]


@pytest.fixture
def small():
    """EMO-DB's entry, as if 28 utterances of 0.2 to 0.47 s were all of it."""
    hours = sum(range(20, 48)) / 100 / 3600
    return {"emo_db": replace(entry("emo_db"), speakers=4, utterances=28, releases={}, hours=hours)}


def status(small, root):
    (finding,) = verify(small, {"emo_db": root})
    return finding.status, finding.detail


def test_a_copy_with_the_hours_of_the_catalog_is_complete(small, tmp_path):
    for index, name in enumerate(NAMES):
        write_tone(tmp_path / name, 0.2 + 0.01 * index)
    assert status(small, tmp_path) == ("complete", "28 of 28 utterances (the corpus)")
    touch(tmp_path, "laryngo/03a01Wa.wav")
    assert status(small, tmp_path)[1].endswith("1 files in laryngo are left out: signals that are no speech")


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, "shortened"), (0.6, "lengthened")])
def test_a_copy_cut_or_padded_to_one_length_is_not_complete(small, tmp_path, seconds, expected):
    for index, name in enumerate(NAMES):
        write_tone(tmp_path / name, seconds if index < 20 else 0.2 + 0.01 * index)
    found, detail = status(small, tmp_path)
    assert found == expected
    assert f"20 of 28 recordings last exactly {seconds:.3f} s: cut or padded to one length" in detail


def test_hours_from_memory_decide_nothing_and_missing_utterances_come_first(small, tmp_path):
    for name in NAMES:
        write_tone(tmp_path / name, 0.2)
    small["emo_db"] = replace(small["emo_db"], uncertain=["hours"])
    assert status(small, tmp_path)[0] == "complete"
    (tmp_path / NAMES[0]).unlink()
    assert status(small, tmp_path)[0] == "partial"


def test_a_copy_with_files_that_cannot_be_read_is_not_complete(small, tmp_path):
    for index, name in enumerate(NAMES):
        write_tone(tmp_path / name, 0.2 + 0.01 * index)
    (tmp_path / NAMES[0]).write_text("version https://git-lfs.github.com/spec/v1\n")
    found, detail = status(small, tmp_path)
    assert found == "damaged" and "1 recordings can't be read, such as 03a01Wa.wav" in detail


def test_enterface_as_its_archive_lays_it_out_is_complete(tmp_path):
    emotions = {"anger": "an", "disgust": "di", "fear": "fe", "happiness": "ha", "sadness": "sa", "surprise": "su"}
    for subject, (emotion, code) in product(range(1, 45), emotions.items()):
        if subject == 6:  # not cut into sentences
            touch(tmp_path, f"subject 6/{emotion}/s6_{code}.avi")
            continue
        for sentence in range(3 if (subject, code) == (23, "ha") else 0, 5):
            touch(tmp_path, f"subject {subject}/{emotion}/sentence {sentence + 1}/s{subject}_{code}_{sentence + 1}.avi")
    (finding,) = verify({"enterface": entry("enterface")}, {"enterface": tmp_path})
    assert (finding.status, finding.detail) == ("complete", "1293 of 1293 utterances (the corpus)")


def test_a_copy_at_another_sampling_rate_is_resampled(small, tmp_path):
    for index, name in enumerate(NAMES):
        write_tone(tmp_path / name, 0.2 + 0.01 * index, rate=22_050 if index < 3 else 16_000)
    found, detail = status(small, tmp_path)
    assert found == "resampled" and "3 at 22050 Hz, 16000 Hz in the catalog" in detail


@pytest.mark.parametrize(("hours", "expected"), [(0.0026, "complete"), (0.003, "complete"), (0.00299, "shortened")])
def test_hours_are_as_exact_as_the_catalog_gives_them(small, tmp_path, hours, expected):
    for index, name in enumerate(NAMES):  # 0.0026 h, which rounds to 0.003
        write_tone(tmp_path / name, 0.2 + 0.01 * index)
    small["emo_db"] = replace(small["emo_db"], hours=hours)
    assert status(small, tmp_path)[0] == expected


def test_archives_are_compared_with_their_published_size_and_checksum(tmp_path, capsys):
    content = b"PK" + bytes(range(256))
    archive = Archive(len(content), hashlib.md5(content).hexdigest())
    entries = {"ravdess": replace(entry("ravdess"), archives={"speech.zip": archive})}
    (tmp_path / "downloads").mkdir()
    path = tmp_path / "downloads" / "speech.zip"
    for written, expected in ((content, "as published"), (content[:-1], "incomplete"), (content[::-1], "altered")):
        path.write_bytes(written)
        (finding,) = verify_archives(entries, tmp_path)
        assert (finding.corpus, finding.status) == ("ravdess", expected)
    (tmp_path / "downloads/Audio_Speech_Actors_01-24.zip").write_bytes(b"PK")
    path.unlink()
    assert main(["emoset", "verify", "--root", str(tmp_path / "downloads")]) == 1
    printed = capsys.readouterr()
    assert "ravdess  incomplete" in printed.out and "208468073 as published" in printed.out
    assert "unpack each into a folder of its own" in printed.err


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
def test_the_real_copy_of_emo_db_is_shortened_and_urdu_is_complete():
    entries = {name: entry(name) for name in ("emo_db", "urdu")}
    emo_db, urdu = verify(entries, {name: SHARED_CORPORA / name for name in entries})
    assert (emo_db.status, urdu.status) == ("shortened", "complete")
    assert "0.30 h, 0.41 h in the catalog; 535 at 22050 Hz, 16000 Hz in the catalog" in emo_db.detail
    assert "535 of 535 recordings last exactly 2.000 s" in emo_db.detail


@pytest.mark.parametrize(
    ("corpus", "name"),
    [("emo_db", "wav/03a01Wa.aac"), ("emo_db", "wav/03a01Wa.amr"), ("emotiw_2014", "Train_AFEW/Angry/000046280.mpg")],
)
def test_formats_whose_headers_are_not_read_are_no_damage(tmp_path, corpus, name):
    touch(tmp_path, name)
    (finding,) = verify({corpus: replace(entry(corpus), utterances=1, releases={})}, {corpus: tmp_path})
    assert finding.status == "complete" and "can't be read" not in finding.detail
