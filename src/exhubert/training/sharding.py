"""Reads the full weights of models that DeepSpeed ZeRO-3 or FSDP shard over several ranks."""

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


def kept_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Names and parameters of a model, as stored between steps.

    After a forward pass, FSDP may still hold unsharded copies of some, in its compute precision.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return list(model.named_parameters())


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The full parameter or gradient. If it is sharded, gathers a copy, for which every rank must call this."""
    if isinstance(tensor, DTensor):
        return tensor.full_tensor().detach()
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return tensor.detach()
