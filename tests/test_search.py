"""The search for recordings: every ending that can be read, in either case; links to folders once; no circles."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio_containers import CONTAINERS
from exhubert.cli.main import main
from exhubert.cli.options import find_recordings
from exhubert.emoset.readers import read
from exhubert.emoset.sources import find_corpora
from exhubert.search import ENDINGS, SUFFIXES, files_in

from .conftest import contained, write_tone

NOT_SOUND = {"avif", "heic", "heif", "mj2", "mks", "apl", "mac"}  # pictures, subtitles, and too common otherwise
UNREAD = {"HTK", "MAT4", "MAT5", "MPC2K", "RAW", "SD2", "SDS"}  # without a header or refused; or with other meanings
CODECS = {
    "3gp": "aac", "ac3": "ac3", "amr": "libopencore_amrnb", "asf": "aac", "avi": "pcm_s16le", "eac3": "eac3",
    "flv": "aac", "matroska": "libopus", "mov": "aac", "mp4": "aac", "mpeg": "mp2", "mpegts": "mp2", "nut": "aac",
    "rm": "ac3", "tta": "tta", "webm": "libopus", "wv": "wavpack", "ipod": "aac", "adts": "aac", "mp2": "mp2",
}  # fmt: skip


def test_every_format_that_the_libraries_read_has_endings():
    av = pytest.importorskip("av")
    assert set(CONTAINERS.split(",")) | set(soundfile.available_formats()) == set(ENDINGS) | UNREAD
    for name in CONTAINERS.split(","):
        known = set(ENDINGS[name].split())
        for mode in "rw":
            try:
                endings = av.format.ContainerFormat(name, mode).extensions
            except ValueError:
                continue  # ffmpeg doesn't write it
            assert {f".{ending}" for ending in endings - NOT_SOUND} <= set(SUFFIXES), name
            assert known & endings or not endings - NOT_SOUND, name


def test_files_of_all_formats_that_can_be_written_are_found_and_read(tmp_path):
    av = pytest.importorskip("av")
    rng = np.random.default_rng(0)
    for name, codec in CODECS.items():
        rate = 8_000 if "amr" in codec else 48_000
        content = contained(0.1 * rng.standard_normal((rate, 1)), rate, name, codec)
        for number, ending in enumerate(sorted(av.format.ContainerFormat(name, "w").extensions)):
            (tmp_path / f"{name}.{ending.upper() if number else ending}").write_bytes(content)
    for name in set(soundfile.available_formats()) - UNREAD:
        subtype = soundfile.default_subtype(name)
        for ending in ENDINGS[name].split():
            rate = 8_000 if name == "WVE" else 44_100 if name == "XI" else 16_000
            with (tmp_path / f"{name}.{ending}").open("wb") as file:
                soundfile.write(file, 0.1 * rng.standard_normal(rate), rate, subtype, format=name)
    found = set(find_recordings([str(tmp_path)]))
    assert found == {str(path) for path in tmp_path.iterdir()} and len(found) > 60
    for path in found:
        assert len(load_audio(path)) > 10_000, path


def test_sound_that_is_not_read_is_counted_and_other_files_are_not(tmp_path, capsys):
    write_tone(tmp_path / "deep" / "A.WAV")
    for name in ("a.raw", "b.RAW", "c.mid", "notes.txt", "._A.WAV", "page.ts", "__MACOSX/A.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("export const answer = 42;\n" * 20)
    assert main(["predict", str(tmp_path), "--model", str(tmp_path / "nowhere")]) == 1
    assert (
        "skipped because their endings stand for sound that isn't read: .mid (1), .raw (2)" in capsys.readouterr().err
    )
    assert list(find_recordings([str(tmp_path)])) == [str(tmp_path / "deep" / "A.WAV")]


@pytest.fixture
def linked(tmp_path):
    """A folder of recordings with links of all kinds; the recordings of `elsewhere` are only reached by a link."""
    root = tmp_path / "data"
    for name in ("data/real/a.wav", "elsewhere/b.wav", "elsewhere/deep/c.wav"):
        write_tone(tmp_path / name)
    (root / "above").symlink_to("..")
    (root / "again").symlink_to("real", target_is_directory=True)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "real" / "circle").symlink_to("..")
    (root / "real" / "other").symlink_to("../link")
    (tmp_path / "elsewhere" / "back").symlink_to(root / "real")
    (root / "broken").symlink_to("nothing")
    (root / "broken.wav").symlink_to("nothing.wav")
    (root / "file.wav").symlink_to("real/a.wav")
    return root


def test_links_to_folders_are_followed_once(linked):
    names = ["broken.wav", "file.wav", "link/b.wav", "link/deep/c.wav", "real/a.wav"]
    assert list(find_recordings([str(linked)])) == [str(linked / name) for name in names]
    assert [path.relative_to(linked).as_posix() for path in files_in(linked, "deep/*.wav")] == ["link/deep/c.wav"]
    os.chdir(linked.parent)
    assert sorted(map(str, files_in(linked.relative_to(linked.parent)))) == sorted(
        f"data/{name}" for name in [*names, "broken"]
    )


def test_a_corpus_behind_links_is_read(emo_db_tones, tmp_path):
    """The corpus's folder may be a link, and so may the folder in it; names stay those below the root."""
    root = tmp_path / "corpora"
    root.mkdir()
    (root / "emo_db").symlink_to(emo_db_tones)
    shutil.move(emo_db_tones / "wav", tmp_path / "disk")
    (emo_db_tones / "wav").symlink_to(tmp_path / "disk")
    assert find_corpora(root).found == {"emo_db": root / "emo_db"}
    records = list(read("emo_db", root / "emo_db"))
    assert [record.file for record in records] == [root / "emo_db" / "wav" / f"03a01{letter}a.wav" for letter in "FNW"]


def test_annotations_behind_links_are_read(tmp_path):
    session = tmp_path / "disk" / "Session1"
    (session / "dialog" / "EmoEvaluation").mkdir(parents=True)
    (session / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt").write_text(
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\n"
    )
    (tmp_path / "iemocap").mkdir()
    (tmp_path / "iemocap" / "Session1").symlink_to(session)
    (record,) = read("iemocap", tmp_path / "iemocap")
    assert record.file == tmp_path / "iemocap/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"


@pytest.fixture
def emo_db_tones(tmp_path):
    for letter in "FNW":
        write_tone(tmp_path / "copy" / "wav" / f"03a01{letter}a.wav")
    return tmp_path / "copy"
