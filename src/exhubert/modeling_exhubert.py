"""PyTorch ExHuBERT model: a frozen HuBERT whose encoder layers each get a trained copy and a zero-initialised gate.

This file and its configuration import only torch and transformers, so that saved models also run as remote code.
"""

import copy
import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.hubert.modeling_hubert import (
    HubertEncoder,
    HubertEncoderLayer,
    HubertEncoderLayerStableLayerNorm,
    HubertEncoderStableLayerNorm,
    HubertFeatureEncoder,
    HubertFeatureProjection,
    HubertModel,
    HubertPreTrainedModel,
)
from transformers.utils import cached_file
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import OutputRecorder

from .configuration_exhubert import ExHuBERTConfig, explain_checkpoint, is_published_layout, read_config

HEAD_PREFIXES = ("projector.", "classifier.", "layer_weights")  # weights of the classification head
SPEC_AUGMENT_VECTOR = "masked_spec_embed"  # exists only in models with SpecAugment, so it may be missing

_AUTO_MAP = {
    "AutoConfig": "configuration_exhubert.ExHuBERTConfig",
    "AutoModel": "modeling_exhubert.ExHuBERTModel",
    "AutoModelForAudioClassification": "modeling_exhubert.ExHuBERTForSequenceClassification",
}
_PIPELINE_CODE = (
    "pipeline_exhubert.py",
    "audio.py",
    "audio_containers.py",
    "audio_headers.py",
    "audio_mixing.py",
    "audio_windows.py",
)
_PIPELINE = {
    "audio-classification": {
        "impl": "pipeline_exhubert.ExHuBERTPipeline",
        "pt": ["AutoModelForAudioClassification"],
        "type": "audio",
    }
}


class ExHuBERTGate(nn.Linear):
    """Linear layer initialised to zero: a block adds nothing to HuBERT until training opens its gate."""


class ExHuBERTFrozenGate(nn.Linear):
    """Linear layer after a frozen copy, initialised to the identity. Only published checkpoints have one."""


class ExHuBERTBlock(GradientCheckpointingLayer):
    """Two copies of one HuBERT layer: `f = frozen(h)`, then `f + gate(adapted(f))`.

    With `config.frozen_gate` the first step is `f = frozen_gate(frozen(h))`, as in the published checkpoint. A block in
    `config.closed_blocks` has only the first step.
    """

    def __init__(self, config: ExHuBERTConfig, index: int):
        super().__init__()
        layer_class = HubertEncoderLayerStableLayerNorm if config.do_stable_layer_norm else HubertEncoderLayer
        self.frozen = layer_class(config)
        self.frozen_gate = None
        if config.has_frozen_gate(index):
            self.frozen_gate = ExHuBERTFrozenGate(config.hidden_size, config.hidden_size)
        self.skip = nn.Identity()  # names the skip connection, so that its hidden state can be recorded
        closed = config.is_closed(index)
        self.adapted = None if closed else layer_class(config)
        self.gate = None if closed else ExHuBERTGate(config.hidden_size, config.hidden_size)
        self.frozen_dropout = config.frozen_dropout
        self.layerdrop = config.layerdrop
        self.freeze()
        self.train()  # puts the frozen copy into eval mode from the start

    def freeze(self, frozen: bool = True):
        """Freezes the frozen copy and its gate; `frozen=False` makes them trainable."""
        for module in (self.frozen, self.frozen_gate):
            if module is not None:
                module.requires_grad_(not frozen)

    def train(self, mode: bool = True):
        super().train(mode)
        self.frozen.train(mode and self.frozen_dropout)
        return self

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        """Maps `(batch, frames, hidden)` to the same shape; `attention_mask` is that of HuBERT's layers."""
        frozen_output = self.frozen(hidden_states, attention_mask=attention_mask, **kwargs)
        if self.frozen_gate is not None:
            frozen_output = self.frozen_gate(frozen_output)
        frozen_output = self.skip(frozen_output)
        if self.adapted is None or self.gate is None:
            return frozen_output
        added = self.gate(self.adapted(frozen_output, attention_mask=attention_mask, **kwargs))
        if self.training and self.layerdrop > 0:
            # multiply instead of skipping: all ranks keep the same graph, so DDP needs no find_unused_parameters
            added = added * (torch.rand([], device=added.device) >= self.layerdrop)
        return frozen_output + added


