"""ExHuBERT: each HuBERT encoder layer is kept frozen and followed by a trained copy behind a zero-initialised gate.

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

from .configuration_exhubert import ExHuBERTConfig, is_published_layout, read_config

HEAD_PREFIXES = ("projector.", "classifier.", "layer_weights")  # weights of the classification head
SPEC_AUGMENT_VECTOR = "masked_spec_embed"  # exists only in models that SpecAugment masks, so it may be missing

_AUTO_MAP = {
    "AutoConfig": "configuration_exhubert.ExHuBERTConfig",
    "AutoModel": "modeling_exhubert.ExHuBERTModel",
    "AutoModelForAudioClassification": "modeling_exhubert.ExHuBERTForSequenceClassification",
}
_PIPELINE_CODE = ("pipeline_exhubert.py", "audio.py")
_PIPELINE = {
    "audio-classification": {
        "impl": "pipeline_exhubert.ExHuBERTPipeline",
        "pt": ["AutoModelForAudioClassification"],
        "type": "audio",
    }
}


class ExHuBERTGate(nn.Linear):
    """Linear that starts at zero: a block adds nothing to HuBERT until training has opened its gate."""


class ExHuBERTFrozenGate(nn.Linear):
    """Linear behind a frozen copy, found in published checkpoints only; the identity when new."""


class ExHuBERTBlock(GradientCheckpointingLayer):
    """One HuBERT layer, twice: `f = frozen(h)`, then `f + gate(adapted(f))`.

    With `config.frozen_gate` the first line reads `f = frozen_gate(frozen(h))`, as in the published checkpoint. A block
    of `config.closed_blocks` ends with the first line.
    """

    def __init__(self, config: ExHuBERTConfig, index: int):
        super().__init__()
        layer_class = HubertEncoderLayerStableLayerNorm if config.do_stable_layer_norm else HubertEncoderLayer
        self.frozen = layer_class(config)
        self.frozen_gate = None
        if config.has_frozen_gate(index):
            self.frozen_gate = ExHuBERTFrozenGate(config.hidden_size, config.hidden_size)
        self.skip = nn.Identity()  # gives the skip connection a name, under which its hidden state is recorded
        closed = config.is_closed(index)
        self.adapted = None if closed else layer_class(config)
        self.gate = None if closed else ExHuBERTGate(config.hidden_size, config.hidden_size)
        self.frozen_dropout = config.frozen_dropout
        self.layerdrop = config.layerdrop
        self.freeze()
        self.train()  # puts the frozen copy into eval mode from the start

    def freeze(self, frozen: bool = True):
        """Freezes the frozen copy and its gate, or with `frozen=False` makes them trainable."""
        for module in (self.frozen, self.frozen_gate):
            if module is not None:
                module.requires_grad_(not frozen)

    def train(self, mode: bool = True):
        super().train(mode)
        self.frozen.train(mode and self.frozen_dropout)
        return self

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        """Maps `(batch, frames, hidden)` to the same shape; `attention_mask` as HuBERT's own layers take it."""
        frozen_output = self.frozen(hidden_states, attention_mask=attention_mask, **kwargs)
        if self.frozen_gate is not None:
            frozen_output = self.frozen_gate(frozen_output)
        frozen_output = self.skip(frozen_output)
        if self.adapted is None or self.gate is None:
            return frozen_output
        added = self.gate(self.adapted(frozen_output, attention_mask=attention_mask, **kwargs))
        if self.training and self.layerdrop > 0:
            # multiplied, not skipped: every rank keeps the same graph, so data-parallel training needs no search
            added = added * (torch.rand([], device=added.device) >= self.layerdrop)
        return frozen_output + added


