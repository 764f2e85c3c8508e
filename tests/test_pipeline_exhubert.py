"""The pipeline: kinds of input, batches and streams change nothing, and memory doesn't grow with length."""

import io
import json
import subprocess
import sys

import datasets
import numpy as np
import pytest
import soundfile
import torch
from transformers import AudioClassificationPipeline, HubertForSequenceClassification, pipeline

from exhubert import ExHuBERTForSequenceClassification, ExHuBERTPipeline, default_feature_extractor, load_audio
from exhubert.audio import AudioError, stream_audio
from exhubert.audio_windows import cut_windows, windows_of

from .conftest import LAYOUTS, tiny_hubert, write_tone


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def folder(request, tmp_path_factory):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(request.param), window_seconds=1.0)
    with torch.no_grad():
        for block in model.blocks:
            block.gate.weight.copy_(0.1 * torch.eye(32))
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def classifier(folder):
    return pipeline("audio-classification", model=folder)


def scores(answer):
    return {item["label"]: item["score"] for item in answer}


def test_pipeline_picks_our_class_for_our_models_and_transformers_own_for_others(classifier, tmp_path):
    assert isinstance(classifier, ExHuBERTPipeline)
    hubert = HubertForSequenceClassification(tiny_hubert("pre_norm").config)
    other = pipeline("audio-classification", model=hubert, feature_extractor=classifier.feature_extractor)
    assert type(other) is AudioClassificationPipeline


def test_every_kind_of_input_gives_the_same_classes(classifier, tmp_path):
    path = write_tone(tmp_path / "two words.wav", 2.6, 44_100, channels=2)
    samples, rate = soundfile.read(path, dtype="float32")
    expected = scores(classifier(str(path)))
    assert set(expected) == {"calm", "angry", "glad"} and sum(expected.values()) == pytest.approx(1.0)
    column = datasets.Dataset.from_dict({"audio": [{"bytes": path.read_bytes(), "path": None}]})
    chunks = {"stream": iter(np.array_split(samples.mean(axis=1), 7)), "sampling_rate": rate}
    inputs = [
        path, path.read_bytes(), load_audio(path), torch.from_numpy(load_audio(path)),
        {"array": samples.T, "sampling_rate": rate}, {"raw": samples[:, 0], "sampling_rate": rate},
        {"array": (samples[:, 0] * 32767).round().astype(np.int16), "sampling_rate": rate}, column[0]["audio"], chunks,
    ]  # fmt: skip
    for given in inputs:
        assert scores(classifier(given)) == pytest.approx(expected, abs=1e-4), given
    with path.open("rb") as file:
        assert scores(classifier(file)) == pytest.approx(expected, abs=1e-6)
    [answer] = classifier(column["audio"])
    assert scores(answer) == pytest.approx(expected, abs=1e-6)
    assert len(classifier(path, top_k=2)) == 2


def test_a_prediction_does_not_depend_on_what_it_is_batched_with(classifier, tmp_path):
    """At most 2e-6 between batch sizes in fp32, over lengths from one frame to five windows."""
    lengths = (0.03, 0.4, 1.0, 1.01, 2.35, 5.0, 0.7)
    paths = [str(write_tone(tmp_path / f"{length}.wav", length)) for length in lengths]
    alone = [scores(classifier(path)) for path in paths]
    for batch_size in (1, 4, 16):
        together = [scores(answer) for answer in classifier(paths, batch_size=batch_size)]
        for one, other in zip(alone, together, strict=True):
            assert one == pytest.approx(other, abs=2e-6)


def test_the_timeline_has_a_window_for_each_hop_and_marks_silence(classifier, tmp_path):
    loud = load_audio(write_tone(tmp_path / "tone.wav", 1.0))
    recording = np.concatenate([loud, np.zeros(16_000, np.float32), loud[:8_000]])
    found = classifier(recording, timeline=True, hop_s=0.5)
    assert [(part["start"], part["end"]) for part in found["windows"]] == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5)]
    assert [part["silent"] for part in found["windows"]] == [False, False, True, False]
    assert found["seconds"] == 2.5 and found["windows"][2]["scores"] is None
    heard = [list(part["scores"].values()) for part in found["windows"] if not part["silent"]]
    pooled = torch.tensor(heard).log().mean(dim=0).softmax(-1)
    ordered = scores(found["scores"])
    assert [ordered[name] for name in found["windows"][0]["scores"]] == pytest.approx(pooled.tolist(), abs=1e-6)
    with pytest.raises(ValueError, match=r"hop_s is 2 s, expected above 0 and at most window_s, 1 s"):
        classifier(loud, hop_s=2.0)


