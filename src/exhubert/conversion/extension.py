"""Builds an ExHuBERT from a HuBERT checkpoint, and extracts the plain HuBERT from an ExHuBERT."""

import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from transformers import HubertConfig, HubertForSequenceClassification, HubertModel
from transformers.utils import logging

from ..configuration_exhubert import ExHuBERTConfig
from ..labels import SIX_CLASSES, label_maps, names_by_index
from ..modeling_exhubert import HEAD_PREFIXES, SPEC_AUGMENT_VECTOR, ExHuBERTPreTrainedModel
from .loading import HUBERT_CLASSES, load_hubert

logger = logging.get_logger(__name__)

LAYER_PREFIX = "encoder.layers."
# Configuration fields that a caller may set; any other would change what the model computes.
_FREE = {
    "activation_dropout", "apply_spec_augment", "attention_dropout", "attn_implementation", "base_checkpoint",
    "classifier_proj_size", "feat_proj_dropout", "final_dropout", "frozen_dropout", "hidden_dropout",
    "initializer_range", "layerdrop", "license", "logit_temperature", "mask_feature_length",
    "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks", "mask_time_prob",
    "output_hidden_states", "problem_type", "tie_last_hidden_states", "use_weighted_layer_sum", "window_seconds",
}  # fmt: skip


def extend_hubert(cls, source: Any, labels: Sequence[str] | int | None = None, **config_fields):
    """Extends a HuBERT to an ExHuBERT that has the same outputs until it is trained.

    The weights of each layer are copied to the frozen and the adapted copy of its block, the gates are zero, and all
    other weights are kept. The classification head is kept if the source has one and `labels` names no other classes;
    otherwise a new head is initialised. Method: Amiriparian et al., Interspeech 2024, arXiv 2406.10275.

    Args:
        cls: `ExHuBERTModel` or `ExHuBERTForSequenceClassification`; use their `from_hubert` instead of this function.
        source: A `HubertModel`, `HubertForSequenceClassification` or `HubertForCTC`, or the folder or hub id of one.
        labels: Class names in logit order, as a list or a dict from index to name, or the number of classes. By default
            the classes of the source's head, or the six EmoSet++ classes if it has no head.
        **config_fields: Fields of `ExHuBERTConfig` to set, such as `hidden_dropout=0.0`. Fields that would change what
            the HuBERT computes are refused.

    Returns:
        An instance of `cls` in eval mode and in the source's dtype, with its frozen copies frozen.

    Raises:
        ValueError: The source is not a HuBERT, or `labels` or a field is invalid.
        RuntimeError: A weight of the source is missing or unexpected.
        OSError: The source can't be read or downloaded.
    """
    hubert: Any = load_hubert(source) if isinstance(source, (str, os.PathLike)) else source
    hubert_classes: Any = tuple(HUBERT_CLASSES.values())
    if not isinstance(hubert, hubert_classes) or isinstance(hubert, ExHuBERTPreTrainedModel):
        raise ValueError(
            f"from_hubert() extends a {', '.join(HUBERT_CLASSES)} or a folder that contains one, "
            f"not a {type(source).__name__}. Load an ExHuBERT with from_pretrained()."
        )
    config, keep_head = _extended_config(hubert, labels, config_fields)
    model = cls(config).to(hubert.dtype)
    has_head = model is not model.base_model
    prefix = "hubert." if has_head else ""
    state = {
        prefix + target: value for key, value in hubert.base_model.state_dict().items() for target in extended_keys(key)
    }
    head = {key for key in model.state_dict() if key.startswith(HEAD_PREFIXES)}
    if keep_head:
        state |= {key: value for key, value in hubert.state_dict().items() if key in head}
        if "layer_weights" in state:
            normed = config.do_stable_layer_norm and config.tie_last_hidden_states
            state["layer_weights"] = _spread_layer_weights(state["layer_weights"], bool(normed))
    elif has_head:
        logger.warning("Initialising a new classification head for classes %s.", ", ".join(config.id2label.values()))

    expected_new = {prefix + SPEC_AUGMENT_VECTOR} | (set() if keep_head else head)
    if prefix + SPEC_AUGMENT_VECTOR not in model.state_dict():
        state.pop(prefix + SPEC_AUGMENT_VECTOR, None)
    result = model.load_state_dict(state, strict=False)
    missing = {key for key in result.missing_keys if key not in expected_new and "gate." not in key}
    if missing or result.unexpected_keys:
        raise RuntimeError(
            f"The HuBERT can't be extended completely: it has no weights for {sorted(missing)}, and the ExHuBERT has "
            f"no place for {sorted(result.unexpected_keys)}."
        )
    return model.eval()


