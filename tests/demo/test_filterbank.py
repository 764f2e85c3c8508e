"""The filter bank inside the tiny HuBERT: it hears frequency, level and change before any training."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import AutoModelForAudioClassification, HubertForSequenceClassification

from exhubert.demo.filterbank import filterbank_hubert

RATE = 16_000
LABELS = ("low_negative", "low_neutral", "low_positive", "high_negative", "high_neutral", "high_positive")
BANDS = 48


def normalised(samples: np.ndarray) -> np.ndarray:
    return ((samples - samples.mean()) / samples.std()).astype(np.float32)


def tone(frequency: float, phase: float = 0.0) -> np.ndarray:
    return normalised(np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE + phase))


@pytest.fixture(scope="module")
def calibration() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [normalised(rng.standard_normal(2 * RATE)) for _ in range(4)]


@pytest.fixture(scope="module")
def model(calibration) -> HubertForSequenceClassification:
    return filterbank_hubert(calibration, LABELS)


def frames(model, samples: np.ndarray) -> torch.Tensor:
    """The front end's output, shape ``(frames, channels)``: 48 means, 48 differences, 1 level."""
    with torch.no_grad():
        return model.hubert.feature_extractor(torch.from_numpy(samples)[None])[0].T


def test_two_seconds_become_49_frames_and_six_logits(model):
    batch = torch.randn(3, 2 * RATE)
    with torch.no_grad():
        assert model.hubert(batch).last_hidden_state.shape == (3, 49, 128)
        assert model(batch).logits.shape == (3, 6)
    assert [model.config.id2label[index] for index in range(6)] == list(LABELS)
    assert model.config.label2id["high_positive"] == 5


def test_a_tone_excites_the_band_of_its_frequency(model):
    low, high = (21.4 * np.log10(1 + 0.00437 * frequency) for frequency in (60, 7_600))
    for frequency in (200, 500, 1_000, 2_000, 4_000):
        expected = (21.4 * np.log10(1 + 0.00437 * frequency) - low) / (high - low) * (BANDS - 1)
        loudest = frames(model, tone(frequency))[:, :BANDS].mean(dim=0).argmax().item()
        assert loudest == pytest.approx(expected, abs=1.5), frequency


def test_features_hear_frequency_but_not_phase(model):
    reference = frames(model, tone(1_000))
    shifted = frames(model, tone(1_000, phase=1.3))
    neighbour = frames(model, tone(1_150))
    assert (reference - shifted).norm() < 0.05 * (reference - neighbour).norm()


def test_the_level_channel_falls_as_speech_gets_louder(model):
    noise = np.random.default_rng(1).standard_normal((4, RATE))
    gains = np.array([0.001, 0.01, 0.1, 1.0])
    levels = frames(model, normalised((gains[:, None] * noise).ravel()))[:, -1]
    by_loudness = [part[5:-5].mean().item() for part in levels.chunk(4)]
    assert all(quiet > loud + 0.01 for quiet, loud in pairwise(by_loudness))


def test_difference_channels_tell_onset_from_offset(model):
    samples = np.random.default_rng(2).standard_normal(RATE) * 0.01
    samples[4_000:12_000] += np.sin(2 * np.pi * 1_000 * np.arange(8_000) / RATE)
    output = frames(model, normalised(samples))
    band = output[10:15, :BANDS].mean(dim=0).argmax().item()
    difference = output[:, BANDS + band]
    steady = difference[10:15].mean()
    onset, offset = 4_000 // 640, 12_000 // 640
    assert difference[onset - 1 : onset + 2].max() > steady + 0.1
    assert difference[offset - 1 : offset + 2].min() < steady - 0.1


def test_only_the_front_end_is_frozen(model):
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".feature_extractor." in name}
    assert len(frozen) == 8


def test_saved_and_loaded_model_gives_equal_logits(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path).eval()
    assert type(loaded) is HubertForSequenceClassification
    batch = torch.from_numpy(np.stack([tone(300), tone(2_500)]))
    with torch.no_grad():
        assert torch.equal(loaded(batch).logits, model(batch).logits)


def test_seed_decides_the_transformer_and_leaves_the_random_state_alone(model, calibration):
    state = torch.random.get_rng_state()
    same, other = filterbank_hubert(calibration, LABELS, seed=0), filterbank_hubert(calibration, LABELS, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, same.get_parameter(name)), name
    for name, tensor in model.hubert.feature_extractor.state_dict().items():
        assert torch.equal(tensor, other.hubert.feature_extractor.state_dict()[name]), name
    assert not torch.equal(model.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "was given no clips"),
        ([np.zeros((2, 16_000), np.float32)], r"Clip 0 has shape \(2, 16000\)"),
        ([np.ones(16_000, np.float32), np.ones(100, np.float32)], r"Clip 1 has shape \(100,\)"),
        ([np.zeros(16_000, np.float32)], "have no energy in 48 of 48 bands"),
    ],
)
def test_unusable_calibration_clips_are_refused(clips, message):
    with pytest.raises(ValueError, match=message):
        filterbank_hubert(clips, LABELS)