def test_one_channel_of_any_input_is_classified(classifier, tmp_path):
    draw = np.random.default_rng(0)
    channels = 0.1 * draw.standard_normal((2, 22_050)).astype(np.float32) * [[1.0], [0.2]]
    soundfile.write(tmp_path / "call.wav", channels.T, 22_050, subtype="FLOAT")
    rows = datasets.Dataset.from_dict({"audio": [{"bytes": (tmp_path / "call.wav").read_bytes(), "path": None}]})
    soundfile.write(tmp_path / "second.wav", channels[1], 22_050, subtype="FLOAT")
    expected = scores(classifier(tmp_path / "second.wav"))
    assert expected != pytest.approx(scores(classifier(tmp_path / "call.wav")), abs=1e-4)
    blocks = {"stream": iter(np.split(channels, 5, axis=1)), "sampling_rate": 22_050}
    array = {"array": channels, "sampling_rate": 22_050}
    for given in (tmp_path / "call.wav", (tmp_path / "call.wav").read_bytes(), rows[0]["audio"], array, blocks):
        assert scores(classifier(given, channel=1)) == pytest.approx(expected, abs=1e-6)
    for channel, message in ((2, "channel 2, counted from 0, was asked for; there are 2"), (-1, "expected the index")):
        for given in (tmp_path / "call.wav", array):
            with pytest.raises(ValueError, match=message):
                classifier(given, channel=channel)
    with pytest.raises(ValueError, match="channel is 'each'.*predict_channels classifies each"):
        classifier(array, channel="each")


