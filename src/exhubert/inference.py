"""From recordings to emotions, on transformers' own pipeline."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import pipeline

from .audio import AudioError, AudioSource, source_name
from .extension import feature_extractor_of, load_classifier
from .labels import names_by_index
from .pipeline_exhubert import ExHuBERTPipeline


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


def load_pipeline(model: str | Path, device: str | int | None = None) -> ExHuBERTPipeline:
    """The pipeline for the model in a folder or hub id, after checks that `pipeline("audio-classification")` lacks.

    Raises:
        ValueError: It has no head, is in the published layout, or predicts a number.
        RuntimeError: It is incomplete.
        OSError: It can't be read or reached.
    """
    network = load_classifier(model)
    if network.config.num_labels == 1:
        raise ValueError(f"{model} predicts one number, not classes; call the model itself for its output.")
    extractor = feature_extractor_of(model, network.config)
    return pipeline(
        "audio-classification",
        model=network,
        feature_extractor=extractor,
        pipeline_class=ExHuBERTPipeline,
        device=device,
    )


def predict(classifier: ExHuBERTPipeline, source: AudioSource) -> Prediction:
    """Classifies one recording of any rate, channel count and length.

    A recording longer than the window the model was trained on is cut into windows of that, and their logits are
    averaged, as in evaluation.

    Args:
        classifier: From `load_pipeline`.
        source: Path, bytes or open file.

    Raises:
        AudioError: The recording can't be used; the message says why.
    """
    found = classifier(source, timeline=True)
    scores = {item["label"]: item["score"] for item in found["scores"]}
    ordered = {name: scores[name] for name in names_by_index(classifier.model.config.id2label)}
    label = max(ordered, key=ordered.__getitem__)
    return Prediction(source_name(source), label, ordered, found["seconds"], len(found["windows"]))


def predict_all(
    classifier: ExHuBERTPipeline, files: Iterable[str | Path]
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """Classifies files one by one; one that can't be used gives its `AudioError` instead, and the next goes on."""
    for file in files:
        try:
            yield str(file), predict(classifier, file)
        except AudioError as error:
            yield str(file), error
