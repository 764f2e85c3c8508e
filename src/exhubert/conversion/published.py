"""Loads the ExHuBERT checkpoint published with the paper, and reproduces its computation as a reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import HubertConfig, HubertForSequenceClassification

from ..configuration_exhubert import ExHuBERTConfig, read_config
from ..labels import SIX_CLASSES, label_maps, names_by_index
from ..modeling_exhubert import SPEC_AUGMENT_VECTOR
from .extension import LAYER_PREFIX, hubert_fields
from .weights import check_weights, read_weights

PUBLISHED_REPOSITORY = "amiriparian/ExHuBERT"
PUBLISHED_LICENSE = "cc-by-nc-sa-4.0"


def load_published(
    cls,
    source: str | Path = PUBLISHED_REPOSITORY,
    drop_identity_gates: bool = False,
    dtype: torch.dtype = torch.float32,
    **config_fields,
):
    """Loads an ExHuBERT from the published layout, which current versions of transformers can't read.

    Args:
        cls: `ExHuBERTModel` or `ExHuBERTForSequenceClassification`; use their `from_published` instead.
        source: Folder or hub id with the published `config.json` and weights (`pytorch_model.bin`, read without
            unpickling code, or safetensors).
        drop_identity_gates: Whether to drop frozen gates that are exactly the identity. The outputs stay the same.
        dtype: Precision of the model, whatever the weights are stored in.
        **config_fields: Fields of `ExHuBERTConfig` to set, such as `frozen_dropout=True` for the published training.

    Returns:
        An instance of `cls` in eval mode.

    Raises:
        ValueError: The checkpoint isn't in the published layout.
        RuntimeError: A weight is missing or unexpected.
        OSError: The checkpoint can't be read or downloaded.
    """
    fields, published_state = read_published(source, dtype)
    state = _own_memory({_from_published_key(key): value for key, value in published_state.items()})
    frozen_gates = _frozen_gates(state)
    if drop_identity_gates:
        for block in [block for block in frozen_gates if _is_identity(state, block)]:
            frozen_gates.remove(block)
            for name in ("weight", "bias"):
                del state[f"hubert.{LAYER_PREFIX}{block}.frozen_gate.{name}"]
    num_blocks = fields["num_hidden_layers"] // 2
    fields["frozen_gate"] = True if len(frozen_gates) == num_blocks else frozen_gates or False
    fields["license"] = PUBLISHED_LICENSE
    config = ExHuBERTConfig(**(fields | config_fields))
    with torch.device("meta"):
        model = cls(config)
    if model is model.base_model:
        state = {key.removeprefix("hubert."): value for key, value in state.items() if key.startswith("hubert.")}
    state = {
        key: value for key, value in state.items() if not key.endswith(SPEC_AUGMENT_VECTOR) or key in model.state_dict()
    }
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise RuntimeError(f"{source} does not hold a complete published ExHuBERT. {error}") from error
    model.freeze_og_encoder()
    return model.eval()


def read_published(
    source: str | Path, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Reads a checkpoint in the published layout as `(configuration fields, state dict with published names)`.

    Only fields of `ExHuBERTConfig` are returned. Layers and classes are counted from the weights, and placeholder class
    names are replaced by the six EmoSet++ classes. Raises the same errors as [`load_published`].
    """
    values = read_config(source)
    check_weights(source, values, dtype)
    state = read_weights(source, dtype)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    layers = {int(key.split(".")[3]) for key in state if key.startswith(f"hubert.{LAYER_PREFIX}")}
    gates = {int(key.split(".")[3]) for key in state if ".gate_bb_linear.weight" in key}
    if values.get("model_type") != "hubert" or not gates or len(layers) % 2 or layers != set(range(len(layers))):
        raise ValueError(
            f"{source} is not in the published ExHuBERT layout: expected model_type 'hubert' and pairs of layers with "
            f"a `gate_bb_linear`, found model_type {values.get('model_type')!r}, {len(layers)} layers and "
            f"{len(gates)} gates. Extend a HuBERT with from_hubert(), or load a converted ExHuBERT with "
            "from_pretrained()."
        )
    if layers != gates:
        raise RuntimeError(
            f"{source} is not complete: every layer of the published layout has a `gate_bb_linear`, but layers "
            f"{sorted(layers - gates)} have none."
        )
    fields = {key: value for key, value in values.items() if key in hubert_fields()}
    fields["num_hidden_layers"] = len(layers)
    fields["base_checkpoint"] = values.get("_name_or_path")
    names = names_by_index(values.get("id2label") or {})
    count = state["classifier.weight"].shape[0] if "classifier.weight" in state else len(SIX_CLASSES)
    placeholders = [f"LABEL_{index}" for index in range(count)]
    if len(names) != count or names == placeholders:
        names = list(SIX_CLASSES) if count == len(SIX_CLASSES) else placeholders
    fields |= label_maps(names)
    if not any(key.endswith(SPEC_AUGMENT_VECTOR) for key in state):
        fields["mask_time_prob"] = fields["mask_feature_prob"] = 0.0
    return fields, state