def hubert_of(model: ExHuBERTPreTrainedModel) -> HubertForSequenceClassification | HubertModel:
    """Extracts the plain HuBERT from an ExHuBERT: the frozen copies and all weights outside the blocks, head included.

    If the model is untrained, or only its blocks and head were trained, these are the weights of the HuBERT it was
    extended from. An `ExHuBERTModel`, which has no head, gives a `HubertModel`.

    Raises:
        ValueError: The head weighs all states of the ExHuBERT, of which a HuBERT has only half.
    """
    fields = {key: copy.deepcopy(getattr(model.config, key)) for key in hubert_fields() - {"tie_last_hidden_states"}}
    fields["layerdrop"] = model.config.layerdrop
    has_head = model is not model.base_model
    if has_head and fields["use_weighted_layer_sum"]:
        raise ValueError("A weighted layer sum over an ExHuBERT's states has no counterpart in a HuBERT.")
    hubert_class = HubertForSequenceClassification if has_head else HubertModel
    hubert = hubert_class(HubertConfig(**(fields | {"num_hidden_layers": len(model.blocks)})))
    state = {
        key.replace(".frozen.", "."): value
        for key, value in model.state_dict().items()
        if not any(part in key for part in (".adapted.", ".gate.", ".frozen_gate."))
    }
    hubert.load_state_dict(state)
    return hubert.to(model.dtype).eval()


def hubert_fields() -> set[str]:
    """Names of the `HubertConfig` fields that a conversion carries over.

    Excluded are the fields that describe the file rather than the model, and `layerdrop`, which has another meaning in
    an ExHuBERT.
    """
    excluded = {"architectures", "dtype", "layerdrop", "model_type", "transformers_version"}
    return set(HubertConfig.__dataclass_fields__) - excluded


def _extended_config(hubert, labels, config_fields) -> tuple[ExHuBERTConfig, bool]:
    """Returns the extended configuration and whether the source's head is kept."""
    if forbidden := sorted(set(config_fields) - _FREE):
        raise ValueError(
            f"from_hubert() can't set {', '.join(forbidden)}: the extended model must compute the same as its HuBERT. "
            f"It can set {', '.join(sorted(_FREE))}; pass class names as `labels`."
        )
    source = hubert.config
    fields = {key: copy.deepcopy(getattr(source, key)) for key in hubert_fields() - {"tie_last_hidden_states"}}
    if getattr(source, "adapter_attn_dim", None) is not None:
        fields["adapter_attn_dim"] = source.adapter_attn_dim
    fields["num_hidden_layers"] = 2 * source.num_hidden_layers
    fields["base_checkpoint"] = source.name_or_path or None
    fields["attn_implementation"] = source._attn_implementation
    has_head = isinstance(hubert, HubertForSequenceClassification)
    names = names_by_index(source.id2label) if has_head else list(SIX_CLASSES)
    class_names = _class_names(labels, names) if labels is not None else names
    keep_head = has_head and class_names == names
    for field in ("classifier_proj_size", "use_weighted_layer_sum"):
        keep_head = keep_head and config_fields.get(field, fields[field]) == fields[field]
    if keep_head and source.use_weighted_layer_sum:
        # the current HuBERT sums its last state before the final norm, and a head trained that way needs the same
        fields["tie_last_hidden_states"] = bool(getattr(source, "tie_last_hidden_states", None))
    if not keep_head:
        fields["problem_type"] = None
    fields |= label_maps(class_names)
    return ExHuBERTConfig(**(fields | config_fields)), keep_head


def _class_names(labels: Any, known: list[str]) -> list[str]:
    """Class names from the `labels` argument; a number equal to the number of `known` names selects those."""
    names: list[Any] = []
    if isinstance(labels, Mapping):
        if sorted(map(str, labels)) == sorted(map(str, range(len(labels)))):
            names = names_by_index(labels)
    elif isinstance(labels, Integral) and not isinstance(labels, bool) and int(labels) > 0:
        names = known if labels == len(known) else [f"LABEL_{index}" for index in range(int(labels))]
    elif isinstance(labels, Sequence) and not isinstance(labels, str):
        names = list(labels)
    if not names or not all(isinstance(name, str) and name.strip() for name in names) or len(set(names)) != len(names):
        raise ValueError(
            f"labels is {labels!r}; expected distinct class names in logit order, such as ['calm', 'angry'], a "
            "dictionary from each index to its name, such as {0: 'calm', 1: 'angry'}, or the number of classes."
        )
    return names


def extended_keys(key: str) -> Iterator[str]:
    """Names in an ExHuBERT of a weight of `HubertModel`: layers go to both copies, other names stay the same."""
    if key.startswith(LAYER_PREFIX):
        index, rest = key.removeprefix(LAYER_PREFIX).split(".", 1)
        yield f"{LAYER_PREFIX}{index}.frozen.{rest}"
        yield f"{LAYER_PREFIX}{index}.adapted.{rest}"
    else:
        yield key


def _spread_layer_weights(weights: torch.Tensor, last_is_normed: bool) -> torch.Tensor:
    """Splits each state's weight between the two states equal to it at step 0, so the weighted sum stays the same.

    If the last state is the one after the final norm, the last frozen output isn't equal to it and gets no weight.
    """
    halves = (weights[1:] - math.log(2)).repeat_interleave(2)
    if last_is_normed:
        halves[-1] = weights[-1]
        halves[-2] = weights.min() - 100  # e^-100 is nothing beside the other weights in fp32
    return torch.cat([weights[:1], halves])
