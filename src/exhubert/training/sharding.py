"""Weights that DeepSpeed ZeRO-3 or FSDP keep in pieces, made whole to be read."""

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


def kept_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """The names and parameters of a model as they are kept between steps.

    After a forward pass FSDP may still hold whole copies of some, in the precision it computes in.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return list(model.named_parameters())


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A parameter or gradient over all ranks: itself, or where it is kept in pieces a copy that all ranks ask for."""
    if isinstance(tensor, DTensor):
        return tensor.full_tensor().detach()
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return tensor.detach()
