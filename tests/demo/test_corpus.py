"""The demo corpus: complete, reproducible, resumable, and with the cues it claims."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from exhubert.demo import LANGUAGES, synthesise
from exhubert.demo.__main__ import main
from exhubert.demo.channel import record
from exhubert.demo.corpus import COLUMNS, load_sentences
from exhubert.demo.rules import EMOTIONS, POINTS, Effects, plan_utterance
from exhubert.demo.speakers import draw_speaker

SETTINGS = {"seed": 3, "languages": ("de", "nl", "he"), "speakers": 3, "utterances_per_class": 2, "progress": False}
CLIPS = 3 * 3 * 2 * 6


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    pytest.importorskip("espeakng_loader")
    return synthesise(tmp_path_factory.mktemp("demo") / "corpus", **SETTINGS).parent


@pytest.fixture
def copied(corpus, tmp_path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "copied"))


def test_two_runs_give_identical_bytes(corpus, tmp_path):
    synthesise(tmp_path / "again", **SETTINGS)
    assert contents(tmp_path / "again") == contents(corpus)


def test_another_seed_gives_other_speech(corpus, tmp_path):
    synthesise(tmp_path, **{**SETTINGS, "seed": 4, "languages": ("de",), "speakers": 1})
    names = {path.name for path in (tmp_path / "de").glob("*.wav")}
    assert len(names) == 12
    assert all((tmp_path / "de" / name).read_bytes() != (corpus / "de" / name).read_bytes() for name in names)


def test_manifest_names_every_clip_once(corpus):
    rows = read_manifest(corpus)
    assert tuple(rows[0]) == COLUMNS
    files = [row["file"] for row in rows]
    assert len(files) == CLIPS
    assert sorted(files) == sorted(path.relative_to(corpus).as_posix() for path in corpus.rglob("*.wav"))
    for row in rows:
        assert row["file"].startswith(f"{row['language']}/{row['speaker']}_{row['label']}_")


def test_every_speaker_says_every_label(corpus):
    said: dict[str, set[str]] = {}
    for row in read_manifest(corpus):
        said.setdefault(row["speaker"], set()).add(row["label"])
    assert len(said) == 9
    assert all(labels == set(POINTS) for labels in said.values())


def test_a_speaker_has_one_gender_and_both_occur(corpus):
    genders = {(row["speaker"], row["gender"]) for row in read_manifest(corpus)}
    assert len(genders) == 9
    assert {gender for _, gender in genders} == {"female", "male"}


def test_only_unseen_languages_come_with_a_partition(corpus):
    partitions = {(row["language"], row["partition"]) for row in read_manifest(corpus)}
    assert partitions == {("de", ""), ("nl", ""), ("he", "test")}


def test_clips_are_speech_like_16_khz_mono(corpus):
    seconds = 0.0
    for row in read_manifest(corpus):
        info = soundfile.info(corpus / row["file"])
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 0.5 < info.duration < 6
        samples, _ = soundfile.read(corpus / row["file"])
        assert np.sqrt(np.mean(samples**2)) > 0.005
        assert np.abs(samples).max() < 1
        seconds += info.duration
    summary = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    assert summary["seconds"] == pytest.approx(seconds, abs=1e-3)


def test_summary_says_synthetic_and_names_the_engine(corpus):
    summary = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    assert summary["synthetic"] is True
    assert "synthetic speech" in summary["notice"]
    assert summary["engine"]["name"] == "espeak-ng"
    assert summary["engine"]["version"].startswith("1.5")
    assert summary["clips"] == CLIPS


def test_high_arousal_is_faster_and_louder(corpus):
    measured: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for row in read_manifest(corpus):
        samples, rate = soundfile.read(corpus / row["file"])
        level = 10 * np.log10(np.mean(samples**2))
        measured[POINTS[row["label"]].arousal > 0].append((len(samples) / rate, level))
    high, low = (np.mean(measured[arousal], axis=0) for arousal in (True, False))
    assert high[0] < 0.85 * low[0]
    assert high[1] > low[1] + 3


def test_an_interrupted_corpus_is_completed_to_identical_bytes(corpus, copied):
    shutil.rmtree(copied / "nl")
    (copied / "manifest.csv").unlink()
    (copied / "corpus.json").unlink()
    (copied / "nl.incomplete").mkdir()
    (copied / "nl.incomplete" / "nl_01_joy_01.wav").write_bytes(b"RIFF")
    untouched = (copied / "de" / "language.json").stat().st_mtime_ns
    synthesise(copied, **SETTINGS)
    assert contents(copied) == contents(corpus)
    assert (copied / "de" / "language.json").stat().st_mtime_ns == untouched


def test_a_complete_corpus_needs_no_engine(copied, monkeypatch):
    monkeypatch.setenv("EXHUBERT_ESPEAK_LIBRARY", str(copied / "no-such-library.so"))
    assert synthesise(copied, **SETTINGS) == copied / "manifest.csv"


@pytest.mark.parametrize("change", [{"seed": 5}, {"speakers": 4}, {"utterances_per_class": 1}, {"languages": ("de",)}])
def test_other_settings_in_the_same_folder_are_refused(corpus, change):
    before = contents(corpus)
    with pytest.raises(ValueError, match="corpus.json began with .*, but now .*another output folder, or delete"):
        synthesise(corpus, **{**SETTINGS, **change})
    assert contents(corpus) == before


def test_other_settings_are_refused_in_an_unfinished_corpus_too(copied):
    (copied / "corpus.json").unlink()
    with pytest.raises(ValueError, match="language.json began with seed 3, but now seed is 5"):
        synthesise(copied, **{**SETTINGS, "seed": 5})


def test_languages_of_two_engines_are_not_mixed(copied):
    path = copied / "nl" / "language.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"version": "1.5', '"version": "0.5'), encoding="utf-8")
    with pytest.raises(ValueError, match="different speech engines .*made nl"):
        synthesise(copied, **SETTINGS)


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ValueError, match="wasn.t written by this command.* .it holds de.; nothing was written"):
        synthesise(tmp_path, **SETTINGS)
    assert (tmp_path / "de" / "thesis.txt").read_text() == "irreplaceable"


def test_a_missing_engine_is_a_sentence_that_says_how_to_install_one(tmp_path, monkeypatch):
    monkeypatch.setenv("EXHUBERT_ESPEAK_LIBRARY", str(tmp_path / "no-such-library.so"))
    with pytest.raises(
        RuntimeError, match=r"none could be loaded .*no-such-library.* `pip install 'exhubert\[demo\]'`"
    ):
        synthesise(tmp_path / "corpus", **SETTINGS)
    assert not (tmp_path / "corpus" / "manifest.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"languages": ("de", "tlh")}, "asked for in 'tlh'; choose from en, de"),
        ({"languages": ()}, "asked for in no language"),
        ({"speakers": 0}, "speakers=0; use 1 or more"),
        ({"seed": -1}, "seed=-1; use 0 or more"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        synthesise(tmp_path, **{**SETTINGS, **arguments})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_engine_is_never_loaded_into_this_process(corpus):
    assert "espeak" not in Path("/proc/self/maps").read_text()


def test_importing_the_package_loads_neither_corpus_code_nor_engine():
    program = "import sys, exhubert.demo; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "exhubert.demo" in loaded
    assert "exhubert.demo.corpus" not in loaded
    assert "espeakng_loader" not in loaded


def test_command_line_makes_the_same_corpus(corpus, tmp_path, capsys):
    arguments = ["--seed", "3", "--languages", "de,nl,he", "--speakers", "3", "--utterances-per-class", "2"]
    assert main([str(tmp_path / "cli"), *arguments]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "cli" / "manifest.csv")
    assert contents(tmp_path / "cli") == contents(corpus)


def test_command_line_reports_an_error_as_one_line(tmp_path, capsys):
    assert main([str(tmp_path), "--languages", "tlh"]) == 1
    assert capsys.readouterr().err.startswith("exhubert.demo: The demo corpus was asked for in 'tlh'")


def test_every_language_has_eight_distinct_sentences_of_several_words():
    sentences = load_sentences()
    assert set(sentences) == set(LANGUAGES)
    for language, texts in sentences.items():
        assert len(set(texts)) == 8, language
        assert all(len(text.split()) >= 3 for text in texts), language


def test_classes_are_two_labels_each_in_order_of_arousal_and_valence():
    assert [len(pair) for pair in EMOTIONS] == [2] * 6
    for index, pair in enumerate(EMOTIONS):
        for point in pair.values():
            assert (point.arousal > 0) == (index >= 3)
            assert np.sign(round(2 * point.valence)) == index % 3 - 1


def test_fear_trembles_and_joy_does_not():
    speaker = draw_speaker(np.random.default_rng(0), "de", 0, "A")
    fear, joy = (
        plan_utterance("Die Post kommt um elf.", label, speaker, np.random.default_rng(1)) for label in ("fear", "joy")
    )
    assert fear.effects.tremor > 0.1
    assert joy.effects.tremor == 0
    assert joy.effects.breath < fear.effects.breath


def test_the_field_channel_cuts_what_a_telephone_cuts():
    rng = np.random.default_rng(0)
    hiss = (3000 * rng.standard_normal(32_000)).astype(np.int16)

    def share_above_4_khz(group: str, seed: int) -> float:
        samples = record(hiss, 16_000, Effects(0, 0, 0), group, np.random.default_rng(seed)).astype(float)
        power = np.abs(np.fft.rfft(samples)) ** 2
        return power[len(power) // 2 :].sum() / power.sum()

    field = np.array([share_above_4_khz("B", seed) for seed in range(20)])
    studio = np.array([share_above_4_khz("A", seed) for seed in range(20)])
    assert 5 < np.sum(field < 0.1) < 18
    assert studio.min() > 0.4


def test_silence_from_the_engine_is_an_error():
    with pytest.raises(ValueError, match="100 samples of silence"):
        record(np.zeros(100, dtype=np.int16), 22_050, Effects(0, 0, 0), "A", np.random.default_rng(0))
