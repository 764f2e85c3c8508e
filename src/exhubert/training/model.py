"""Loads the model to fine-tune, and the HuBERT that it must equal before the first step."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import HubertConfig, HubertForSequenceClassification
from transformers.utils import logging

from ..configuration_exhubert import ExHuBERTConfig, explain_checkpoint, is_regression, read_config
from ..conversion.extension import extended_keys, hubert_of
from ..conversion.folding import closed_gates
from ..conversion.loading import checkpoint_kind, feature_extractor_of, load_hubert, load_weights, refuse_other
from ..labels import label_maps, names_by_index
from ..modeling_exhubert import ExHuBERTForSequenceClassification
from .arguments import ModelArguments

logger = logging.get_logger(__name__)


def load_for_training(arguments: ModelArguments, labels: Sequence[str]):
    """Loads `arguments.model` for `arguments.method`, with a classification head for `labels`.

    A head for the same labels is kept; any other is initialised randomly, which is logged. As many classes with other
    names are other labels.

    Args:
        arguments: Model, method, and the parts to freeze.
        labels: Class names in logit order.

    Returns:
        The model, with the chosen parts frozen, and its feature extractor.

    Raises:
        ValueError: The checkpoint doesn't fit the method or the labels.
        OSError: The checkpoint can't be read or downloaded.
    """
    values = read_config(arguments.model)
    refuse_other(arguments.model, values)
    kind = checkpoint_kind(values)
    fields = label_maps(labels) | arguments.config_fields
    if arguments.method == "hubert":
        if kind != "hubert":
            raise ValueError(f"method `hubert` fine-tunes a plain HuBERT, but {arguments.model} is of kind {kind}.")
        fields |= {"layerdrop": 0.0, "output_loading_info": True}
        model, info = _load_with_new_head(HubertForSequenceClassification, arguments.model, values, fields)
        if missing := [key for key in info["missing_keys"] if key.startswith("hubert.")]:
            remedy = explain_checkpoint(arguments.model) or "download or save it again."
            raise RuntimeError(
                f"{arguments.model} is not a complete HuBERT: it lacks {', '.join(sorted(missing))}; {remedy}"
            )
        if values.get("architectures") == [HubertForSequenceClassification.__name__]:
            _fit_head(model, HubertConfig.from_dict(dict(values)), labels, arguments.model)
        if arguments.lora_rank:
            model = with_adapters(model, arguments.lora_rank)
        # as in our own models: the loss is a mean, which the Trainer must not treat as a sum
        model.accepts_loss_kwargs = False
    elif kind == "hubert":
        model = ExHuBERTForSequenceClassification.from_hubert(arguments.model, labels, **arguments.config_fields)
    elif kind == "published":
        model = ExHuBERTForSequenceClassification.from_published(arguments.model, **arguments.config_fields)
        _fit_head(model, model.config, labels, arguments.model)
    else:
        model = _load_with_new_head(ExHuBERTForSequenceClassification, arguments.model, values, fields)
        _fit_head(model, ExHuBERTConfig.from_dict(dict(values)), labels, arguments.model)
    model.config.logit_temperature = None  # an earlier calibration doesn't hold after training
    if not arguments.zero_init:
        for gate in model.gates.values():
            gate.reset_parameters()
    _freeze(model, arguments)
    return model, feature_extractor_of(arguments.model, model.config)


def _load_with_new_head(model_class, source: str, values: Mapping[str, Any], fields: Mapping[str, Any]):
    return load_weights(model_class, source, values, torch.float32, ignore_mismatched_sizes=True, **fields)


def _fit_head(model, source: HubertConfig, labels: Sequence[str], name: str) -> None:
    """Draws a new head if the checkpoint's is for other classes, or isn't a classifier."""
    known = names_by_index(source.id2label)
    if known == list(labels) and not is_regression(source):
        return
    if model.classifier.out_features != len(labels) or len(known) == len(labels):  # else transformers drew one
        model.classifier = torch.nn.Linear(model.classifier.in_features, len(labels))
        model._init_weights(model.classifier)
    for field, value in label_maps(labels).items():
        setattr(model.config, field, value)
    model.config.problem_type, model.num_labels = None, len(labels)
    logger.warning("%s has a head for %s; a new one is drawn for %s.", name, ", ".join(known), ", ".join(labels))


def base_hubert(model: ExHuBERTForSequenceClassification):
    """The HuBERT an untrained ExHuBERT was made from: its base checkpoint if that loads, else its frozen copies.

    Returns:
        The HuBERT and a description of its source; `(None, reason)` for a model that isn't at step 0.
    """
    if len(closed_gates(model)) < len(model.gates):
        return None, "the gates are open already: this model was trained before"
    if model.config.frozen_gate:
        return None, "frozen gates stand between the layers, as in the published checkpoint"
    base = model.config.base_checkpoint
    if base is not None:
        with contextlib.suppress(OSError):
            hubert = load_hubert(base)
            if rounded := _round_like(hubert.base_model, model.base_model):
                return hubert.base_model, f"base checkpoint {base}, rounded to {rounded} as the model was"
            return hubert, f"base checkpoint {base}"
    return hubert_of(model.base_model), "frozen copies (the base checkpoint is not at hand)"


@torch.no_grad()
def _round_like(hubert, model) -> str:
    """Rounds the weights of a HuBERT that were rounded in the ExHuBERT, which was stored in half precision.

    Returns:
        The names of the precisions; empty if no weight of the ExHuBERT is a rounded weight of the HuBERT.
    """
    names, state = set(), model.state_dict()
    for name, weight in hubert.state_dict().items():
        copy = state.get(next(extended_keys(name)))
        if copy is None or copy.shape != weight.shape or torch.equal(copy, weight):
            continue
        for dtype in (torch.float16, torch.bfloat16):
            if torch.equal(copy, weight.to(dtype).to(copy.dtype)):
                weight.copy_(copy)
                names.add(str(dtype).removeprefix("torch."))
                break
    return " and ".join(sorted(names))


def with_adapters(model: HubertForSequenceClassification, rank: int):
    """Adds low-rank adapters (LoRA) to the attention and feed-forward layers; only they and the head train.

    Raises:
        ValueError: The library peft isn't installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ValueError("`lora_rank` needs the library peft: pip install 'exhubert[lora]'.") from error
    layers = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]
    options = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=layers, modules_to_save=["projector", "classifier"]
    )
    return peft.get_peft_model(model, options)


def _freeze(model, arguments: ModelArguments):
    if arguments.lora_rank:
        return  # peft has frozen all but the adapters and the head
    if arguments.freeze_encoder:
        model.freeze_base_model()
        return
    if not arguments.freeze_first_copies:
        model.unfreeze_og_encoder()
    if arguments.freeze_feature_encoder:
        model.freeze_feature_encoder()
    base = model.hubert
    if arguments.freeze_shared_layers:
        for module in (base.feature_projection, base.encoder.pos_conv_embed, base.encoder.layer_norm):
            module.requires_grad_(False)
    unused = not base.config.apply_spec_augment or base.config.mask_time_prob == 0
    if isinstance(getattr(base, "masked_spec_embed", None), torch.nn.Parameter) and unused:
        base.masked_spec_embed.requires_grad_(False)  # data-parallel training fails on parameters without gradient
