"""Collator that turns rows of a built dataset into a batch: decode, crop or cut into windows, normalise, pad."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import SequenceFeatureExtractor

from ..audio_windows import heard_windows
from .augment import augment
from .dataset import decode

UTTERANCES, WINDOWS = "utterance_ids", "windows"


@dataclass
class SpeechCollator:
    """Collates rows with `audio`, `label` and `utterance_id` into a batch.

    For evaluation, whole utterances are cut into windows of `max_seconds`, without the silent ones as in prediction
    (`heard_windows`); for training, each yields one random crop of at most that length. The batch holds `labels`
    `(utterances,)`, `input_values` `(clips, samples)` padded to the longest, `attention_mask` if the model uses one,
    the list `utterance_ids`, and for evaluation `windows` `(utterances,)`, the number of clips of each utterance, by
    which `pooled_logits` averages them.

    Attributes:
        feature_extractor: Feature extractor of the model; decides on normalisation and attention mask.
        max_seconds: Length of the longest clip.
        random_crop: Crop for training. Crops and augmentations depend only on seed, epoch and utterance, so that a
            resumed run continues with the same clips whatever was prefetched.
        seed: Seed of crops and augmentations.
        epoch: Current epoch, set by `exhubert.training.callbacks.CropEpochCallback`.
        augmentations: Names in `exhubert.emoset.augment.AUGMENTATIONS`, for training.
        augmentation_probability: Probability of each augmentation.
    """

    feature_extractor: SequenceFeatureExtractor
    max_seconds: float
    random_crop: bool = False
    seed: int = 0
    epoch: int = 0
    augmentations: Sequence[str] = ()
    augmentation_probability: float = 0.5

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        rate = self.feature_extractor.sampling_rate
        batch: dict[str, Any] = {
            "labels": torch.tensor([row["label"] for row in rows]),
            UTTERANCES: [row["utterance_id"] for row in rows],
        }
        if self.random_crop:
            clips = [self.training_clip(decode(row["audio"]), row["utterance_id"]) for row in rows]
        else:
            windows = [heard_windows(decode(row["audio"]), self._longest, rate) for row in rows]
            batch[WINDOWS] = torch.tensor([len(utterance) for utterance in windows])
            clips = [clip for utterance in windows for clip in utterance]
        return batch | dict(self.feature_extractor(clips, sampling_rate=rate, padding=True, return_tensors="pt"))

    @property
    def _longest(self) -> int:
        return round(self.max_seconds * self.feature_extractor.sampling_rate)

    def training_clip(self, samples: np.ndarray, utterance_id: str) -> np.ndarray:
        """Returns an augmented random crop of `(samples,)`, not longer than `max_seconds`."""
        rng = np.random.default_rng((self.seed, self.epoch, *utterance_id.encode()))
        spare = len(samples) - self._longest
        if spare > 0:
            start = int(rng.integers(spare + 1))
            samples = samples[start : start + self._longest]
        if self.augmentations:
            samples = augment(samples, self.augmentations, self.augmentation_probability, rng)
        return samples[: self._longest]


def pooled_logits(model, batch: Mapping[str, Any], clips_at_once: int) -> torch.Tensor:
    """Runs a model over the clips of a batch and averages the logits of each utterance's windows.

    Args:
        model: An audio-classification model.
        batch: From `SpeechCollator`, on the model's device.
        clips_at_once: Windows in one forward pass, so that long utterances don't exhaust memory.

    Returns:
        Logits `(utterances, classes)`.
    """
    windows = batch.get(WINDOWS)
    clips = {key: value for key, value in batch.items() if key not in ("labels", UTTERANCES, WINDOWS)}
    if windows is None or len(windows) == int(windows.sum()) <= clips_at_once:
        return model(**clips).logits
    parts = [
        model(**{key: value[first : first + clips_at_once] for key, value in clips.items()}).logits.float()
        for first in range(0, int(windows.sum()), clips_at_once)
    ]
    return torch.segment_reduce(torch.cat(parts), "mean", lengths=windows, axis=0)
