"""Audio classification pipeline for ExHuBERT models, for recordings of any format and length.

This file is saved with the model, so it imports only the other saved files, numpy, torch and transformers.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AudioClassificationPipeline
from transformers.pipelines.base import ChunkPipeline

from .audio import AudioError, count_channels, source_name, stream_audio, stream_samples, to_mono
from .audio_windows import SKIP_SILENCE, is_silent, windows_of
from .configuration_exhubert import is_regression, logit_temperature, samples_per_frame, sees_padding, window_seconds


class ExHuBERTPipeline(ChunkPipeline, AudioClassificationPipeline):
    """Classifies the emotion of recordings, as a whole and optionally over time.

    A recording longer than a window is read and classified window by window, so that memory use doesn't grow with its
    length; the logits of the windows are averaged. Results don't depend on `batch_size`. If the configuration has a
    `logit_temperature`, logits are divided by it before they are converted to probabilities. The outputs of a
    regression model are returned as they are, each as the `score` of its name.

    Silent windows are left out of the average. A recording that is silent throughout has no class: the result is an
    empty list.

    Inputs: a path, bytes or an open binary file that soundfile can read (with PyAV installed also video and m4a); an
    array or tensor `(samples,)` or `(channels, samples)` at the model's sampling rate; a dictionary with `array` or
    `raw` and `sampling_rate` at any rate, with `bytes` or `path` as in a column of `datasets`, or with `stream`, a
    generator of arrays, and `sampling_rate`. Or a list or dataset of these.

    Args:
        top_k: Number of classes to return; all by default.
        function_to_apply: `softmax`, `sigmoid` or `none`; by default chosen by the model's problem type, `none` for
            regression.
        window_s: Length of a window in seconds; by default that used in training.
        hop_s: Seconds from one window to the next, at most `window_s`; by default `window_s`.
        timeline: Whether to return a dictionary: `scores` (the average, as without `timeline`, but None for a silent
            recording), `silent`, `seconds`, and `windows`, each with `start` and `end` in seconds, `silent`, and
            `scores` from class to probability, which are None for a silent window.
        skip_silence: Whether windows without a sound above -60 dB of full scale are silent, see
            [`exhubert.audio_windows.is_silent`]; True by default. Otherwise they are classified like all others.
        channel: Index of the channel to classify, from 0; by default all channels are mixed, see
            [`exhubert.audio.to_mono`].

    Raises:
        AudioError: The recording can't be read, is too short for one frame of the model, holds NaN, or has no such
            channel.
        ValueError: An option or the type of an input is not supported.
    """

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("top_k", None)
        super().__init__(*args, **kwargs)

    def check_model_type(self, supported_models):
        """Warns about models for other tasks; skipped for exported models, which are not torch modules."""
        if isinstance(self.model, torch.nn.Module):
            super().check_model_type(supported_models)

    def _sanitize_parameters(self, window_s=None, hop_s=None, timeline=None, skip_silence=None, channel=None, **kwargs):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if "top_k" not in kwargs:
            postprocess.pop("top_k", None)  # keep the value set at construction
        options = {"window_s": window_s, "hop_s": hop_s, "skip_silence": skip_silence, "channel": channel}
        preprocess |= {name: value for name, value in options.items() if value is not None}
        if timeline is not None:
            postprocess["timeline"] = timeline
        return preprocess, forward, postprocess

    def __call__(self, inputs, **kwargs):
        """Classifies one recording, or each one of a list, generator or dataset; see the class."""
        if isinstance(inputs, os.PathLike):
            inputs = os.fspath(inputs)
        if isinstance(inputs, Sequence) and not isinstance(inputs, (str, bytes, list, tuple)):
            return list(super().__call__((item for item in inputs), **kwargs))  # a column of a dataset
        return super().__call__(inputs, **kwargs)

    def preprocess(
        self, inputs, window_s=None, hop_s=None, skip_silence=SKIP_SILENCE, channel=None
    ) -> Iterator[dict[str, Any]]:
        rate = self.feature_extractor.sampling_rate
        config = self.model.config
        window_s = window_seconds(config) if window_s is None else window_s
        if not 0 < window_s < math.inf:
            raise ValueError(f"window_s is {window_s:g}, expected seconds above 0.")
        hop_s = window_s if hop_s is None else hop_s
        if not 0 < hop_s <= window_s:
            raise ValueError(f"hop_s is {hop_s:g} s, expected above 0 and at most window_s, {window_s:g} s.")
        check_channel(channel)
        min_samples = samples_per_frame(config)
        window, hop = max(min_samples, round(window_s * rate)), max(1, round(hop_s * rate))
        name, blocks = _blocks_of(inputs, rate, channel)
        for start, samples, is_last in windows_of(blocks, window, hop):
            if len(samples) < min_samples:
                raise AudioError(
                    f"{name}: {len(samples) / rate:.4f} s is too short; at least {min_samples / rate:.4f} s are needed."
                )
            features = self.feature_extractor(samples, sampling_rate=rate, return_tensors="pt")
            yield {
                "is_last": is_last,
                "start": start / rate,
                "end": (start + len(samples)) / rate,
                "silent": bool(skip_silence) and is_silent(samples, rate),
                "samples": len(samples),
                **features.to(self.dtype),
            }

    def _forward(self, model_inputs):
        inputs = {key: model_inputs.pop(key) for key in ("input_values", "attention_mask") if key in model_inputs}
        lengths = np.atleast_1d(model_inputs["samples"]).tolist()
        if len(set(lengths)) > 1 and (sees_padding(self.model.config) or "attention_mask" not in inputs):
            # the model can't ignore padding here, so clips of different lengths run one by one
            clips = [values[None, :length] for values, length in zip(inputs["input_values"], lengths, strict=True)]
            logits = torch.cat([self.model(clip).logits for clip in clips])
        else:
            logits = self.model(**inputs).logits
        return model_inputs | {"logits": logits.float()}

    def postprocess(self, windows, top_k=None, function_to_apply=None, timeline=False):
        logits = torch.cat([window["logits"].reshape(1, -1) for window in windows])
        if function_to_apply is None and is_regression(self.model.config):
            function_to_apply = "none"
        if function_to_apply != "none":
            logits = logits / logit_temperature(self.model.config)
        silent = [bool(np.all(window["silent"])) for window in windows]
        audible = [index for index, quiet in enumerate(silent) if not quiet]
        top_k = top_k or self.model.config.num_labels

        def scores(values):
            output = type("Output", (), {"logits": values[None]})
            return AudioClassificationPipeline.postprocess(self, output, top_k, function_to_apply)

        pooled = scores(logits[audible].mean(dim=0)) if audible else None
        if not timeline:
            return pooled or []
        names = self.model.config.id2label
        parts = []
        for index, window in enumerate(windows):
            row = {item["label"]: item["score"] for item in scores(logits[index])} if index in audible else None
            ordered = {names[i]: row[names[i]] for i in sorted(names) if names[i] in row} if row else None
            parts.append({"start": window["start"], "end": window["end"], "silent": silent[index], "scores": ordered})
        return {"scores": pooled, "silent": pooled is None, "seconds": parts[-1]["end"], "windows": parts}


class AudioClassification(AudioClassificationPipeline):
    """Makes `pipeline("audio-classification")` return an `ExHuBERTPipeline` for ExHuBERT models.

    All other models get transformers' own pipeline. `exhubert/__init__.py` registers this class for the task.
    """

    def __new__(cls, model, *args, **kwargs):
        if getattr(getattr(model, "config", None), "model_type", None) == "exhubert":
            return ExHuBERTPipeline(model, *args, **kwargs)
        return AudioClassificationPipeline(model, *args, **kwargs)


def check_channel(channel: Any) -> None:
    """Raises `ValueError` unless it is the index of a channel, from 0, or None for the mix."""
    if channel is not None and (isinstance(channel, bool) or not hasattr(channel, "__index__") or channel < 0):
        raise ValueError(
            f"channel is {channel!r}, expected the index of a channel, from 0, or None for the mix of all. "
            "exhubert.inference.predict_channels classifies each."
        )


def channels_of(inputs: Any) -> int:
    """Number of channels of an input of [`ExHuBERTPipeline`].

    Raises:
        AudioError: The recording can't be read.
        ValueError: The input is a stream, or its type is not supported.
    """
    source, rate = _opened(inputs, 0)
    if rate is None:
        return count_channels(source)
    if not isinstance(source, list):
        raise ValueError("The channels of a stream can't be counted before it is read; give `channel`.")
    return source[0].shape[1]


def _blocks_of(inputs: Any, rate: int, channel: int | None) -> tuple[str, Iterator[np.ndarray]]:
    """Name of a recording for messages, and its samples at `rate`, block by block, as one channel."""
    source, source_rate = _opened(inputs, rate)
    if source_rate is None:
        return source_name(source), stream_audio(source, rate, channel)
    name = "array" if isinstance(source, list) else "stream"
    return name, stream_samples(to_mono(source, source_rate, channel, name), source_rate, rate)


def _opened(inputs: Any, rate: int) -> tuple[Any, int | None]:
    """The source of an input that [`stream_audio`] reads, and None; or blocks `(samples, channels)` and their rate."""
    if isinstance(inputs, Mapping):
        for key in ("array", "raw"):
            if inputs.get(key) is not None:
                if not inputs.get("sampling_rate"):
                    raise ValueError(f"A recording as a dictionary with `{key}` needs its `sampling_rate` in Hz too.")
                return [_channels_last(inputs[key])], inputs["sampling_rate"]
        if "stream" in inputs:
            if not inputs.get("sampling_rate"):
                raise ValueError("A recording as a dictionary with `stream` needs its `sampling_rate` in Hz too.")
            return (_channels_last(block, channels_first=True) for block in inputs["stream"]), inputs["sampling_rate"]
        for key in ("bytes", "path"):
            if inputs.get(key) is not None:
                return _opened(inputs[key], rate)
        raise ValueError(f"A recording as a dictionary has array, raw, bytes, path or stream; found {sorted(inputs)}.")
    if isinstance(inputs, (np.ndarray, torch.Tensor)):
        return [_channels_last(inputs)], rate
    if isinstance(inputs, str) and inputs.startswith(("http://", "https://")):
        raise ValueError(f"{inputs}: the pipeline doesn't go to the network; download the recording and pass its path.")
    if isinstance(inputs, (str, bytes, os.PathLike)) or hasattr(inputs, "read"):
        return inputs, None
    if hasattr(inputs, "get_all_samples"):  # the decoder that `datasets` returns for an Audio column
        audio = inputs.get_all_samples()
        return [_channels_last(audio.data, channels_first=True)], audio.sample_rate
    raise ValueError(
        f"A recording can't be a {type(inputs).__name__}; expected a path, bytes, an open file, an array, or a "
        "dictionary."
    )


def _channels_last(samples: Any, channels_first: bool = False) -> np.ndarray:
    """Converts `(samples,)` or `(channels, samples)`, floats or integer PCM, to floats `(samples, channels)`.

    Unless `channels_first` is set, the shorter of two axes is taken as the channels.
    """
    values = samples.detach().cpu().numpy() if isinstance(samples, torch.Tensor) else np.asarray(samples)
    if values.dtype in (np.int64, np.uint64):
        raise AudioError(f"array: {values.dtype} isn't a format of audio; give int16, int32 or uint8 PCM, or floats.")
    if values.dtype.kind in "iu":
        info = np.iinfo(values.dtype)
        middle = 0 if values.dtype.kind == "i" else 2 ** (info.bits - 1)
        values = (values.astype(np.float32) - middle) / 2 ** (info.bits - 1)
    if values.ndim == 1:
        return values[:, None]
    if values.ndim != 2:
        raise AudioError(f"array: expected (samples,) or (channels, samples), found the shape {values.shape}.")
    return values.T if channels_first or values.shape[0] <= values.shape[1] else values
