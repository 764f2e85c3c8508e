"""Faster CPU kernels for HuBERT and ExHuBERT: oneDNN for linear layers, channels last for convolutions.

torch multiplies fp32 matrices with MKL, which reached 215 GFLOP/s on an AMD processor with AVX-512. oneDNN, which torch
includes and uses for bf16, reached 490 (`recipes/bench_large.json`).
"""

import ctypes
import platform
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder

from .modeling_exhubert import ExHuBERTFrozenGate, ExHuBERTGate

KERNELS = ("auto", "onednn", "torch")
_LARGE = 512 * 512  # below this size, creating a kernel for each new clip length takes longer than it saves
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h


def use_kernels(model: nn.Module, kernels: str = "auto") -> str:
    """Switches a model to other kernels, in place; weights, names and files stay the same.

    oneDNN sums in another order than torch's own kernels: fp32 logits differ by about 1e-6. Tensors on other devices
    than the CPU, and dtypes other than fp32 and bf16, always use torch's kernels.

    Args:
        model: Any HuBERT or ExHuBERT.
        kernels: `onednn`; `torch` to switch back; `auto` for oneDNN if this torch has it, the model is on the CPU, and
            a layer is large enough to benefit (512 by 512).

    Returns:
        The kernels that the model now uses, `onednn` or `torch`.

    Raises:
        ValueError: `kernels` is unknown, or this torch is built without oneDNN.
    """
    if kernels not in KERNELS:
        raise ValueError(f"kernels is {kernels!r}; expected {', '.join(KERNELS)}.")
    if kernels == "onednn" and not has_onednn():
        raise ValueError("This torch is built without oneDNN; use kernels 'torch'.")
    min_size = 0
    if kernels == "auto":
        on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
        kernels, min_size = ("onednn" if on_cpu and has_onednn() else "torch"), _LARGE
    replacements = _ONEDNN if kernels == "onednn" else {fast: plain for plain, fast in _ONEDNN.items()}
    for module in model.modules():
        if type(module) in replacements and max(parameter.numel() for parameter in module.parameters()) >= min_size:
            module.__class__ = replacements[type(module)]
    return kernels


def round_layers(model: Any, dtype: torch.dtype) -> Any:
    """Converts the linear layers of an encoder to another precision, in place.

    The states passed between blocks, frozen gates, norms, convolutions and the head stay in fp32: they take little
    time, and the sum over all blocks would lose more precision than the products do.

    Args:
        model: A HuBERT or ExHuBERT in fp32, with or without head.
        dtype: Precision such as `torch.bfloat16`; fp32 changes nothing.

    Returns:
        The model.
    """
    if dtype != torch.float32:
        for module in model.base_model.encoder.modules():
            if isinstance(module, nn.Linear) and not isinstance(module, ExHuBERTFrozenGate):
                module.to(dtype)
                module.register_forward_pre_hook(_in_precision_of_weight)
    return model


def _in_precision_of_weight(module: nn.Linear, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(value.to(module.weight.dtype) for value in inputs)


def has_onednn() -> bool:
    """Whether this torch can multiply with oneDNN on this processor."""
    return platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available()


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory for the next tensor instead of requesting new pages from the system each time.

    This applies to the whole process, whose memory then stays at its peak. Without glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)


def multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Computes `rows @ weight.T + bias` with oneDNN, without gradients: `(..., n)`, `(m, n)`, `(m,)` to `(..., m)`."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")


def _flops(rows_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
    return 2 * weight_shape[0] * torch.Size(rows_shape).numel()


if has_onednn():  # otherwise torch lacks the operation
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_flops)


class _Product(torch.autograd.Function):
    """Linear layer on `(rows, n)` that computes its three products, forward and backward, with oneDNN."""

    @staticmethod
    def forward(ctx: Any, rows, weight, bias):
        needs_rows, needs_weight, *_ = ctx.needs_input_grad
        ctx.save_for_backward(rows if needs_weight else None, weight if needs_rows else None)
        return multiply(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient):
        rows, weight = ctx.saved_tensors
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            multiply(gradient, weight.t()) if needs_rows else None,
            multiply(gradient.t(), rows.t()) if needs_weight else None,
            gradient.sum(dim=0) if needs_bias else None,
        )


class _ByOneDNN(nn.Linear):
    """Linear layer that runs on oneDNN. In bf16 and under autocast, torch itself calls oneDNN.

    Autocast rounds the weights again in each step; the rounded copy of frozen weights is cached.
    """

    _rounded: tuple[tuple, torch.Tensor] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if input.device.type != "cpu" or self.weight.dtype != torch.float32:
            return super().forward(input)
        if torch.is_autocast_enabled("cpu"):
            weight = self.weight if self.weight.requires_grad else self._rounded_weight()
            return nn.functional.linear(input, weight, self.bias)
        if input.dtype != torch.float32:
            return super().forward(input)
        if torch.is_grad_enabled():
            product = _Product.apply(input.flatten(0, -2), self.weight, self.bias)
            # reshape outside the Function: HuBERT modifies the result in place
            return product.view(*input.shape[:-1], -1)
        return multiply(input, self.weight, self.bias)

    def _rounded_weight(self) -> torch.Tensor:
        dtype = torch.get_autocast_dtype("cpu")
        state = (dtype, self.weight.data_ptr(), self.weight._version)
        if self._rounded is None or self._rounded[0] != state:
            self._rounded = (state, self.weight.detach().to(dtype))
        return self._rounded[1]


class OneDNNLinear(_ByOneDNN):
    pass


class OneDNNGate(_ByOneDNN, ExHuBERTGate):
    pass


class OneDNNFrozenGate(_ByOneDNN, ExHuBERTFrozenGate):
    pass


class ChannelsLastFeatureEncoder(HubertFeatureEncoder):
    """Convolutional feature encoder in channels-last layout, in which its layer norms need no transposition.

    Used only without gradients. An encoder with group norm, which is over time, runs unchanged.
    """

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        trains = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters())
        by_layer = all(isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm) for layer in self.conv_layers)
        if trains or not by_layer or input_values.device.type != "cpu":
            return super().forward(input_values)
        states = input_values[:, None, None]  # (batch, channels, 1, samples): torch has channels last only for images
        for layer in self.conv_layers:
            weight = layer.conv.weight[:, :, None].contiguous(memory_format=torch.channels_last)
            states = nn.functional.conv2d(states, weight, layer.conv.bias, stride=(1, layer.conv.stride[0]))
            states = layer.activation(layer.layer_norm(states.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return states[:, :, 0]


_ONEDNN: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: OneDNNLinear,
    ExHuBERTGate: OneDNNGate,
    ExHuBERTFrozenGate: OneDNNFrozenGate,
    HubertFeatureEncoder: ChannelsLastFeatureEncoder,
}
