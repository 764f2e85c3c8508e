"""From recordings to emotions, on transformers' own pipeline."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AudioClassificationPipeline, pipeline

from .audio import AudioError, AudioSource, cut_windows, load_audio, source_name
from .extension import feature_extractor_of, load_classifier
from .labels import names_by_index

DEFAULT_WINDOW = 3.0


@dataclass(frozen=True)
class Prediction:
    """The emotion of one recording.

    Attributes:
        file: The recording.
        label: The most probable class.
        scores: Probability of each class, in logit order. They sum to one, unless the model is multi-label.
        seconds: Duration of the recording.
        windows: How many windows were pooled.
    """

    file: str
    label: str
    scores: dict[str, float]
    seconds: float
    windows: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_pipeline(model: str | Path, device: str | int | None = None) -> AudioClassificationPipeline:
    """`pipeline("audio-classification")` with all classes returned, for the model in a folder or hub id.

    Raises:
        ValueError: It has no head, is in the published layout, or predicts a number.
        RuntimeError: It is incomplete.
        OSError: It can't be read or reached.
    """
    network = load_classifier(model)
    if network.config.num_labels == 1:
        raise ValueError(f"{model} predicts one number, not classes; call the model itself for its output.")
    extractor = feature_extractor_of(model, network.config)
    return pipeline("audio-classification", model=network, feature_extractor=extractor, top_k=None, device=device)


def predict(classifier: AudioClassificationPipeline, source: AudioSource) -> Prediction:
    """Classifies one recording of any rate, channel count and length.

    A recording longer than the window the model was trained on is cut into windows of that, and their logits are
    averaged, as in evaluation.

    Args:
        classifier: From `load_pipeline`.
        source: Path, bytes or open file.

    Raises:
        AudioError: The recording can't be used; the message says why.
    """
    rate = classifier.feature_extractor.sampling_rate
    samples = load_audio(source, rate)
    config = classifier.model.config
    needed = getattr(config, "samples_per_frame", 400)
    name = source_name(source)
    if len(samples) < needed:
        raise AudioError(
            f"{name}: {len(samples) / rate:.4f} s is too short; at least {needed / rate:.4f} s are needed."
        )
    window = max(needed, round((getattr(config, "window_seconds", None) or DEFAULT_WINDOW) * rate))
    windows = cut_windows(samples, window)
    answers = [classifier({"raw": part, "sampling_rate": rate}) for part in windows]
    names = names_by_index(config.id2label)
    by_name = [{item["label"]: item["score"] for item in answer} for answer in answers]
    probabilities = np.array([[found[name] for name in names] for found in by_name])
    scores = dict(zip(names, _pooled(probabilities, config).tolist(), strict=True))
    return Prediction(name, max(scores, key=scores.__getitem__), scores, len(samples) / rate, len(windows))


def _pooled(probabilities: np.ndarray, config) -> np.ndarray:
    """What the averaged logits of windows say, from the windows' probabilities `(windows, classes)`."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    if config.problem_type == "multi_label_classification":
        odds = (logs - np.log(np.maximum(1 - probabilities, np.finfo(np.float32).tiny))).mean(axis=0)
        return 1 / (1 + np.exp(-odds))
    shares = np.exp(logs.mean(axis=0) - logs.mean(axis=0).max())
    return shares / shares.sum()


def predict_all(
    classifier: AudioClassificationPipeline, files: Iterable[str | Path]
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """Classifies files one by one; one that can't be used gives its `AudioError` instead, and the next goes on."""
    for file in files:
        try:
            yield str(file), predict(classifier, file)
        except AudioError as error:
            yield str(file), error
