"""Loads the model in a folder or hub id: a HuBERT, an ExHuBERT or an exported classifier, completely or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    AutoFeatureExtractor,
    HubertConfig,
    HubertForCTC,
    HubertForSequenceClassification,
    HubertModel,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import logging

from ..configuration_exhubert import ExHuBERTConfig, is_published_layout, read_config, sees_padding
from ..modeling_exhubert import SPEC_AUGMENT_VECTOR, ExHuBERTForSequenceClassification
from .session import OnnxModel, is_exported

logger = logging.get_logger(__name__)

HUBERT_CLASSES = {c.__name__: c for c in (HubertModel, HubertForSequenceClassification, HubertForCTC)}


def checkpoint_kind(values: Mapping[str, Any]) -> str:
    """The kind of a checkpoint: `exhubert`, `hubert`, `published`, or transformers' name of another model.

    Args:
        values: Content of its config.json, from [`exhubert.configuration_exhubert.read_config`].

    >>> checkpoint_kind({"model_type": "hubert"})
    'hubert'
    """
    return "published" if is_published_layout(values) else str(values.get("model_type"))


def load_classifier(source: str | Path) -> Any:
    """Loads a finished classifier: an ExHuBERT, a plain HuBERT with a head, or an exported ONNX model.

    `AutoModelForAudioClassification` would read the published layout as a plain HuBERT without its gates, and would
    draw a new head for a model that has none.

    Args:
        source: Folder or hub id.

    Returns:
        An `ExHuBERTForSequenceClassification`, `HubertForSequenceClassification` or `OnnxModel` in eval mode.

    Raises:
        ValueError: The checkpoint is in the published layout, has no head, or is another model.
        RuntimeError: The checkpoint is incomplete.
        OSError: The checkpoint can't be read or reached.
    """
    if is_exported(source):
        return OnnxModel(source)
    values = read_config(source)
    kind = checkpoint_kind(values)
    if kind == ExHuBERTConfig.model_type:
        return ExHuBERTForSequenceClassification.from_pretrained(source, config=ExHuBERTConfig.from_dict(values))
    if kind == "published":
        raise ValueError(
            f"{source} is an ExHuBERT in the published layout: convert it first, with recipes/convert.py or "
            "ExHuBERTForSequenceClassification.from_published(...).save_pretrained(FOLDER)."
        )
    model = load_hubert(source, values)
    if not isinstance(model, HubertForSequenceClassification):
        raise ValueError(f"{source} is a {type(model).__name__} without a classification head: fine-tune it first.")
    return model


def load_hubert(source: str | os.PathLike[str], values: Mapping[str, Any] | None = None) -> Any:
    """Loads a HuBERT completely, as an instance of the class that saved it.

    Args:
        source: Folder or hub id of a `HubertModel`, `HubertForSequenceClassification` or `HubertForCTC`.
        values: Content of its config.json, if the caller has read it already.

    Raises:
        ValueError: The checkpoint is of another kind.
        RuntimeError: The checkpoint lacks weights or holds unknown ones.
        OSError: The checkpoint can't be read or reached.
    """
    values = read_config(source) if values is None else values
    kind, architecture = checkpoint_kind(values), (values.get("architectures") or ["HubertModel"])[0]
    if kind == ExHuBERTConfig.model_type:
        raise ValueError(f"{source} already is an ExHuBERT: load it with from_pretrained().")
    if kind == "published":
        raise ValueError(f"{source} is an ExHuBERT in the published layout: load it with from_published().")
    if kind != "hubert" or architecture not in HUBERT_CLASSES:
        raise ValueError(
            f"{source} holds {architecture} of type {kind!r}, not a HuBERT that can be extended "
            f"({', '.join(HUBERT_CLASSES)})."
        )
    model, info = HUBERT_CLASSES[architecture].from_pretrained(
        source, config=HubertConfig.from_dict(dict(values)), output_loading_info=True
    )
    problems = {name: [key for key in map(str, keys) if not _is_optional(key)] for name, keys in info.items()}
    problems = {name: sorted(keys) for name, keys in problems.items() if keys}
    if problems:
        raise RuntimeError(f"{source} is not a complete {architecture}: {problems}.")
    return model


def _is_optional(key: str) -> bool:
    return key.endswith(SPEC_AUGMENT_VECTOR)


def default_feature_extractor(config: HubertConfig) -> Wav2Vec2FeatureExtractor:
    """The usual feature extractor of a HuBERT: 16 kHz, each clip normalised to zero mean and unit variance.

    Layer-norm models get an attention mask. Group-norm models get none, as in HuBERT: their first convolution
    normalises over time and sees padding whatever the mask says.
    """
    return Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=16_000,
        padding_value=0.0,
        do_normalize=True,
        return_attention_mask=not sees_padding(config),
    )


def feature_extractor_of(source: str | Path, config: HubertConfig) -> Wav2Vec2FeatureExtractor:
    """The feature extractor saved with a model, or else the usual one for its configuration."""
    try:
        return AutoFeatureExtractor.from_pretrained(source)
    except OSError:
        logger.info("%s has no feature extractor of its own; HuBERT's usual one is used.", source)
        return default_feature_extractor(config)
