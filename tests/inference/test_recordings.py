"""Classifying recordings, from Python and from the command line."""

import io
import json

import numpy as np
import pytest
import soundfile
import torch
from transformers import pipeline

from exhubert import load_audio
from exhubert.audio import AudioError
from exhubert.inference.recordings import embed, follow, load_pipeline, predict, predict_all, predict_channels

from ..conftest import OUTPUTS, opened, save, write_silence, write_tone


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


def test_each_channel_is_predicted_by_itself_from_any_source(folder, tmp_path):
    classifier = load_pipeline(folder)
    channels = 0.1 * np.random.default_rng(0).standard_normal((3, 20_000)).astype(np.float32)
    path = tmp_path / "three.wav"
    soundfile.write(path, channels.T, 16_000, subtype="FLOAT")

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    expected = [predict(classifier, channel) for channel in channels]
    for source in (path, str(path), path.read_bytes(), path.open("rb"), Pipe(path.read_bytes()), channels):
        found = predict_channels(classifier, source, hop_s=1.0)
        assert [one.channel for one in found] == [0, 1, 2]
        for one, other in zip(found, expected, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=1e-6)
            np.testing.assert_allclose(
                embed(classifier, path, channel=one.channel), embed(classifier, channels[one.channel])
            )
    [only] = predict_channels(classifier, channels[0])
    assert only.channel == 0 and predict(classifier, path).channel is None
    assert json.loads(json.dumps(predict(classifier, path, channel=np.int64(1)).to_dict()))["channel"] == 1
    assert "channel" not in predict(classifier, path).to_dict()
    with pytest.raises(ValueError, match="channels of a stream can't be counted"):
        predict_channels(classifier, {"stream": iter([channels]), "sampling_rate": 16_000})


def test_too_short_a_recording_is_a_sentence(folder, tmp_path):
    path = write_tone(tmp_path / "click.wav", 0.02)
    with pytest.raises(AudioError, match=r"click.wav: 0.0200 s is too short; at least 0.0250 s"):
        predict(load_pipeline(folder), path)


def test_embedding_is_the_mean_of_the_last_hidden_state(folder, tmp_path):
    classifier = load_pipeline(folder)
    path = write_tone(tmp_path / "tone.wav", 2.0)
    parts = np.split(load_audio(path), 2)
    with torch.no_grad():
        inputs = classifier.feature_extractor(parts, sampling_rate=16_000, return_tensors="pt")["input_values"]
        each = [classifier.model.hubert(part[None]).last_hidden_state.mean(dim=1)[0] for part in inputs]
    np.testing.assert_allclose(embed(classifier, path), torch.stack(each).mean(dim=0), atol=1e-6)


def test_a_silent_recording_has_no_class_and_no_embedding(folder, tmp_path):
    classifier = load_pipeline(folder)
    silent = write_silence(tmp_path / "silent.wav")
    found = predict(classifier, silent)
    assert found.silent and found.label is None and found.scores is None and found.arousal is None
    assert found.names == ("calm", "angry", "glad") and [window.silent for window in found.windows] == [True, True]
    assert [result for _, result in predict_all(classifier, [silent], batch_size=4)] == [found]
    assert list(follow(classifier, [load_audio(silent)], 16_000)) == found.windows
    with pytest.raises(AudioError, match=r"silent.wav: the recording is silent, so it has no embedding"):
        embed(classifier, silent)
    kept = predict(classifier, silent, skip_silence=False)
    assert kept.label and not kept.silent and np.isfinite(embed(classifier, silent, skip_silence=False)).all()


def test_silent_windows_are_left_out_of_class_and_embedding_by_default(folder, tmp_path):
    classifier = load_pipeline(folder)
    tone = load_audio(write_tone(tmp_path / "tone.wav", 1.0))
    recording = np.concatenate([tone, np.zeros(16_000, np.float32)])
    assert predict(classifier, recording).scores == pytest.approx(predict(classifier, tone).scores, abs=1e-6)
    np.testing.assert_allclose(embed(classifier, recording), embed(classifier, tone), atol=1e-6)
    assert np.abs(embed(classifier, recording, skip_silence=False) - embed(classifier, tone)).max() > 1e-3


def test_a_regression_model_gives_its_outputs_as_they_are(regression_folder, tmp_path):
    classifier = load_pipeline(regression_folder)
    path = write_tone(tmp_path / "tone.wav", 2.0)
    with torch.no_grad():
        parts = np.split(load_audio(path), 2)
        inputs = classifier.feature_extractor(parts, sampling_rate=16_000, return_tensors="pt")["input_values"]
        logits = torch.cat([classifier.model(part[None]).logits for part in inputs])
    found = predict(classifier, path)
    assert found.label is None and found.regression and not found.silent and found.arousal is None
    assert found.scores == pytest.approx(dict(zip(OUTPUTS, logits.mean(dim=0).tolist(), strict=True)), abs=1e-5)
    samples = load_audio(path)
    for window, row in zip(follow(classifier, [samples], 16_000), logits, strict=True):
        assert window.scores == pytest.approx(dict(zip(OUTPUTS, row.tolist(), strict=True)), abs=1e-5)
        assert window.label is None
    silent = predict(classifier, write_silence(tmp_path / "silent.wav"))
    assert silent.silent and silent.regression and silent.scores is None and silent.names == tuple(OUTPUTS)


def test_a_model_with_one_output_is_a_regression_model(tmp_path):
    folder = save(opened("pre_norm", labels=["valence"]), tmp_path / "one")
    found = predict(load_pipeline(folder), write_tone(tmp_path / "tone.wav"))
    assert found.regression and list(found.scores) == ["valence"] and found.scores["valence"] != 1.0
