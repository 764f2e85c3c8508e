"""Rows of a built dataset become a batch: decode, crop, normalise, pad."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import SequenceFeatureExtractor


@dataclass
class SpeechCollator:
    """Makes `{"input_values", "labels"[, "attention_mask"]}` of rows with `audio` and `label`.

    Attributes:
        feature_extractor: Of the model; decides on normalisation and attention mask.
        max_seconds: Longer utterances are cropped to this.
        random_crop: Crop at a random place (torch's generator, so a resumed run crops alike); else in the middle.
    """

    feature_extractor: SequenceFeatureExtractor
    max_seconds: float
    random_crop: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        clips = [self.crop(decode(row["audio"])) for row in rows]
        batch = self.feature_extractor(
            clips, sampling_rate=self.feature_extractor.sampling_rate, padding=True, return_tensors="pt"
        )
        return {**batch, "labels": torch.tensor([row["label"] for row in rows])}

    def crop(self, samples: np.ndarray) -> np.ndarray:
        """Cuts `(samples,)` to `max_seconds`."""
        length = round(self.max_seconds * self.feature_extractor.sampling_rate)
        spare = len(samples) - length
        if spare <= 0:
            return samples
        start = int(torch.randint(spare + 1, ())) if self.random_crop else spare // 2
        return samples[start : start + length]


def decode(audio: Mapping[str, Any]) -> np.ndarray:
    """Decodes the `audio` cell of a built dataset: `(samples,)`, float32, 16 kHz."""
    samples, _ = soundfile.read(io.BytesIO(audio["bytes"]), dtype="float32")
    return samples