def test_an_array_or_stream_whose_channels_cancel_is_heard_on_its_louder_one(classifier, tmp_path):
    def heard(given):
        return next(classifier.preprocess(given))["input_values"]

    voice = load_audio(write_tone(tmp_path / "tone.wav", 1.7))
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(voice)).astype(np.float32)
    pair = np.stack([0.9 * voice + noise, noise - voice])
    stream = {"stream": iter(np.array_split(pair, 9, axis=1)), "sampling_rate": 16_000}
    pcm = {"array": np.round(pair * 2**15).astype(np.int16), "sampling_rate": 16_000}
    for given in (pair, torch.from_numpy(pair), pair.T, stream, pcm):
        torch.testing.assert_close(heard(given), heard(pair[1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_a_silent_recording_has_no_class_unless_silence_is_kept(classifier, offset):
    silence = np.full(24_000, offset, np.float32)
    assert classifier(silence) == [] and classifier([silence, silence], batch_size=2) == [[], []]
    found = classifier(silence, timeline=True)
    assert found["silent"] and found["scores"] is None and found["seconds"] == 1.5
    assert [(part["silent"], part["scores"]) for part in found["windows"]] == [(True, None)] * 2
    kept = classifier(silence, timeline=True, skip_silence=False)
    assert not kept["silent"] and len(kept["scores"]) == 3 and not kept["windows"][0]["silent"]


@pytest.fixture(scope="module")
def divided():
    """A pipeline whose model gives noise one class, silence another."""
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("post_norm"), window_seconds=1.0)
    extractor = default_feature_extractor(model.config)
    clips = [noise(1.0), np.zeros(16_000, np.float32)]
    with torch.no_grad():
        model.classifier.weight.mul_(100)
        model.classifier.bias.zero_()
        inputs = extractor(clips, sampling_rate=16_000, return_tensors="pt")["input_values"]
        model.classifier.bias.sub_(torch.cat([model(clip[None]).logits for clip in inputs]).mean(dim=0))
    return pipeline("audio-classification", model=model, feature_extractor=extractor)


def noise(seconds: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(round(16_000 * seconds)).astype(np.float32)


@pytest.mark.parametrize("kind", ["none", "constant", "drifting", "jumping"])
def test_silence_after_the_speech_changes_nothing_whatever_the_offset(divided, kind):
    recording = np.concatenate([noise(2.0), np.zeros(6 * 16_000, np.float32)])
    index = np.arange(len(recording))
    offset = {
        "none": 0.0,
        "constant": 0.01,
        "drifting": 0.05 * index / len(index),
        "jumping": 0.01 * (index // 40_007 % 2),
    }[kind]
    recording = (recording + offset).astype(np.float32)
    alone, found = divided(noise(2.0)), divided(recording, timeline=True)
    assert [part["silent"] for part in found["windows"]] == [False] * 2 + [True] * 6
    assert found["scores"][0]["label"] == alone[0]["label"] != divided(recording, skip_silence=False)[0]["label"]
    assert scores(found["scores"]) == pytest.approx(scores(alone), abs=0.05)


@pytest.mark.parametrize("names", [["valence", "arousal", "dominance"], ["valence"]])
def test_outputs_of_a_regression_model_are_averaged_and_not_squashed(names):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=names, window_seconds=1.0)
    model.config.problem_type = None if len(names) == 1 else "regression"
    model.config.logit_temperature = 2.0
    with torch.no_grad():
        model.classifier.weight.normal_(std=10.0)
    extractor = default_feature_extractor(model.config)
    classifier = pipeline("audio-classification", model=model, feature_extractor=extractor)
    draw = np.random.default_rng(0)
    parts = [0.1 * draw.standard_normal(16_000).astype(np.float32) for _ in range(2)]
    with torch.no_grad():
        inputs = extractor(parts, sampling_rate=16_000, return_tensors="pt")["input_values"]
        expected = torch.cat([model(part[None]).logits for part in inputs]).mean(dim=0).tolist()
    assert abs(sum(expected) - 1) > 0.1, "else a softmax would not be seen"
    assert scores(classifier(np.concatenate(parts))) == pytest.approx(dict(zip(names, expected, strict=True)), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(399, np.float32), "0.0249 s is too short; at least 0.0250 s"),
        (np.full(8000, np.nan, np.float32), "NaN or infinite"),
        ({"array": np.zeros(8000)}, "needs its `sampling_rate`"),
        ({"sound": 1}, r"has array, raw, bytes, path or stream; found \['sound'\]"),
        ("https://example.org/a.wav", "doesn't go to the network"),
        (np.zeros((2, 2, 8000)), r"found the shape \(2, 2, 8000\)"),
        (b"no audio", "recording of 8 bytes: not a recording"),
        (17, "can't be a int"),
    ],
)
def test_what_is_wrong_with_an_input_is_said(classifier, given, message):
    with pytest.raises(ValueError, match=message):
        classifier(given)


@pytest.mark.parametrize("blocks", [1, 3, 17])
@pytest.mark.parametrize(("length", "hop"), [(400, 400), (400, 100), (400, 399)])
@pytest.mark.parametrize("total", [0, 1, 399, 400, 401, 1200, 1999])
def test_windows_of_a_stream_are_those_of_the_whole(total, length, hop, blocks):
    samples = np.arange(total, dtype=np.float32)
    found = list(windows_of(np.array_split(samples, blocks), length, hop))
    whole = cut_windows(samples, length, hop)
    assert [window.tolist() for _, window, _ in found] == [window.tolist() for window in whole]
    assert all(start == (window[0] if len(window) else 0) for start, window, _ in found)
    assert [last for *_, last in found] == [False] * (len(whole) - 1) + [True]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_streamed_file_is_the_loaded_one(tmp_path, rate):
    path = write_tone(tmp_path / "long.flac", 23.7, rate, channels=2)
    np.testing.assert_allclose(np.concatenate(list(stream_audio(path))), load_audio(path), atol=1e-6)


def test_a_file_that_holds_less_than_its_header_says_is_streamed_as_far_as_it_goes(tmp_path):
    path = write_tone(tmp_path / "cut.wav", 25.0)
    soundfile.write(tmp_path / "cut.mp3", load_audio(path), 16_000)
    for name in ("cut.wav", "cut.mp3"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 7 // 10])
        whole = load_audio(tmp_path / name)
        assert 10 < len(whole) / 16_000 < 20
        np.testing.assert_allclose(np.concatenate(list(stream_audio(tmp_path / name))), whole, atol=1e-6)


def test_a_model_that_was_just_extended_has_the_pipeline_too(classifier):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"))
    assert model.config.model_type == "exhubert"
    made = pipeline("audio-classification", model=model, feature_extractor=classifier.feature_extractor)
    assert isinstance(made, ExHuBERTPipeline)


@pytest.mark.slow
def test_an_hour_takes_the_memory_of_ten_seconds(folder, tmp_path):
    """Within 100 MB, each in a process of its own; a whole hour at 16 kHz in float32 would be 230 MB."""
    tone, rate = soundfile.read(write_tone(tmp_path / "short.wav", 10.0))
    with soundfile.SoundFile(tmp_path / "long.wav", "w", rate, 1) as file:
        for _ in range(360):
            file.write(tone)
    code = (
        "import sys, json; from transformers import pipeline; import exhubert\n"
        "found = pipeline('audio-classification', model=sys.argv[1])(sys.argv[2], timeline=True, window_s=10.0)\n"
        "told = dict(line.split(':') for line in open('/proc/self/status') if ':' in line)\n"
        "print(json.dumps([len(found['windows']), int(told['VmHWM'].split()[0]) / 1024]))"
    )
    results = {}
    for name in ("short", "long"):
        command = [sys.executable, "-c", code, folder, str(tmp_path / f"{name}.wav")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
    assert results["long"][0] == 360 * results["short"][0]
    assert results["long"][1] < results["short"][1] + 100


def test_a_bad_file_in_a_stream_of_bytes_is_named(classifier):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(0), 16_000, format="WAV")
    with pytest.raises(AudioError, match="holds no samples"):
        classifier(buffer.getvalue())
