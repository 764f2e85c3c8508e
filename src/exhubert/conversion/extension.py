"""Extending a HuBERT to an ExHuBERT, the way back, and the proof that both compute the same."""

import contextlib
import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
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

from ..configuration_exhubert import SIX_CLASSES, ExHuBERTConfig, is_published_layout, read_config
from ..labels import label_maps, names_by_index
from ..modeling_exhubert import ExHuBERTForSequenceClassification, ExHuBERTPreTrainedModel

logger = logging.get_logger(__name__)

_HUBERT_CLASSES = {c.__name__: c for c in (HubertModel, HubertForSequenceClassification, HubertForCTC)}
LAYER = "encoder.layers."
SPEC = "masked_spec_embed"  # SpecAugment's vector: there or not as the configuration masks or not
_HEAD = ("projector.", "classifier.", "layer_weights")
# What an extended model may set otherwise than its HuBERT; all else would make it compute something else.
_FREE = {
    "activation_dropout", "apply_spec_augment", "attention_dropout", "attn_implementation", "base_checkpoint",
    "classifier_proj_size", "feat_proj_dropout", "final_dropout", "frozen_dropout", "hidden_dropout",
    "initializer_range", "layerdrop", "license", "logit_temperature", "mask_feature_length",
    "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks", "mask_time_prob",
    "output_hidden_states", "problem_type", "tie_last_hidden_states", "use_weighted_layer_sum", "window_seconds",
}  # fmt: skip


@dataclass(frozen=True)
class IdentityReport:
    """Largest absolute differences between an ExHuBERT and a HuBERT on one batch, over all of it.

    Attributes:
        hidden_states: Over the block inputs, block outputs and last hidden state, frozen outputs included.
        logits: Over the logits, of the ExHuBERT's own head where the HuBERT has none; None for models without head.
        logit_tolerance: 0.0; 1e-6 for a weighted sum of layers, which adds twice as many equal states.
        identical: The hidden states are equal bit for bit, and the logits within their tolerance.
    """

    hidden_states: float
    logits: float | None
    logit_tolerance: float = 0.0

    @property
    def identical(self) -> bool:
        return self.hidden_states == 0.0 and (self.logits or 0.0) <= self.logit_tolerance

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"identical": self.identical}


def extend_hubert(cls, source: Any, labels: Sequence[str] | int | None = None, **config_fields):
    """Extends a HuBERT to an ExHuBERT that computes the same until it is trained.

    Every layer's weights go into the frozen and the adapted copy of its block, the gates are zero, and all other
    weights are taken over. A classification head is taken over if the source has one and `labels` does not ask for
    another; otherwise a new one is drawn. Method: Amiriparian et al., Interspeech 2024, arXiv 2406.10275.

    Args:
        cls: `ExHuBERTModel` or `ExHuBERTForSequenceClassification`; use their `from_hubert` instead of this function.
        source: A `HubertModel`, `HubertForSequenceClassification` or `HubertForCTC`, or the folder or hub id of one.
        labels: Class names in logit order, as a list or as the values of a dict by index, or their number. By default
            those of the source's head; the six EmoSet++ classes if it has none.
        **config_fields: Fields of `ExHuBERTConfig` to set, such as `hidden_dropout=0.0`; none that would change what
            the HuBERT computes.

    Returns:
        An instance of `cls` in eval mode and in the source's dtype, its frozen copies frozen.

    Raises:
        ValueError: The source is not a HuBERT, or the labels or fields are wrong.
        RuntimeError: A weight of the source is missing, unexpected or left over.
        OSError: The source can't be read or reached.
    """
    hubert: Any = load_hubert(source) if isinstance(source, (str, os.PathLike)) else source
    kinds: Any = tuple(_HUBERT_CLASSES.values())
    if not isinstance(hubert, kinds) or isinstance(hubert, ExHuBERTPreTrainedModel):
        raise ValueError(
            f"from_hubert() extends a {', '.join(_HUBERT_CLASSES)} or a folder that holds one, "
            f"not a {type(source).__name__}. An ExHuBERT loads with from_pretrained()."
        )
    config, keep_head = _extended_config(hubert, labels, config_fields)
    model = cls(config).to(hubert.dtype)
    has_head = model is not model.base_model
    prefix = "hubert." if has_head else ""
    state = {
        prefix + target: value
        for key, value in hubert.base_model.state_dict().items()
        for target in _extended_keys(key)
    }
    head = {key for key in model.state_dict() if key.startswith(_HEAD)}
    if keep_head:
        state |= {key: value for key, value in hubert.state_dict().items() if key in head}
        if "layer_weights" in state:
            state["layer_weights"] = _spread_layer_weights(state["layer_weights"])
    elif has_head:
        logger.warning("A new classification head is drawn for the classes %s.", ", ".join(config.id2label.values()))

    expected_new = {prefix + SPEC} | (set() if keep_head else head)
    if prefix + SPEC not in model.state_dict():
        state.pop(prefix + SPEC, None)
    result = model.load_state_dict(state, strict=False)
    missing = {key for key in result.missing_keys if key not in expected_new and "gate." not in key}
    if missing or result.unexpected_keys:
        raise RuntimeError(
            f"The HuBERT can't be extended completely: no source for {sorted(missing)}; "
            f"no place for {sorted(result.unexpected_keys)}."
        )
    return model.eval()


