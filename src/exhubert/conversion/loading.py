"""Loads the model in a folder or hub id: a HuBERT, an ExHuBERT or an exported classifier, completely or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoFeatureExtractor,
    HubertConfig,
    HubertForCTC,
    HubertForSequenceClassification,
    HubertModel,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import logging

from ..configuration_exhubert import ExHuBERTConfig, explain_checkpoint, is_published_layout, read_config, sees_padding
from ..modeling_exhubert import SPEC_AUGMENT_VECTOR, ExHuBERTForSequenceClassification
from .session import OnnxModel, is_exported
from .weights import check_weights

logger = logging.get_logger(__name__)

HUBERT_CLASSES = {c.__name__: c for c in (HubertModel, HubertForSequenceClassification, HubertForCTC)}


def checkpoint_kind(values: Mapping[str, Any]) -> str:
    """The kind of a checkpoint: `exhubert`, `hubert`, `published`, or transformers' name of another model.

    Args:
        values: Content of its config.json, from [`exhubert.configuration_exhubert.read_config`].

    >>> checkpoint_kind({"model_type": "hubert"})
    'hubert'
    """
    return "published" if is_published_layout(values) else str(values.get("model_type") or "unknown")


def load_weights(model_class: Any, source: Any, values: Mapping[str, Any], dtype: torch.dtype, **options: Any) -> Any:
    """Calls `from_pretrained` of a class after its weight files were checked; every checkpoint is loaded through this.

    transformers computes in the precision in which the weights are stored. Here it is `dtype`, whatever they are stored
    in, which is logged once if the two differ.

    Args:
        model_class: Class whose `from_pretrained` is called.
        source: Folder or hub id.
        values: Content of its config.json.
        dtype: Precision of the model.
        **options: Further arguments of `from_pretrained`.

    Raises:
        ValueError: The weights are quantised.
        OSError: A weight file is missing or damaged.
    """
    check_weights(source, values, dtype)
    return model_class.from_pretrained(source, dtype=dtype, **options)


def load_classifier(source: str | Path, dtype: torch.dtype = torch.float32) -> Any:
    """Loads a finished classifier: an ExHuBERT, a plain HuBERT with a head, or an exported ONNX model.

    `AutoModelForAudioClassification` would read the published layout as a plain HuBERT without its gates, and would
    draw a new head for a model that has none.

    Args:
        source: Folder or hub id.
        dtype: Precision of the model, whatever the weights are stored in; an exported model keeps its own.

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
        config = ExHuBERTConfig.from_dict(values)
        return load_weights(ExHuBERTForSequenceClassification, source, values, dtype, config=config)
    if kind == "published":
        raise ValueError(
            f"{source} is an ExHuBERT in the published layout: convert it first, with recipes/convert.py or "
            "ExHuBERTForSequenceClassification.from_published(...).save_pretrained(FOLDER)."
        )
    model = load_hubert(source, values, dtype)
    if not isinstance(model, HubertForSequenceClassification):
        raise ValueError(f"{source} is a {type(model).__name__} without a classification head: fine-tune it first.")
    return model


def load_hubert(
    source: str | os.PathLike[str], values: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float32
) -> Any:
    """Loads a HuBERT completely, as an instance of the class that saved it.

    Args:
        source: Folder or hub id of a `HubertModel`, `HubertForSequenceClassification` or `HubertForCTC`.
        values: Content of its config.json, if the caller has read it already.
        dtype: Precision of the model, whatever the weights are stored in.

    Raises:
        ValueError: The checkpoint is of another kind, or quantised.
        RuntimeError: The checkpoint lacks weights or holds unknown ones.
        OSError: The checkpoint can't be read or reached.
    """
    values = read_config(source) if values is None else values
    kind, architecture = checkpoint_kind(values), (values.get("architectures") or ["HubertModel"])[0]
    if kind == ExHuBERTConfig.model_type:
        raise ValueError(f"{source} already is an ExHuBERT: load it with from_pretrained().")
    if kind == "published":
        raise ValueError(f"{source} is an ExHuBERT in the published layout: load it with from_published().")
    refuse_other(source, values)
    config = HubertConfig.from_dict(dict(values))
    model, info = load_weights(
        HUBERT_CLASSES[architecture], source, values, dtype, config=config, output_loading_info=True
    )
    problems = {name: [key for key in map(str, keys) if not _is_optional(key)] for name, keys in info.items()}
    problems = {name: sorted(keys) for name, keys in problems.items() if keys}
    if problems:
        remedy = explain_checkpoint(source) or "download or save it again."
        raise RuntimeError(f"{source} is not a complete {architecture}: {problems}; {remedy}")
    return model


def refuse_other(source: Any, values: Mapping[str, Any]) -> None:
    """Raises `ValueError` if a config.json is neither that of a HuBERT nor that of an ExHuBERT."""
    architecture = (values.get("architectures") or ["HubertModel"])[0]
    if (kind := checkpoint_kind(values)) in (ExHuBERTConfig.model_type, "published"):
        return
    if kind != "hubert" or architecture not in HUBERT_CLASSES:
        found = architecture if values.get("architectures") else "a model"
        raise ValueError(
            f"{source} holds {found} of type {kind!r}; expected an ExHuBERT or a HuBERT "
            f"({', '.join(HUBERT_CLASSES)}), such as facebook/hubert-base-ls960."
        )


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