class _BlockStack(nn.Module):
    """Makes an encoder of either HuBERT layout hold blocks instead of layers."""

    def __init__(self, config: ExHuBERTConfig):
        without_layers = copy.copy(config)
        without_layers.num_hidden_layers = 0
        super().__init__(without_layers)
        self.config = config
        self.layers = nn.ModuleList([ExHuBERTBlock(config, index) for index in range(config.num_blocks)])
        self.training = False

    def train(self, mode: bool = True):
        super().train(mode)
        self.training = False  # else HuBERT's LayerDrop would leave out whole blocks, frozen copies included
        return self


class ExHuBERTEncoder(_BlockStack, HubertEncoder):
    """Post-norm layout (base size)."""


class ExHuBERTStableEncoder(_BlockStack, HubertEncoderStableLayerNorm):
    """Pre-norm layout (large and xlarge size)."""


class ExHuBERTPreTrainedModel(HubertPreTrainedModel):
    """Initialisation, freezing, strict loading and remote-code saving, shared by both models."""

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
                "use_reentrant=True silently loses the gradients of everything behind a frozen layer; "
                "use the default, use_reentrant=False."
            )
        super()._set_gradient_checkpointing(enable, **kwargs)
        for index, block in enumerate(self.blocks):
            # the block is checkpointed as a whole: doing it for its copies too would recompute them twice
            block.gradient_checkpointing = enable and index % every_n_layers == 0
            for layer in (block.frozen, block.adapted):
                if layer is not None:
                    layer.gradient_checkpointing = False

    def _get_feature_vector_attention_mask(self, feature_vector_length: int, attention_mask: torch.LongTensor):
        """Frames that hold audio, `(batch, frames)`; a row too short for a whole frame counts as one frame."""
        lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1)).clamp(min=1)
        return torch.arange(feature_vector_length, device=attention_mask.device) < lengths[:, None]

    @property
    def blocks(self) -> Sequence[ExHuBERTBlock]:
        """The `config.num_blocks` blocks, first layer first."""
        return self.base_model.encoder.layers

    @property
    def gates(self) -> dict[int, ExHuBERTGate]:
        """The gate of each block that has one, by the block's index."""
        return {index: block.gate for index, block in enumerate(self.blocks) if block.gate is not None}

    def get_input_embeddings(self):
        """None: speech has no table of embeddings. Accelerate's FSDP asks, and HuBERT raises."""

    def freeze_og_encoder(self):
        """Freezes the first, original copy of each layer, and its frozen gate. So it is from construction."""
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
        """Makes everything trainable but the frozen copies, which only `unfreeze_og_encoder` releases."""
        self.base_model.requires_grad_(True)
        self.unfreeze_feature_encoder()
        self.freeze_og_encoder()

    def _travelling(self, name: str) -> Path | None:
        """A file of the pipeline: beside this one, or for remote code where the model was loaded from."""
        beside = Path(__file__).with_name(name)
        if beside.is_file():
            return beside
        quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
        found = cached_file(self.name_or_path, name, **quiet) if self.name_or_path else None
        return Path(found) if found else None

    def save_pretrained(self, save_directory, **kwargs):
        """Saves the model with the code that lets it and its pipeline load where exhubert is not installed."""
        self.config.auto_map = dict(_AUTO_MAP)
        self.config.__dict__.pop("custom_pipelines", None)
        code = [self._travelling(name) for name in _PIPELINE_CODE]
        if all(code):
            self.config.custom_pipelines = _PIPELINE
            Path(save_directory).mkdir(parents=True, exist_ok=True)
            for path in filter(None, code):
                if path.resolve() != (Path(save_directory) / path.name).resolve():
                    shutil.copyfile(path, Path(save_directory) / path.name)
        own = type(self)
        # FSDP puts a class of its own before ours; saved with that, the code would be torch's
        self.__class__ = next(cls for cls in own.__mro__ if not cls.__name__.startswith("FSDP"))
        try:
            return super().save_pretrained(save_directory, **kwargs)
        finally:
            self.__class__ = own
            self.config.__dict__.pop("custom_pipelines", None)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info=False, **kwargs):
        """Loads an ExHuBERT completely, or raises.

        Args:
            pretrained_model_name_or_path: Folder or hub id of an ExHuBERT that was saved with `save_pretrained`.
            *args: Passed on to transformers.
            output_loading_info: Return `(model, info)` and leave the judgement of `info` to the caller.
            **kwargs: Passed on to transformers. `ignore_mismatched_sizes=True` lets the classification head, and
                only the head, be missing or of another size: it is then drawn anew.

        Returns:
            The model in eval mode, its frozen copies frozen.

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
        new_head_wanted, headless = kwargs["ignore_mismatched_sizes"], model is model.base_model

        def relevant(keys, head_may_differ):
            return {
                key
                for key in keys
                if not key.endswith(SPEC_AUGMENT_VECTOR) and not (head_may_differ and key.startswith(HEAD_PREFIXES))
            }

        missing = relevant(info["missing_keys"], new_head_wanted)
        unexpected = relevant(info["unexpected_keys"], headless)
        head = HEAD_PREFIXES if new_head_wanted else ()
        mismatched = {key for key, *_ in info["mismatched_keys"] if not key.startswith(head)}
        if missing or unexpected or mismatched:
            raise RuntimeError(
                f"{pretrained_model_name_or_path} does not hold a complete {cls.__name__}: "
                f"missing {_some(missing)}; unexpected {_some(unexpected)}; of another shape {_some(mismatched)}. "
                "To draw a new classification head pass ignore_mismatched_sizes=True; "
                "nothing else may differ from the checkpoint."
            )
        return model

    @classmethod
    def from_hubert(cls, source, labels=None, **config_fields):
        """Extends a HuBERT: see [`exhubert.conversion.extend_hubert`] for arguments, result and errors."""
        return _package("conversion.extension").extend_hubert(cls, source, labels, **config_fields)

    @classmethod
    def from_published(cls, source, **options):
        """Reads the published layout: see [`exhubert.conversion.load_published`] for arguments, result and errors."""
        return _package("conversion.published").load_published(cls, source, **options)


class ExHuBERTModel(ExHuBERTPreTrainedModel, HubertModel):
    """ExHuBERT without a head: raw speech to hidden states.

    At step 0 it computes what the HuBERT it came from computes, bit for bit in fp32 and eval mode.

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
        super(HubertModel, self).__init__(config)  # HubertModel.__init__ would first build an encoder to throw away
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
            # HuBERT raises here; a clip shorter than one mask is left whole (the sum keeps the same graph on all ranks)
            return hidden_states + 0 * self.masked_spec_embed.sum()
        return super()._mask_hidden_states(hidden_states, mask_time_indices, attention_mask)

    def forward(self, input_values, attention_mask=None, **kwargs):
        """Computes hidden states.

        Args:
            input_values: Speech at 16 kHz, `(batch, samples)`, float; at least 400 samples (25 ms) in HuBERT's layout.
            attention_mask: `(batch, samples)`, 1 on speech and 0 on the padding to its right. Group-norm models
                (`feat_extract_norm="group"`) see padding all the same, as HuBERT does: run them unpadded.
            **kwargs: `mask_time_indices`, `output_hidden_states`, `output_attentions`, `return_dict` as in HuBERT.

        Returns:
            `BaseModelOutput` with `last_hidden_state` `(batch, frames, hidden)`; on request `hidden_states`, the
            `num_hidden_layers + 1` tensors of that shape: the input of the first block, then for each block what its
            frozen copy gives and what the block gives, the last one being `last_hidden_state`; on request
            `attentions`, a tensor `(batch, heads, frames, frames)` for each transformer layer there is.

        Raises:
            ValueError: Fewer samples than one frame needs, or attentions asked of an implementation without them.
        """
        if kwargs.get("output_attentions") and self.config._attn_implementation != "eager":
            raise ValueError(
                f"output_attentions=True needs eager attention, and this model runs "
                f"{self.config._attn_implementation!r}, which never forms the attention weights. "
                'Call model.set_attn_implementation("eager") first.'
            )
        if input_values.shape[-1] < self.config.samples_per_frame:
            raise ValueError(
                f"input_values holds {input_values.shape[-1]} samples, too few for one frame: this model needs "
                f"at least {self.config.samples_per_frame} ({self.config.samples_per_frame / 16:g} ms at 16 kHz). "
                "Pad or drop such clips."
            )
        return super().forward(input_values, attention_mask, **kwargs)


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
        """Applies the head to `(batch, frames, hidden)`, pooling over frames that hold speech: `(batch, labels)`."""
        projected = self.projector(hidden_states)
        if attention_mask is None:
            return self.classifier(projected.mean(dim=1))
        speech = self._get_feature_vector_attention_mask(projected.shape[1], attention_mask)[..., None]
        pooled = projected.masked_fill(~speech, 0.0).sum(dim=1) / speech.sum(dim=1)
        return self.classifier(pooled)

    @can_return_tuple
    def forward(self, input_values, attention_mask=None, labels=None, **kwargs):
        """Computes logits, and the loss where labels are given.

        Args:
            input_values: Speech at 16 kHz, `(batch, samples)`.
            attention_mask: `(batch, samples)`, see [`ExHuBERTModel.forward`].
            labels: `(batch,)` class indices for cross-entropy; `(batch,)` floats for mean squared error if the model
                has one label; `(batch, labels)` floats for binary cross-entropy, several labels at once.
                `config.problem_type` settles it where it is set.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            `SequenceClassifierOutput` with `logits` `(batch, labels)`, `loss` (a mean over the batch) where labels
            are given, `hidden_states` and `attentions` on request.
        """
        weighted = self.config.use_weighted_layer_sum
        wanted = kwargs.pop("output_hidden_states", None)
        wanted = self.config.output_hidden_states if wanted is None else wanted
        outputs = self.hubert(input_values, attention_mask, output_hidden_states=weighted or wanted, **kwargs)
        features = outputs.last_hidden_state
        if weighted:
            weights = self.layer_weights.softmax(dim=-1)
            features = sum(weight * state for weight, state in zip(weights, outputs.hidden_states, strict=True))
        logits = self.classify(features, attention_mask)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states if wanted else None,
            attentions=outputs.attentions,
        )


