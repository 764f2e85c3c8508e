"""Faster kernels for a processor that compute the same: oneDNN for linear layers, channels last for convolutions.

torch multiplies matrices in fp32 with MKL, which on an AMD processor with AVX-512 reached 215 GFLOP/s where oneDNN,
which torch holds too and uses in bf16, reached 490 (`recipes/bench_large.json`).
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
_LARGE = 512 * 512  # below, making a kernel for each new length of clips takes longer than it saves
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h


def use_kernels(model: nn.Module, kernels: str = "auto") -> str:
    """Makes a model compute with other kernels, in place; weights, names and files stay as they are.

    Against torch's own kernels, sums are formed in another order: in fp32 logits differ by about 1e-6. Tensors on
    another device than the processor, and numbers that aren't fp32 or bf16, go to torch's kernels all the same.

    Args:
        model: Any HuBERT or ExHuBERT.
        kernels: `onednn`; `torch` to take it back; `auto` for oneDNN where this torch has it, the model is on the
            processor, and a layer is large enough to gain (512 by 512).

    Returns:
        What the model now uses, `onednn` or `torch`.

    Raises:
        ValueError: There are no such kernels, or this torch is built without oneDNN.
    """
    if kernels not in KERNELS:
        raise ValueError(f"kernels is {kernels!r}; expected {', '.join(KERNELS)}.")
    if kernels == "onednn" and not has_onednn():
        raise ValueError("This torch is built without oneDNN; use kernels 'torch'.")
    least = 0
    if kernels == "auto":
        on_processor = all(parameter.device.type == "cpu" for parameter in model.parameters())
        kernels, least = ("onednn" if on_processor and has_onednn() else "torch"), _LARGE
    swap = _ONEDNN if kernels == "onednn" else {fast: plain for plain, fast in _ONEDNN.items()}
    for module in model.modules():
        if type(module) in swap and max(parameter.numel() for parameter in module.parameters()) >= least:
            module.__class__ = swap[type(module)]
    return kernels


def round_layers(model: Any, dtype: torch.dtype) -> Any:
    """Puts the linear layers of an encoder into another precision, in place.

    What the blocks hand on to each other, frozen gates, norms, convolutions and the head stay in fp32: they take little
    time, and the sum over all blocks would lose more than the products do.

    Args:
        model: A HuBERT or ExHuBERT in fp32, with or without head.
        dtype: Such as `torch.bfloat16`; fp32 changes nothing.

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
    """Tells glibc to keep freed memory for the next tensor, instead of taking new pages from the system each time.

    It holds for the whole process, whose memory then stays at its peak. Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)


def multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`rows @ weight.T + bias` by oneDNN, without gradients: `(..., n)`, `(m, n)` and `(m,)` give `(..., m)`."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")


def _flops(rows_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
    return 2 * weight_shape[0] * torch.Size(rows_shape).numel()


if has_onednn():  # elsewhere torch has no such operation
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_flops)


class _Product(torch.autograd.Function):
    """A linear layer on `(rows, n)` whose three products, forward and backward, oneDNN does."""

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
    """A linear layer by oneDNN. In bf16 and under autocast torch calls oneDNN by itself.

    Autocast rounds weights anew in each step; of frozen ones the rounded copy is kept.
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
            return product.view(*input.shape[:-1], -1)  # outside of it, for HuBERT goes on in place
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
    """The convolutional feature encoder with channels last, where its layer norms need no transposition.

    Only without gradients. One with a group norm, over time, stays as it is.
    """

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        trains = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters())
        by_layer = all(isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm) for layer in self.conv_layers)
        if trains or not by_layer or input_values.device.type != "cpu":
            return super().forward(input_values)
        states = input_values[:, None, None]  # (batch, channels, 1, samples): only images have channels last in torch
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