class _BlockStack(nn.Module):
    """Mixin that builds a HuBERT encoder, pre-norm or post-norm, from blocks instead of layers."""

    def __init__(self, config: ExHuBERTConfig):
        without_layers = copy.copy(config)
        without_layers.num_hidden_layers = 0
        super().__init__(without_layers)
        self.config = config
        self.layers = nn.ModuleList([ExHuBERTBlock(config, index) for index in range(config.num_blocks)])
        self.training = False

    def train(self, mode: bool = True):
        super().train(mode)
        self.training = False  # otherwise HuBERT's LayerDrop would skip whole blocks, frozen copies included
        return self


class ExHuBERTEncoder(_BlockStack, HubertEncoder):
    """Encoder of the post-norm layout (base size)."""


class ExHuBERTStableEncoder(_BlockStack, HubertEncoderStableLayerNorm):
    """Encoder of the pre-norm layout (large and xlarge size)."""


class ExHuBERTPreTrainedModel(HubertPreTrainedModel):
    """Base class of both models: initialisation, freezing, strict loading, and saving with remote code."""

    config_class = ExHuBERTConfig
    config: ExHuBERTConfig
    base_model_prefix = "hubert"
    # The loss is a mean over the batch: the Trainer must divide by accumulation steps and ranks itself.
    accepts_loss_kwargs = False
    _no_split_modules = ["ExHuBERTBlock", "ParametrizedConv1d"]
    _can_record_outputs = {
        "hidden_states": [
            OutputRecorder(nn.Dropout, layer_name="encoder.dropout", capture_initial_hidden_state=False),
            OutputRecorder(nn.Identity, layer_name="skip", capture_initial_hidden_state=False),
            OutputRecorder(ExHuBERTBlock, capture_initial_hidden_state=False),
        ],
        "attentions": HubertPreTrainedModel._can_record_outputs["attentions"],
    }

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, ExHuBERTGate):
            init.zeros_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, ExHuBERTFrozenGate):
            init.eye_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, ExHuBERTForSequenceClassification) and hasattr(module, "layer_weights"):
            init.constant_(module.layer_weights, 1.0 / len(module.layer_weights))

    def _set_gradient_checkpointing(self, enable=True, every_n_layers=1, **kwargs):
        if getattr(kwargs.get("gradient_checkpointing_func"), "keywords", {}).get("use_reentrant"):
            raise ValueError(
                "use_reentrant=True silently loses the gradients of everything after a frozen layer; "
                "use the default, use_reentrant=False."
            )
        super()._set_gradient_checkpointing(enable, **kwargs)
        for index, block in enumerate(self.blocks):
            # checkpoint the block as a whole: checkpointing its copies too would recompute them twice
            block.gradient_checkpointing = enable and index % every_n_layers == 0
            for layer in (block.frozen, block.adapted):
                if layer is not None:
                    layer.gradient_checkpointing = False

    def _get_feature_vector_attention_mask(self, feature_vector_length: int, attention_mask: torch.LongTensor):
        """Mask of the frames with audio, `(batch, frames)`; a row too short for one frame counts as one frame."""
        lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1)).clamp(min=1)
        return torch.arange(feature_vector_length, device=attention_mask.device) < lengths[:, None]

    @property
    def blocks(self) -> Sequence[ExHuBERTBlock]:
        """The `config.num_blocks` blocks, in layer order."""
        return self.base_model.encoder.layers

    @property
    def gates(self) -> dict[int, ExHuBERTGate]:
        """The gates by block index; a block in `config.closed_blocks` has none."""
        return {index: block.gate for index, block in enumerate(self.blocks) if block.gate is not None}

    def get_input_embeddings(self):
        """Returns None, as speech has no embedding table. Accelerate's FSDP calls this, and HuBERT's version raises."""

    def freeze_og_encoder(self):
        """Freezes the original copy of each layer and its frozen gate. This is the state of a new or loaded model."""
        for block in self.blocks:
            block.freeze()

    def unfreeze_og_encoder(self):
        """Makes the frozen copies trainable. They stay in eval mode unless `config.frozen_dropout` is set."""
        for block in self.blocks:
            block.freeze(False)

    def freeze_feature_encoder(self):
        """Freezes the convolutional feature encoder."""
        self.base_model.feature_extractor._freeze_parameters()

    def unfreeze_feature_encoder(self):
        """Makes the convolutional feature encoder trainable."""
        self.base_model.feature_extractor.requires_grad_(True)
        self.base_model.feature_extractor._requires_grad = True

    def freeze_base_model(self):
        """Freezes everything but the classification head."""
        self.base_model.requires_grad_(False)
        self.base_model.feature_extractor._requires_grad = False

    def unfreeze_base_model(self):
        """Makes everything trainable except the frozen copies, which only `unfreeze_og_encoder` unfreezes."""
        self.base_model.requires_grad_(True)
        self.unfreeze_feature_encoder()
        self.freeze_og_encoder()

    def _pipeline_file(self, name: str) -> Path | None:
        """Path of a source file of the pipeline: next to this file, or for remote code in the loaded checkpoint."""
        sibling = Path(__file__).with_name(name)
        if sibling.is_file():
            return sibling
        quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
        path = cached_file(self.name_or_path, name, **quiet) if self.name_or_path else None
        return Path(path) if path else None

    def save_pretrained(self, save_directory, **kwargs):
        """Saves the model with the code that it and its pipeline need to load without exhubert installed."""
        self.config.auto_map = dict(_AUTO_MAP)
        self.config.__dict__.pop("custom_pipelines", None)
        code = [self._pipeline_file(name) for name in _PIPELINE_CODE]
        if all(code):
            _refuse_foreign_code(Path(save_directory), code)
            self.config.custom_pipelines = _PIPELINE
            Path(save_directory).mkdir(parents=True, exist_ok=True)
            for path in filter(None, code):
                if path.resolve() != (Path(save_directory) / path.name).resolve():
                    shutil.copyfile(path, Path(save_directory) / path.name)
        own = type(self)
        # FSDP swaps in a subclass, for which transformers would save torch's source file instead of ours
        self.__class__ = next(cls for cls in own.__mro__ if not cls.__name__.startswith("FSDP"))
        try:
            return super().save_pretrained(save_directory, **kwargs)
        finally:
            self.__class__ = own
            self.config.__dict__.pop("custom_pipelines", None)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info=False, **kwargs):
        """Loads an ExHuBERT, and raises if any weight doesn't match.

        Args:
            pretrained_model_name_or_path: Folder or hub id of an ExHuBERT saved with `save_pretrained`.
            *args: Passed to transformers.
            output_loading_info: Whether to return `(model, info)` without checking `info`.
            **kwargs: Passed to transformers. `ignore_mismatched_sizes=True` allows the classification head, and only
                the head, to be missing or of another size: it is then newly initialised.

        Returns:
            The model in eval mode, with its frozen copies frozen.

        Raises:
            ValueError: The checkpoint is a HuBERT, or an ExHuBERT in the published layout.
            RuntimeError: A weight is missing, unexpected or of the wrong shape.
        """
        config = kwargs.get("config")
        if not isinstance(config, ExHuBERTConfig):
            _refuse_hubert(config or pretrained_model_name_or_path, kwargs)
        kwargs.setdefault("ignore_mismatched_sizes", False)
        model, info = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        model.freeze_og_encoder()  # loading makes every parameter trainable
        if output_loading_info:
            return model, info
        new_head_allowed, headless = kwargs["ignore_mismatched_sizes"], model is model.base_model

        def relevant(keys, head_may_differ):
            return {
                key
                for key in keys
                if not key.endswith(SPEC_AUGMENT_VECTOR) and not (head_may_differ and key.startswith(HEAD_PREFIXES))
            }

        missing = relevant(info["missing_keys"], new_head_allowed)
        unexpected = relevant(info["unexpected_keys"], headless)
        head = HEAD_PREFIXES if new_head_allowed else ()
        mismatched = {key for key, *_ in info["mismatched_keys"] if not key.startswith(head)}
        if missing or unexpected or mismatched:
            remedy = explain_checkpoint(pretrained_model_name_or_path) or (
                "to initialise a new classification head, pass ignore_mismatched_sizes=True; "
                "no other weight may differ from the checkpoint."
            )
            raise RuntimeError(
                f"{pretrained_model_name_or_path} does not hold a complete {cls.__name__}: missing {_some(missing)}; "
                f"unexpected {_some(unexpected)}; of another shape {_some(mismatched)}; {remedy}"
            )
        return model

    @classmethod
    def from_hubert(cls, source, labels=None, **config_fields):
        """Extends a HuBERT: see [`exhubert.conversion.extend_hubert`] for arguments, returns and errors."""
        return _package("conversion.extension").extend_hubert(cls, source, labels, **config_fields)

    @classmethod
    def from_published(cls, source, **options):
        """Loads the published layout: see [`exhubert.conversion.load_published`] for arguments, returns and errors."""
        return _package("conversion.published").load_published(cls, source, **options)


