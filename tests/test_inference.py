"""Classifying recordings, from Python and from the command line."""

import json

import numpy as np
import pytest
import torch
from transformers import pipeline

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor, load_audio
from exhubert.audio import AudioError
from exhubert.cli import main
from exhubert.inference import load_pipeline, predict

from .conftest import PUBLISHED, tiny_hubert, write_tone
from .test_audio import bad_files


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
    assert found.label == classifier.model.config.id2label[int(expected.argmax())] and found.windows == 1


def test_long_recordings_average_the_logits_of_their_windows(folder, tmp_path):
    classifier = load_pipeline(folder)
    found = predict(classifier, write_tone(tmp_path / "long.wav", 3.5))
    assert found.windows == 4 and found.seconds == pytest.approx(3.5)
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


def test_json_gives_one_object_per_file_errors_too(folder, tmp_path, capsys):
    good = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", good, str(tmp_path / "nowhere.wav"), "--model", folder, "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["file"] == good and set(lines[0]["scores"]) == {"calm", "angry", "glad"}
    assert "no such file" in lines[1]["error"]
    assert main(["predict", good, "--model", folder, "--json"]) == 0


def test_published_layout_is_not_run_as_plain_hubert(tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(PUBLISHED)]) == 1
    assert "published layout: convert it first" in capsys.readouterr().err


def test_headerless_files_and_folders_are_reported(folder, tmp_path, capsys):
    (tmp_path / "x.raw").write_bytes(bytes(1000))
    assert main(["predict", str(tmp_path / "x.raw"), str(tmp_path), "--model", folder]) == 2
    message = capsys.readouterr().err
    assert "x.raw: not a recording" in message and "this is a folder" in message


def test_command_line_says_what_is_wrong_with_the_model(layout, tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(tmp_path / "nowhere")]) == 1
    message = capsys.readouterr().err
    assert "nowhere" in message and "Traceback" not in message
