"""Checks that an untrained ExHuBERT computes exactly what the HuBERT it was extended from computes."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import HubertForSequenceClassification

from ..modeling_exhubert import ExHuBERTForSequenceClassification, ExHuBERTPreTrainedModel


@dataclass(frozen=True)
class IdentityReport:
    """Largest absolute differences between the outputs of an ExHuBERT and a HuBERT on one batch.

    Attributes:
        hidden_states: Over block inputs, frozen outputs, block outputs and the last hidden state.
        logits: Over the logits, with the ExHuBERT's head on both if the HuBERT has none of that form; None without a
            head.
        logit_tolerance: 0.0; for a weighted layer sum of the HuBERT's own head, which sums half as many states, 1e-6
            times the largest value in them (at least 1).
        identical: Whether the hidden states are equal bit for bit and the logits within their tolerance.
    """

    hidden_states: float
    logits: float | None
    logit_tolerance: float = 0.0

    @property
    def identical(self) -> bool:
        return self.hidden_states == 0.0 and (self.logits or 0.0) <= self.logit_tolerance

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"identical": self.identical}


@torch.no_grad()
def identity_report(
    model: ExHuBERTPreTrainedModel, hubert, batch: Mapping[str, torch.Tensor] | torch.Tensor
) -> IdentityReport:
    """Compares an ExHuBERT with the HuBERT it was extended from on one batch, in eval mode.

    Args:
        model: The ExHuBERT, with or without head.
        hubert: The HuBERT, with or without head.
        batch: `input_values` `(batch, samples)` and, if used, `attention_mask`; other keys are ignored. Or only the
            input values.

    Returns:
        The largest absolute differences; both are 0.0 in fp32 before training.

    Raises:
        ValueError: The number of blocks differs from the number of HuBERT layers.
    """
    blocks, layers = len(model.blocks), hubert.config.num_hidden_layers
    if blocks != layers:
        raise ValueError(f"An ExHuBERT with {blocks} blocks can't be compared with a HuBERT with {layers} layers.")
    if isinstance(batch, torch.Tensor):
        batch = {"input_values": batch}
    inputs = {key: value for key, value in batch.items() if key in ("input_values", "attention_mask")}
    align(model)
    align(hubert)
    with _evaluating(model, hubert):
        outputs = model.base_model(**inputs, output_hidden_states=True)
        last, states = _expected_states(model, hubert, inputs)
        pairs = [(outputs.last_hidden_state, last), *zip(outputs.hidden_states, states, strict=True)]
        hidden = torch.stack([(a - b).abs().max() for a, b in pairs]).max().item()  # of NaN, too, it is NaN
        logits, tolerance = None, 0.0
        if isinstance(model, ExHuBERTForSequenceClassification):
            if _has_head_of(model, hubert):
                expected = hubert(**inputs).logits
                if model.config.use_weighted_layer_sum:
                    tolerance = 1e-6 * max(1.0, *(state.abs().max().item() for state in states))
            else:
                expected = model.classify(model.features(last, states), inputs.get("attention_mask"))
            # not model(...), which the Trainer wraps in autocast for mixed precision, unlike the calls above
            logits = (type(model).forward(model, **inputs).logits - expected).abs().max().item()
    return IdentityReport(hidden, logits, tolerance)


def _expected_states(model, hubert, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The last state and all states that the ExHuBERT must have, computed by the HuBERT: each layer's output twice."""
    ties = getattr(hubert.config, "tie_last_hidden_states", None)
    hubert.config.tie_last_hidden_states = False  # the last block's frozen output is compared before the final norm
    try:
        outputs = hubert.base_model(**inputs, output_hidden_states=True)
    finally:
        hubert.config.tie_last_hidden_states = ties
    first, *layers = outputs.hidden_states
    states = [first, *(state for layer in layers for state in (layer, layer))]
    if model.config.tie_last_hidden_states:
        states[-1] = outputs.last_hidden_state
    return outputs.last_hidden_state, states


def _has_head_of(model: ExHuBERTForSequenceClassification, hubert) -> bool:
    """Whether the HuBERT's head has the same classes and form as the model's, so that their logits can be compared."""
    same = ("id2label", "classifier_proj_size", "use_weighted_layer_sum")
    return isinstance(hubert, HubertForSequenceClassification) and all(
        getattr(hubert.config, field) == getattr(model.config, field) for field in same
    )


def signal_like_speech(seconds: float = 3.0, seed: int = 0) -> torch.Tensor:
    """Speech-like test signal `(1, samples)` at 16 kHz: gliding harmonics in noise, zero mean and unit variance."""
    time = torch.arange(round(seconds * 16_000)) / 16_000
    phase = 2 * math.pi * (120 * time + 15 * torch.sin(2 * math.pi * 0.7 * time))
    voiced = sum(torch.sin(k * phase) / k for k in range(1, 20)) * (0.6 + 0.4 * torch.sin(2 * math.pi * 4 * time))
    signal = voiced + 0.1 * torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return ((signal - signal.mean()) / signal.std())[None]


def align(model: torch.nn.Module):
    """Copies weights that safetensors mapped to unaligned addresses, where CPU kernels round differently (2e-7)."""
    for parameter in model.parameters():
        if parameter.data_ptr() % 64:
            parameter.data = parameter.data.clone()


@contextlib.contextmanager
def _evaluating(*models: torch.nn.Module):
    """Puts models into eval mode, and restores their modes on exit."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)