class ExHuBERTModel(ExHuBERTPreTrainedModel, HubertModel):
    """ExHuBERT without a head: maps raw speech to hidden states.

    Before training, its outputs equal those of the HuBERT it was extended from, bit for bit in fp32 and eval mode.

    Example:

    ```python
    >>> import torch
    >>> from exhubert import ExHuBERTConfig, ExHuBERTModel
    >>> config = ExHuBERTConfig(hidden_size=32, num_attention_heads=2, intermediate_size=64, num_hidden_layers=4)
    >>> model = ExHuBERTModel(config).eval()
    >>> model(torch.zeros(1, 16000)).last_hidden_state.shape  # one second at 16 kHz
    torch.Size([1, 49, 32])

    ```"""

    def __init__(self, config: ExHuBERTConfig):
        super(HubertModel, self).__init__(config)  # HubertModel.__init__ would build an encoder only to discard it
        self.feature_extractor = HubertFeatureEncoder(config)
        self.feature_projection = HubertFeatureProjection(config)
        if config.mask_time_prob > 0.0 or config.mask_feature_prob > 0.0:
            self.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size).uniform_())
        encoder_class = ExHuBERTStableEncoder if config.do_stable_layer_norm else ExHuBERTEncoder
        self.encoder = encoder_class(config)
        self.post_init()

    def _mask_hidden_states(self, hidden_states, mask_time_indices=None, attention_mask=None):
        masks = self.training and self.config.apply_spec_augment and self.config.mask_time_prob > 0
        if masks and mask_time_indices is None and hidden_states.shape[1] < self.config.mask_time_length:
            # HuBERT raises here; a clip shorter than one mask stays unmasked (the sum keeps one graph on all ranks)
            return hidden_states + 0 * self.masked_spec_embed.sum()
        return super()._mask_hidden_states(hidden_states, mask_time_indices, attention_mask)

    def forward(self, input_values, attention_mask=None, **kwargs):
        """Computes hidden states.

        Args:
            input_values: Speech at 16 kHz, `(batch, samples)`, float; at least 400 samples (25 ms) in HuBERT's layout.
            attention_mask: `(batch, samples)`, 1 on speech and 0 on the padding to its right. Group-norm models
                (`feat_extract_norm="group"`) are affected by padding despite the mask, as HuBERT is: run them unpadded.
            **kwargs: `mask_time_indices`, `output_hidden_states`, `output_attentions`, `return_dict` as in HuBERT.

        Returns:
            `BaseModelOutput` with `last_hidden_state` `(batch, frames, hidden)`; on request `hidden_states`,
            `num_hidden_layers + 1` tensors of that shape: the input of the first block, then for each block the output
            of its frozen copy and of the block, the last one being `last_hidden_state`; on request `attentions`, one
            tensor `(batch, heads, frames, frames)` for each transformer layer.

        Raises:
            ValueError: The input is shorter than one frame, or the attention implementation can't return attentions.
        """
        if kwargs.get("output_attentions") and self.config._attn_implementation != "eager":
            raise ValueError(
                f"output_attentions=True needs eager attention, and this model runs "
                f"{self.config._attn_implementation!r}, which never computes the attention weights. "
                'Call model.set_attn_implementation("eager") first.'
            )
        if input_values.shape[-1] < self.config.samples_per_frame:
            raise ValueError(
                f"input_values holds {input_values.shape[-1]} samples, too few for one frame: this model needs "
                f"at least {self.config.samples_per_frame} ({self.config.samples_per_frame / 16:g} ms at 16 kHz). "
                "Pad or drop such clips."
            )
        # feature extractors return fp32, and transformers loads a model in the precision it is stored in
        return super().forward(input_values.to(self.dtype), attention_mask, **kwargs)


