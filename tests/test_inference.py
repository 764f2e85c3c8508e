"""Classifying recordings, from Python and from the command line."""

import csv
import io
import json
import os

import numpy as np
import pytest
import torch
from transformers import pipeline

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification, default_feature_extractor, load_audio
from exhubert.audio import AudioError
from exhubert.cli.main import main
from exhubert.cli.predict import find_recordings
from exhubert.inference.recordings import Prediction, Window, embed, load_pipeline, predict

from .conftest import PUBLISHED, tiny_hubert, write_tone
from .test_audio import bad_files

STRANGE = os.fsdecode(b"line\xe2\x80\xa8 and \xff.wav")  # a line separator, and a byte that isn't UTF-8


@pytest.fixture
def folder(layout, tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), window_seconds=1.0)
    model.save_pretrained(tmp_path / "model")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_transformers_own_pipeline_classifies_arrays_with_all_classes(folder, tmp_path):
    classifier = pipeline("audio-classification", model=folder, feature_extractor=folder, top_k=None)
    answer = classifier(load_audio(write_tone(tmp_path / "tone.wav", rate=44_100, channels=2)))
    assert {item["label"] for item in answer} == {"calm", "angry", "glad"}
    assert sum(item["score"] for item in answer) == pytest.approx(1.0, abs=1e-5)


def test_prediction_equals_the_models_own_softmax(folder, tmp_path):
    path = write_tone(tmp_path / "tone.wav", 0.7)
    classifier = load_pipeline(folder)
    found = predict(classifier, path)
    inputs = classifier.feature_extractor(load_audio(path), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = classifier.model(**inputs).logits.softmax(-1)[0]
    np.testing.assert_allclose(list(found.scores.values()), expected, atol=1e-6)
    assert found.label == classifier.model.config.id2label[int(expected.argmax())] and len(found.windows) == 1


def test_long_recordings_average_the_logits_of_their_windows(folder, tmp_path):
    classifier = load_pipeline(folder)
    found = predict(classifier, write_tone(tmp_path / "long.wav", 3.5))
    assert len(found.windows) == 4 and found.seconds == pytest.approx(3.5)
    samples = load_audio(tmp_path / "long.wav")
    parts = [samples[start : start + 16_000] for start in (0, 16_000, 32_000, 40_000)]
    with torch.no_grad():
        inputs = classifier.feature_extractor(parts, sampling_rate=16_000, return_tensors="pt")["input_values"]
        logits = torch.cat([classifier.model(part[None]).logits for part in inputs])
    np.testing.assert_allclose(list(found.scores.values()), logits.mean(dim=0).softmax(-1), atol=1e-6)


def test_too_short_a_recording_is_a_sentence(folder, tmp_path):
    path = write_tone(tmp_path / "click.wav", 0.02)
    with pytest.raises(AudioError, match=r"click.wav: 0.0200 s is too short; at least 0.0250 s"):
        predict(load_pipeline(folder), path)


def test_command_line_classifies_the_rest_when_one_file_is_bad(folder, tmp_path, capsys):
    bad_files(tmp_path)
    good = [str(write_tone(tmp_path / name)) for name in ("a b.wav", "c.wav")]
    code = main(["predict", good[0], str(tmp_path / "text.wav"), good[1], "--model", folder])
    printed = capsys.readouterr()
    assert code == 2
    assert [line for line in printed.out.splitlines() if line.startswith(good[0])]
    assert [line for line in printed.out.splitlines() if line.startswith(good[1])]
    assert "text.wav: not a recording that can be read" in printed.err


def test_jsonl_gives_one_object_per_file_errors_too(folder, tmp_path, capsys):
    good = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", good, str(tmp_path / "nowhere.wav"), "--model", folder, "--format", "jsonl"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["file"] == good and set(lines[0]["scores"]) == {"calm", "angry", "glad"}
    assert "no such file" in lines[1]["error"]
    assert main(["predict", good, "--model", folder, "--format", "jsonl"]) == 0


def test_published_layout_is_not_run_as_plain_hubert(tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(PUBLISHED)]) == 1
    assert "published layout: convert it first" in capsys.readouterr().err


def test_headerless_files_and_missing_ones_are_reported(folder, tmp_path, capsys):
    (tmp_path / "x.raw").write_bytes(bytes(1000))
    assert main(["predict", str(tmp_path / "x.raw"), str(tmp_path / "*.wav"), "--model", folder]) == 2
    message = capsys.readouterr().err
    assert "x.raw: not a recording" in message and "*.wav: there is no such file" in message


@pytest.fixture
def recordings(tmp_path):
    """Two good recordings and a bad one in folders with awkward names."""
    root = tmp_path / 'calls, "first" batch'
    write_tone(root / "ünï 1.wav", 2.5)
    write_tone(root / "deep" / "b\n2.flac", 0.8)
    (root / "broken.wav").write_bytes(b"RIFF")
    (root / "notes.txt").write_text("no recording")
    write_tone(root / "plain.wav").rename(root / STRANGE)
    (root / "deep" / "loop").symlink_to(root)
    return root