def _package(module: str):
    """A part of the package that makes ExHuBERTs. Imported by name: it does not travel with remote code."""
    try:
        return importlib.import_module(f"exhubert.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Extending a HuBERT or converting published weights needs the exhubert package; this model was loaded as "
            "remote code. Install exhubert and import the class from there."
        ) from error


def _refuse_hubert(source, kwargs):
    """Raises where a HuBERT stands in place of an ExHuBERT: transformers would load it and draw the rest."""
    if isinstance(source, PreTrainedConfig):
        values, name = source.to_dict(), f"A configuration of class {type(source).__name__}"
    else:
        where = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")
        values, name = read_config(source, **{key: kwargs[key] for key in where if key in kwargs}), source
    if values.get("model_type") != ExHuBERTConfig.model_type:
        way = (
            "in the published ExHuBERT layout: load it with from_published()"
            if is_published_layout(values)
            else "and no ExHuBERT: extend a HuBERT with from_hubert() first"
        )
        raise ValueError(f"{name} is not an ExHuBERT but a checkpoint of type {values.get('model_type')!r} {way}.")


def _some(names, limit=6):
    shown = ", ".join(sorted(names)[:limit]) or "nothing"
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


ExHuBERTConfig.register_for_auto_class()
ExHuBERTModel.register_for_auto_class("AutoModel")
ExHuBERTForSequenceClassification.register_for_auto_class("AutoModelForAudioClassification")

__all__ = ["ExHuBERTForSequenceClassification", "ExHuBERTModel", "ExHuBERTPreTrainedModel"]
