"""A tiny HuBERT for the demo corpus, whose convolutions are set to an auditory filter bank instead of being trained.

An hour of speech is too little to train a convolutional encoder, and a transformer on random convolutions stays at
chance. Here two convolutions compute band energies, with plain weights of a stock ``HubertForSequenceClassification``,
and only the transformer is trained:

- Layer 0 filters each band at four phases (cos, -cos, sin, -sin), every 10 ms. GELU then acts as a rectifier: the four
  phases of a band add up to its magnitude. LayerNorm would remove the level of a frame; sixteen constant channels
  preserve a trace of it, because they shrink beside a loud frame and dominate beside silence.
- Layer 1 pools 40 ms of a band to its mean and its difference (second half minus first), and the constant channels to
  one channel of level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import HubertConfig, HubertForSequenceClassification

SAMPLE_RATE = 16_000

_BANDS = 48
_PHASES = 4
_CONSTANTS = 16
_CONSTANT = 0.1  # relative to band magnitudes of 1; much larger constants mask the bands in LayerNorm
_KERNEL = 640  # samples, 40 ms
_STRIDE = 160  # samples, 10 ms
_POOL = 4  # frames
_FREQUENCIES = (60.0, 7_600.0)  # Hz, centres of the lowest and highest band
_WINDOWS = (0.008, 0.040)  # s, shortest and longest filter
_SHARPNESS = 4.0  # LayerNorm weight of layer 0: above 1, GELU rectifies weak bands too instead of squaring them
_OFFSET = 2.0  # LayerNorm bias of layer 1: lifts the differences, half of them negative, into GELU's linear part


def _erb_centres() -> np.ndarray:
    """Band centres in Hz, evenly spaced on the ERB-rate scale (Glasberg and Moore 1990)."""
    low, high = (21.4 * np.log10(1 + 0.00437 * frequency) for frequency in _FREQUENCIES)
    return (10 ** (np.linspace(low, high, _BANDS) / 21.4) - 1) / 0.00437


def _filters() -> np.ndarray:
    """Unit-norm quadrature filters, shape ``(bands, 2, kernel)``; bandwidth is about one ERB, length at least 8 ms."""
    filters = np.zeros((_BANDS, 2, _KERNEL))
    for band, centre in enumerate(_erb_centres()):
        bandwidth = 24.7 * (1 + 0.00437 * centre)
        length = int(np.clip(1.5 / bandwidth, *_WINDOWS) * SAMPLE_RATE) // 2 * 2
        time = (np.arange(length) - (length - 1) / 2) / SAMPLE_RATE
        start = (_KERNEL - length) // 2
        for phase, wave in enumerate((np.cos, np.sin)):
            values = np.hanning(length) * wave(2 * np.pi * centre * time)
            filters[band, phase, start : start + length] = values / np.linalg.norm(values)
    return filters


def _band_rms(clips: Sequence[np.ndarray], filters: np.ndarray) -> np.ndarray:
    """RMS of each band over all clips, shape ``(bands,)``."""
    weight = torch.from_numpy(filters.reshape(-1, 1, _KERNEL)).float()
    power, frames = torch.zeros(len(weight), dtype=torch.float64), 0
    for clip in clips:
        filtered = torch.nn.functional.conv1d(torch.from_numpy(clip)[None, None], weight, stride=_STRIDE)[0]
        power += filtered.double().square().sum(dim=1)
        frames += filtered.shape[1]
    return (power / frames).reshape(_BANDS, 2).mean(dim=1).sqrt().numpy()


def _front_end(clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """State dict of HuBERT's feature encoder, with the gains of the bands set from ``clips``."""
    filters = _filters()
    rms = _band_rms(clips, filters)
    if not np.all(rms > 0):
        raise ValueError(
            f"The {len(clips)} clips have no energy in {np.sum(rms <= 0)} of {_BANDS} bands between "
            f"{_FREQUENCIES[0]:.0f} and {_FREQUENCIES[1]:.0f} Hz, so their gains can't be set; pass clips of speech."
        )
    gained = filters / rms[:, None, None]
    phases = np.stack([gained[:, 0], -gained[:, 0], gained[:, 1], -gained[:, 1]], axis=1)
    in_bands, in_all, out_all = _BANDS * _PHASES, _BANDS * _PHASES + _CONSTANTS, 2 * _BANDS + 1

    filtering = torch.zeros(in_all, 1, _KERNEL)
    filtering[:in_bands, 0] = torch.from_numpy(phases.reshape(in_bands, _KERNEL)).float()
    constants = torch.zeros(in_all)
    constants[in_bands:] = _CONSTANT * torch.tensor([1.0, -1.0]).repeat(_CONSTANTS // 2)

    pooling = torch.zeros(out_all, in_all, _POOL)
    change = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    for band in range(_BANDS):
        channels = slice(_PHASES * band, _PHASES * (band + 1))
        pooling[band, channels] = 1.0 / _POOL
        pooling[_BANDS + band, channels] = change / _POOL
    pooling[-1, in_bands:] = 1.0 / _POOL

    return {
        "conv_layers.0.conv.weight": filtering,
        "conv_layers.0.conv.bias": constants,
        "conv_layers.0.layer_norm.weight": torch.full((in_all,), _SHARPNESS),
        "conv_layers.0.layer_norm.bias": torch.zeros(in_all),
        "conv_layers.1.conv.weight": pooling,
        "conv_layers.1.conv.bias": torch.zeros(out_all),
        "conv_layers.1.layer_norm.weight": torch.ones(out_all),
        "conv_layers.1.layer_norm.bias": torch.full((out_all,), _OFFSET),
    }


def filterbank_hubert(
    clips: Sequence[np.ndarray], labels: Sequence[str], *, seed: int = 0
) -> HubertForSequenceClassification:
    """Build a tiny HuBERT (0.97 million parameters) with a frozen filter bank and a random transformer.

    Args:
        clips: speech at 16 kHz, each of shape ``(samples,)``, at least 640 samples, float32, normalised to zero mean
            and unit variance as ``Wav2Vec2FeatureExtractor`` does. About 200 clips of the training partition are
            enough: they set the gain of each band.
        labels: names of the classes, in the order of the logits.
        seed: seed of the transformer's weights; the global random state doesn't change.

    Returns:
        The model in evaluation mode, with frozen convolutions. Its frames are 40 ms long.

    Raises:
        ValueError: there are no clips, a clip has the wrong shape or length, or the clips leave a band empty.
    """
    if not clips:
        raise ValueError("The filter bank was given no clips; it needs some speech at 16 kHz to set its gains.")
    clips = [np.asarray(clip, dtype=np.float32) for clip in clips]
    for index, clip in enumerate(clips):
        if clip.ndim != 1 or len(clip) < _KERNEL:
            raise ValueError(
                f"Clip {index} has shape {clip.shape}; the filter bank needs one dimension of at least {_KERNEL} "
                "samples (40 ms at 16 kHz)."
            )
    config = HubertConfig(
        conv_dim=[_BANDS * _PHASES + _CONSTANTS, 2 * _BANDS + 1],
        conv_kernel=[_KERNEL, _POOL],
        conv_stride=[_STRIDE, _POOL],
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=384,
        num_conv_pos_embeddings=48,
        attention_dropout=0.0,
        activation_dropout=0.0,
        hidden_dropout=0.05,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HubertForSequenceClassification(config)
    model.hubert.feature_extractor.load_state_dict(_front_end(clips))
    model.freeze_feature_encoder()
    return model.eval()