def load_hubert(source: str | os.PathLike[str]):
    """Loads the HuBERT in a folder or hub id, as the class that saved it and completely.

    Args:
        source: Folder or hub id of a `HubertModel`, `HubertForSequenceClassification` or `HubertForCTC`.

    Raises:
        ValueError: The checkpoint is of another kind.
        RuntimeError: It lacks weights or holds others.
        OSError: It can't be read or reached.
    """
    config = read_config(source)
    kind, architectures = config.get("model_type"), config.get("architectures") or ["HubertModel"]
    if kind == ExHuBERTConfig.model_type:
        raise ValueError(f"{source} already is an ExHuBERT: load it with from_pretrained().")
    if is_published_layout(config):
        raise ValueError(f"{source} is an ExHuBERT in the published layout: load it with from_published().")
    if kind != "hubert" or architectures[0] not in _HUBERT_CLASSES:
        raise ValueError(
            f"{source} holds {architectures[0]} of type {kind!r}, not a HuBERT that can be extended "
            f"({', '.join(_HUBERT_CLASSES)})."
        )
    model, info = _HUBERT_CLASSES[architectures[0]].from_pretrained(source, output_loading_info=True)
    problems = {name: sorted(k for k in map(str, keys) if not k.endswith(SPEC)) for name, keys in info.items()}
    problems = {name: keys for name, keys in problems.items() if keys}
    if problems:
        raise RuntimeError(f"{source} is not a complete {architectures[0]}: {problems}.")
    return model


def hubert_of(model: ExHuBERTForSequenceClassification) -> HubertForSequenceClassification:
    """The plain HuBERT in an ExHuBERT: its frozen copies and all that isn't in a block, with its own head.

    For a model at step 0, or one that trained with everything but blocks and head frozen, these are the weights of the
    HuBERT it was extended from.
    """
    own = set(HubertConfig.__dataclass_fields__) - {"architectures", "transformers_version", "dtype"}
    fields = {key: copy.deepcopy(getattr(model.config, key)) for key in own - {"tie_last_hidden_states"}}
    if fields["use_weighted_layer_sum"]:
        raise ValueError("A weighted layer sum over an ExHuBERT's states has no counterpart in a HuBERT.")
    hubert = HubertForSequenceClassification(HubertConfig(**(fields | {"num_hidden_layers": len(model.blocks)})))
    state = {
        key.replace(".frozen.", "."): value
        for key, value in model.state_dict().items()
        if not any(part in key for part in (".adapted.", ".gate.", ".frozen_gate."))
    }
    hubert.load_state_dict(state)
    return hubert.to(model.dtype).eval()


def checkpoint_kind(source: str | Path) -> str:
    """What a folder or hub id holds: `exhubert`, `hubert`, `published`, or transformers' name of another model."""
    config = read_config(source)
    return "published" if is_published_layout(config) else str(config.get("model_type"))