def test_folders_and_patterns_are_searched_once(recordings):
    names = ["broken.wav", "ünï 1.wav", "deep/b\n2.flac", STRANGE]
    expected = {str(recordings / name) for name in names}
    assert set(find_recordings([str(recordings)])) == expected
    twice = list(find_recordings([str(recordings / "*.wav").replace("calls", "call?"), str(recordings)]))
    assert set(twice) == expected and len(twice) == 4


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("timeline", [False, True])
def test_a_stopped_run_goes_on_where_it_was(folder, recordings, tmp_path, capsys, form, timeline):
    command = ["predict", str(recordings), "--model", folder, "--format", form, "--output", str(tmp_path / "out")]
    command += ["--timeline"] if timeline else []
    assert main(command) == 2
    whole = (tmp_path / "out").read_text(encoding="utf-8")
    (tmp_path / "out").write_text(whole[: len(whole) - 30], encoding="utf-8")
    assert main([*command, "--resume"]) == 2
    assert sorted((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == sorted(whole.splitlines())
    assert main([*command, "--resume"]) == 2
    kept = 2 if form == "csv" and timeline else 3  # the last recording's steps might have been cut off: it is redone
    assert f"{kept} were there already, 1 can't be used" in capsys.readouterr().err
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(whole)))
        assert [row["end"] for row in rows if row["file"].endswith("1.wav")] == (
            ["1.000", "1.500", "2.500"] if timeline else ["2.500"]
        )
        assert all(
            sum(float(row[name]) for name in ("calm", "angry", "glad")) == pytest.approx(1, abs=2e-4) for row in rows
        )


def test_annotation_formats_are_read_by_their_tools_libraries(folder, recordings, tmp_path):
    textgrid, pympi = pytest.importorskip("praatio.textgrid"), pytest.importorskip("pympi")
    path = str(recordings / "ünï 1.wav")
    steps = [(step.start, step.end, step.label) for step in predict(load_pipeline(folder), path, hop_s=0.5).timeline()]
    assert steps[0][:2] == (0.0, 0.5) and steps[-1][1] == 2.5 and len(steps) == 4
    for form in ("textgrid", "elan", "audacity"):
        command = [
            "predict",
            path,
            "--model",
            folder,
            "--hop_s",
            "0.5",
            "--format",
            form,
            "--output",
            str(tmp_path / form),
        ]
        assert main(command) == 0
    [found] = (tmp_path / "textgrid").iterdir()
    tier = textgrid.openTextgrid(str(found), includeEmptyIntervals=False).getTier("emotion")
    assert [tuple(entry) for entry in tier.entries] == steps
    [found] = (tmp_path / "elan").iterdir()
    annotations = pympi.Eaf(str(found)).get_annotation_data_for_tier("emotion")
    assert sorted(annotations) == [(round(1000 * start), round(1000 * end), label) for start, end, label in steps]
    [found] = (tmp_path / "audacity").iterdir()
    lines = [line.split("\t") for line in found.read_text().splitlines()]
    assert [(float(start), float(end), label) for start, end, label in lines] == steps


def test_timeline_steps_average_the_windows_over_them():
    def window(start, end, calm):
        return Window(start, end, calm is None, None if calm is None else {"calm": calm, "tense": 1 - calm})

    windows = [window(0, 2, 0.8), window(1, 3, 0.4), window(2, 4, None)]
    steps = Prediction("x", "calm", {}, None, None, 4.0, windows).timeline()
    assert [(step.start, step.end, step.silent) for step in steps] == [(0, 1, False), (1, 2, False), (2, 4, True)]
    assert steps[1].scores == pytest.approx({"calm": 0.6, "tense": 0.4}) and steps[2].label is None


def test_embedding_is_the_mean_of_the_last_hidden_state(folder, tmp_path):
    classifier = load_pipeline(folder)
    path = write_tone(tmp_path / "tone.wav", 2.0)
    parts = np.split(load_audio(path), 2)
    with torch.no_grad():
        inputs = classifier.feature_extractor(parts, sampling_rate=16_000, return_tensors="pt")["input_values"]
        each = [classifier.model.hubert(part[None]).last_hidden_state.mean(dim=1)[0] for part in inputs]
    np.testing.assert_allclose(embed(classifier, path), torch.stack(each).mean(dim=0), atol=1e-6)


def test_six_classes_come_with_arousal_and_valence(tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=list(SIX_CLASSES))
    model.save_pretrained(tmp_path / "six")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "six")
    found = predict(load_pipeline(tmp_path / "six"), write_tone(tmp_path / "tone.wav"))
    scores = found.scores
    assert found.arousal["high"] == pytest.approx(sum(scores[name] for name in SIX_CLASSES if name.startswith("high")))
    assert found.valence["neutral"] == pytest.approx(scores["low_neutral"] + scores["high_neutral"])
    assert sum(found.valence.values()) == pytest.approx(1.0) == sum(found.arousal.values())


def test_info_says_what_a_model_is(folder, capsys):
    assert main(["info", folder]) == 0
    printed = capsys.readouterr().out
    assert "classes         calm, angry, glad" in printed
    assert "blocks          3, 6 transformer layers of 32; 0 with a frozen gate" in printed
    assert "gates           0 open, 3 closed; norms 0.00 0.00 0.00" in printed


def test_command_line_says_what_is_wrong_with_the_model(layout, tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(tmp_path / "nowhere")]) == 1
    message = capsys.readouterr().err
    assert "nowhere" in message and "Traceback" not in message