def published_logits(source: str | Path, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None):
    """Logits of the published model, computed without our model code: stock HuBERT layers with the gates as hooks.

    Reference for the comparison that a conversion reports. Odd layers add their own input, the skip connection.

    Args:
        source: Folder or hub id in the published layout.
        input_values: `(batch, samples)`, 16 kHz.
        attention_mask: `(batch, samples)` or None.

    Returns:
        Logits `(batch, labels)`.
    """
    fields, state = read_published(source)
    stock_fields = {key: value for key, value in fields.items() if key in HubertConfig.__dataclass_fields__}
    stock_fields["tie_last_hidden_states"] = True  # the published code sums the last state after the final norm
    gates = {key: value for key, value in state.items() if ".gate_bb_linear." in key}
    with torch.device("meta"):
        stock = HubertForSequenceClassification(HubertConfig(**stock_fields)).eval()
    plain = {_modern_weight_norm(key): value for key, value in state.items() if key not in gates}
    plain = {
        key: value for key, value in plain.items() if not key.endswith(SPEC_AUGMENT_VECTOR) or key in stock.state_dict()
    }
    stock.load_state_dict(plain, assign=True)

    def apply_gate(index):
        def hook(_, args, output):
            name = f"hubert.{LAYER_PREFIX}{index}.gate_bb_linear"
            gated = torch.nn.functional.linear(output, gates[f"{name}.weight"], gates[f"{name}.bias"])
            return gated + args[0] if index % 2 else gated

        return hook

    for index, layer in enumerate(stock.hubert.encoder.layers):
        layer.register_forward_hook(apply_gate(index))
    with torch.inference_mode():
        return stock(input_values, attention_mask=attention_mask).logits


def _own_memory(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Clones tensors that share memory, or training one would change the other."""
    seen: set[int] = set()
    result = {}
    for key, value in state.items():
        storage = value.untyped_storage().data_ptr()
        result[key] = value.clone() if storage in seen else value
        seen.add(storage)
    return result


def _from_published_key(key: str) -> str:
    prefix = f"hubert.{LAYER_PREFIX}"
    if key.startswith(prefix):
        index, rest = key.removeprefix(prefix).split(".", 1)
        block, adapted = divmod(int(index), 2)
        if rest.startswith("gate_bb_linear."):
            gate = "gate" if adapted else "frozen_gate"
            return f"{prefix}{block}.{gate}.{rest.removeprefix('gate_bb_linear.')}"
        return f"{prefix}{block}.{'adapted' if adapted else 'frozen'}.{rest}"
    return _modern_weight_norm(key)


def _modern_weight_norm(key: str) -> str:
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        if key.endswith(f"conv.{old}"):
            return key.removesuffix(old) + f"parametrizations.weight.{new}"
    return key


def _frozen_gates(state: Mapping[str, torch.Tensor]) -> list[int]:
    return sorted(int(key.split(".")[3]) for key in state if key.endswith("frozen_gate.weight"))


def _is_identity(state: Mapping[str, torch.Tensor], block: int) -> bool:
    weight, bias = (state[f"hubert.{LAYER_PREFIX}{block}.frozen_gate.{name}"] for name in ("weight", "bias"))
    return torch.equal(weight, torch.eye(len(weight), dtype=weight.dtype)) and not bias.any()