def load_classifier(source: str | Path):
    """Loads a finished classifier, an ExHuBERT or a plain HuBERT with a head, completely or not at all.

    `AutoModelForAudioClassification` would read the published layout as a plain HuBERT without its gates, and would
    draw a head for a model that has none.

    Args:
        source: Folder or hub id.

    Raises:
        ValueError: It is in the published layout, has no head, or is another model.
        RuntimeError: It is incomplete.
        OSError: It can't be read or reached.
    """
    kind = checkpoint_kind(source)
    if kind == ExHuBERTConfig.model_type:
        return ExHuBERTForSequenceClassification.from_pretrained(source)
    if kind == "published":
        raise ValueError(
            f"{source} is an ExHuBERT in the published layout: convert it first, with recipes/convert.py or "
            "ExHuBERTForSequenceClassification.from_published(...).save_pretrained(FOLDER)."
        )
    model = load_hubert(source)
    if not isinstance(model, HubertForSequenceClassification):
        raise ValueError(f"{source} is a {type(model).__name__} without a classification head: fine-tune it first.")
    return model


@torch.no_grad()
def identity_report(
    model: ExHuBERTPreTrainedModel, hubert, batch: Mapping[str, torch.Tensor] | torch.Tensor
) -> IdentityReport:
    """Compares an ExHuBERT with the HuBERT it came from, in eval mode, on one batch.

    Args:
        model: The ExHuBERT, with or without head.
        hubert: The HuBERT, with or without head.
        batch: `input_values` `(batch, samples)` and where used `attention_mask`; other keys are left out. Or just the
            input values.

    Returns:
        The largest absolute differences. At step 0 both are 0.0 in fp32.

    Raises:
        ValueError: The two don't have the same number of HuBERT layers.
    """
    blocks, layers = len(model.blocks), hubert.config.num_hidden_layers
    if blocks != layers:
        raise ValueError(f"An ExHuBERT of {blocks} blocks can't come from a HuBERT of {layers} layers.")
    if isinstance(batch, torch.Tensor):
        batch = {"input_values": batch}
    inputs = {key: value for key, value in batch.items() if key in ("input_values", "attention_mask")}
    align(model)
    align(hubert)
    with _evaluating(model, hubert):
        ours = model.base_model(**inputs, output_hidden_states=True)
        theirs = hubert.base_model(**inputs, output_hidden_states=True)
        pairs = [(ours.last_hidden_state, theirs.last_hidden_state)]
        for index, state in enumerate(theirs.hidden_states):
            pairs += [(ours.hidden_states[own], state) for own in (2 * index - 1, 2 * index) if 0 <= own < 2 * layers]
        hidden = max((a - b).abs().max().item() for a, b in pairs)
        logits = None
        if isinstance(model, ExHuBERTForSequenceClassification):
            has_head = isinstance(hubert, HubertForSequenceClassification)
            if has_head and hubert.config.id2label == model.config.id2label:
                expected = hubert(**inputs).logits
            else:
                expected = model.classify(theirs.last_hidden_state, inputs.get("attention_mask"))
            # not model(...): under mixed precision the Trainer wraps that in autocast, and the rest is compared bare
            logits = (type(model).forward(model, **inputs).logits - expected).abs().max().item()
    return IdentityReport(hidden, logits, 1e-6 if model.config.use_weighted_layer_sum else 0.0)


def signal_like_speech(seconds: float = 3.0, seed: int = 0) -> torch.Tensor:
    """A test signal `(1, samples)` at 16 kHz: gliding harmonics in noise, zero mean and unit variance."""
    time = torch.arange(round(seconds * 16_000)) / 16_000
    phase = 2 * math.pi * (120 * time + 15 * torch.sin(2 * math.pi * 0.7 * time))
    voiced = sum(torch.sin(k * phase) / k for k in range(1, 20)) * (0.6 + 0.4 * torch.sin(2 * math.pi * 4 * time))
    signal = voiced + 0.1 * torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return ((signal - signal.mean()) / signal.std())[None]


def default_feature_extractor(config: HubertConfig) -> Wav2Vec2FeatureExtractor:
    """The feature extractor a HuBERT of this configuration wants: 16 kHz, each clip to zero mean and unit variance.

    Layer-norm models get an attention mask. Group-norm models don't, as in HuBERT: their first convolution normalises
    over time and sees padding whatever the mask says.
    """
    return Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=16_000,
        padding_value=0.0,
        do_normalize=True,
        return_attention_mask=config.feat_extract_norm == "layer",
    )


