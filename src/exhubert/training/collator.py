"""Rows of a built dataset become a batch: decode, crop, normalise, pad."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import SequenceFeatureExtractor, TrainerCallback


@dataclass
class SpeechCollator:
    """Makes `{"input_values", "labels"[, "attention_mask"]}` of rows with `audio` and `label`.

    Attributes:
        feature_extractor: Of the model; decides on normalisation and attention mask.
        max_seconds: Longer utterances are cropped to this.
        random_crop: Crop at a place that differs by epoch and utterance; else in the middle. It depends on nothing
            else, so that a resumed run crops alike whatever was prefetched.
        seed: Of the places.
        epoch: Counted by the callback below.
    """

    feature_extractor: SequenceFeatureExtractor
    max_seconds: float
    random_crop: bool = False
    seed: int = 0
    epoch: int = 0

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        clips = [self.crop(decode(row["audio"]), row["utterance_id"]) for row in rows]
        batch = self.feature_extractor(
            clips, sampling_rate=self.feature_extractor.sampling_rate, padding=True, return_tensors="pt"
        )
        return {**batch, "labels": torch.tensor([row["label"] for row in rows])}

    def crop(self, samples: np.ndarray, utterance_id: str = "") -> np.ndarray:
        """Cuts `(samples,)` to `max_seconds`."""
        length = round(self.max_seconds * self.feature_extractor.sampling_rate)
        spare = len(samples) - length
        if spare <= 0:
            return samples
        start = spare // 2
        if self.random_crop:
            start = int(np.random.default_rng((self.seed, self.epoch, *utterance_id.encode())).integers(spare + 1))
        return samples[start : start + length]


class CropEpochCallback(TrainerCallback):
    """Tells a collator which epoch it is; needs its batches made in the main process or workers started each epoch."""

    def __init__(self, collator: SpeechCollator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.epoch = int(state.epoch or 0)


def decode(audio: Mapping[str, Any]) -> np.ndarray:
    """Decodes the `audio` cell of a built dataset: `(samples,)`, float32, 16 kHz."""
    samples, _ = soundfile.read(io.BytesIO(audio["bytes"]), dtype="float32")
    return samples