class ExHuBERTForSequenceClassification(ExHuBERTPreTrainedModel):
    """ExHuBERT with HuBERT's classification head: projector, mean over frames, classifier.

    Example:

    ```python
    >>> import torch
    >>> from transformers import HubertConfig, HubertModel
    >>> from exhubert import ExHuBERTForSequenceClassification
    >>> hubert = HubertModel(HubertConfig(hidden_size=32, num_attention_heads=2, intermediate_size=64,
    ...                                   num_hidden_layers=2))
    >>> model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    >>> model(torch.zeros(1, 16000)).logits.shape
    torch.Size([1, 6])

    ```"""

    def __init__(self, config: ExHuBERTConfig):
        super().__init__(config)
        self.hubert = ExHuBERTModel(config)
        if config.use_weighted_layer_sum:
            states = config.num_hidden_layers + 1
            self.layer_weights = nn.Parameter(torch.ones(states) / states)
        self.projector = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.post_init()

    def classify(self, hidden_states, attention_mask=None):
        """Applies the head to `(batch, frames, hidden)`, pools over speech frames, returns `(batch, labels)`."""
        projected = self.projector(hidden_states)
        if attention_mask is None:
            return self.classifier(projected.mean(dim=1))
        speech = self._get_feature_vector_attention_mask(projected.shape[1], attention_mask)[..., None]
        pooled = projected.masked_fill(~speech, 0.0).sum(dim=1) / speech.sum(dim=1)
        return self.classifier(pooled)

    def features(self, last_hidden_state, hidden_states):
        """What the head classifies, `(batch, frames, hidden)`: the last state, or the weighted sum of all states."""
        if not self.config.use_weighted_layer_sum:
            return last_hidden_state
        weights = self.layer_weights.softmax(dim=-1)
        return sum(weight * state for weight, state in zip(weights, hidden_states, strict=True))

    @can_return_tuple
    def forward(self, input_values, attention_mask=None, labels=None, **kwargs):
        """Computes logits, and the loss if labels are given.

        Args:
            input_values: Speech at 16 kHz, `(batch, samples)`.
            attention_mask: `(batch, samples)`, see [`ExHuBERTModel.forward`].
            labels: `(batch,)` class indices for cross-entropy; `(batch,)` floats for mean squared error if the model
                has one label; `(batch, labels)` floats for multi-label binary cross-entropy. `config.problem_type`
                takes precedence if it is set.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            `SequenceClassifierOutput` with `logits` `(batch, labels)`, `loss` (a mean over the batch) if labels are
            given, `hidden_states` and `attentions` on request.
        """
        weighted = self.config.use_weighted_layer_sum
        return_states = kwargs.pop("output_hidden_states", None)
        return_states = self.config.output_hidden_states if return_states is None else return_states
        outputs = self.hubert(input_values, attention_mask, output_hidden_states=weighted or return_states, **kwargs)
        features = self.features(outputs.last_hidden_state, outputs.hidden_states)
        logits = self.classify(features, attention_mask)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states if return_states else None,
            attentions=outputs.attentions,
        )