def feature_extractor_of(source: str | Path, config: HubertConfig) -> Wav2Vec2FeatureExtractor:
    """The feature extractor saved with a model, or the one its configuration wants."""
    try:
        return AutoFeatureExtractor.from_pretrained(source)
    except OSError:
        logger.info("%s has no feature extractor of its own; HuBERT's usual one is used.", source)
        return default_feature_extractor(config)


def _extended_config(hubert, labels, config_fields) -> tuple[ExHuBERTConfig, bool]:
    """The extended configuration, and whether the source's head can be taken over."""
    if wrong := sorted(set(config_fields) - _FREE):
        raise ValueError(
            f"from_hubert() can't set {', '.join(wrong)}: the extended model must compute what its HuBERT does. "
            f"It can set {', '.join(sorted(_FREE))}; class names go into `labels`."
        )
    source = hubert.config
    own = set(HubertConfig.__dataclass_fields__) - {
        "architectures", "dtype", "layerdrop", "model_type", "transformers_version",
    }  # fmt: skip
    fields = {key: copy.deepcopy(getattr(source, key)) for key in own - {"tie_last_hidden_states"}}
    if getattr(source, "adapter_attn_dim", None) is not None:
        fields["adapter_attn_dim"] = source.adapter_attn_dim
    fields["num_hidden_layers"] = 2 * source.num_hidden_layers
    fields["base_checkpoint"] = source.name_or_path or None
    fields["attn_implementation"] = source._attn_implementation
    has_head = isinstance(hubert, HubertForSequenceClassification)
    names = names_by_index(source.id2label) if has_head else list(SIX_CLASSES)
    wanted = _class_names(labels, names) if labels is not None else names
    keep_head = has_head and wanted == names
    for field in ("classifier_proj_size", "use_weighted_layer_sum"):
        keep_head = keep_head and config_fields.get(field, fields[field]) == fields[field]
    if keep_head and source.use_weighted_layer_sum:
        # today's HuBERT weighs its last state before the final norm; so must a head that was trained on that
        fields["tie_last_hidden_states"] = bool(getattr(source, "tie_last_hidden_states", None))
    if not keep_head:
        fields["problem_type"] = None
    fields |= label_maps(wanted)
    return ExHuBERTConfig(**(fields | config_fields)), keep_head


def _class_names(labels: Any, known: list[str]) -> list[str]:
    """Class names from what a caller gives for `labels`; a number equal to that of the known names means those."""
    if isinstance(labels, Mapping):
        names = names_by_index(labels)
    elif isinstance(labels, Integral) and int(labels) > 0:
        names = known if labels == len(known) else [f"LABEL_{index}" for index in range(int(labels))]
    elif isinstance(labels, Sequence) and not isinstance(labels, str):
        names = list(labels)
    else:
        names = []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"labels is {labels!r}; expected different class names in logit order, or their number.")
    return names


def _extended_keys(key: str) -> Iterator[str]:
    """Where a weight of `HubertModel` goes: layers into both copies, under either weight-norm name."""
    if key.startswith(LAYER):
        index, rest = key.removeprefix(LAYER).split(".", 1)
        yield f"{LAYER}{index}.frozen.{rest}"
        yield f"{LAYER}{index}.adapted.{rest}"
    else:
        yield key


def _spread_layer_weights(weights: torch.Tensor) -> torch.Tensor:
    """Shares each state's weight between the two that equal it at step 0, so that the weighted sum stays as it is."""
    halves = (weights[1:] - math.log(2)).repeat_interleave(2)
    return torch.cat([weights[:1], halves])


def align(model: torch.nn.Module):
    """Moves weights that safetensors mapped to odd addresses: CPU kernels round differently there (2e-7)."""
    for parameter in model.parameters():
        if parameter.data_ptr() % 64:
            parameter.data = parameter.data.clone()


@contextlib.contextmanager
def _evaluating(*models: torch.nn.Module):
    """Puts models into eval mode, and back."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)