def _package(module: str):
    """Imports a module of the exhubert package by name, as remote code comes without it."""
    try:
        return importlib.import_module(f"exhubert.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Extending a HuBERT or converting published weights needs the exhubert package; this model was loaded as "
            "remote code. Install exhubert and import the class from there."
        ) from error


def _refuse_hubert(source, kwargs):
    """Raises if `source` is a HuBERT, which transformers would load with all other weights drawn at random."""
    if isinstance(source, PreTrainedConfig):
        values, name = source.to_dict(), f"A configuration of class {type(source).__name__}"
    else:
        hub_options = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")
        values, name = read_config(source, **{key: kwargs[key] for key in hub_options if key in kwargs}), source
    if values.get("model_type") != ExHuBERTConfig.model_type:
        advice = (
            " in the published ExHuBERT layout: load it with from_published()"
            if is_published_layout(values)
            else ": extend a HuBERT with from_hubert() first"
        )
        raise ValueError(
            f"{name} is not an ExHuBERT but a checkpoint of type {values.get('model_type') or 'unknown'!r}{advice}."
        )


def _refuse_foreign_code(folder, code):
    """Raises if the code of the model would replace a file of somebody else, such as an audio.py in a project."""
    config = folder / "config.json"
    if config.is_file() and f'"model_type": "{ExHuBERTConfig.model_type}"' in config.read_text(encoding="utf-8"):
        return  # code of an earlier version
    for path in code:
        existing = folder / path.name
        if existing.is_file() and existing.read_bytes() != path.read_bytes():
            raise ValueError(
                f"{existing} exists and isn't the code of this model, which is saved under that name; nothing was "
                "written. Save the model in a folder of its own."
            )


def _some(names, limit=6):
    shown = ", ".join(sorted(names)[:limit]) or "nothing"
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


ExHuBERTConfig.register_for_auto_class()
ExHuBERTModel.register_for_auto_class("AutoModel")
ExHuBERTForSequenceClassification.register_for_auto_class("AutoModelForAudioClassification")

__all__ = ["ExHuBERTForSequenceClassification", "ExHuBERTModel", "ExHuBERTPreTrainedModel"]
