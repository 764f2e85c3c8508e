"""Making a finished ExHuBERT smaller: blocks whose gate is closed lose their adapted copy, idle frozen gates go too."""

import copy
from collections.abc import Collection, Mapping

import torch

from ..configuration_exhubert import ExHuBERTConfig
from ..modeling_exhubert import ExHuBERTBlock, ExHuBERTPreTrainedModel


@torch.no_grad()
def added_shares(model: ExHuBERTPreTrainedModel, batch: Mapping[str, torch.Tensor]) -> dict[int, float]:
    """What each block adds to its frozen copy's output f on a batch: the norm of gate(adapted(f)) over the norm of f.

    Args:
        model: In any mode; it is measured in eval mode.
        batch: `input_values` `(batch, samples)` and where used `attention_mask`.

    Returns:
        The share of each block that has a gate, by its index.
    """
    frozen: dict[int, float] = {}
    added: dict[int, float] = {}

    def keep(sizes: dict[int, float], index: int):
        return lambda module, inputs, output: sizes.__setitem__(index, output.float().norm().item())

    handles = [model.blocks[index].skip.register_forward_hook(keep(frozen, index)) for index in model.gates]
    handles += [gate.register_forward_hook(keep(added, index)) for index, gate in model.gates.items()]
    training, device = model.training, next(model.parameters()).device
    try:
        model.eval()(**{key: value.to(device) for key, value in batch.items()})
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return {index: added[index] / frozen[index] for index in sorted(added)}


def closed_gates(model: ExHuBERTPreTrainedModel) -> list[int]:
    """Indices of the blocks whose gate is exactly zero, so that they add nothing."""
    return [index for index, gate in model.gates.items() if not (gate.weight.any() or gate.bias.any())]


def idle_frozen_gates(model: ExHuBERTPreTrainedModel) -> list[int]:
    """Indices of the blocks whose frozen gate is exactly the identity."""
    return [index for index, block in enumerate(model.blocks) if _is_identity(block)]


def fold(model: ExHuBERTPreTrainedModel, also: Collection[int] = ()) -> ExHuBERTPreTrainedModel:
    """A smaller model that computes the same: without adapted copies behind closed gates, nor identity frozen gates.

    Exact in fp32. What is left out is written into `closed_blocks` and `frozen_gate` of its configuration, so that it
    saves and loads like any ExHuBERT. The given model stays as it is; the two share no weights.

    Args:
        model: A finished ExHuBERT, with or without head.
        also: Indices of further blocks whose adapted copies are dropped though their gates are open, which changes the
            result.

    Returns:
        A model of the same class, in eval mode.

    Raises:
        ValueError: `also` names a block there isn't.
    """
    if unknown := sorted(set(also) - set(range(len(model.blocks)))):
        raise ValueError(f"There is no block {unknown[0]}; the blocks are 0 to {len(model.blocks) - 1}.")
    config: ExHuBERTConfig = copy.deepcopy(model.config)
    closed = {*closed_gates(model), *also, *(config.closed_blocks or ())}
    idle = idle_frozen_gates(model)
    kept = [index for index, block in enumerate(model.blocks) if block.frozen_gate is not None and index not in idle]
    config.closed_blocks = sorted(closed) or None
    config.frozen_gate = True if len(kept) == len(model.blocks) else kept or False
    smaller = type(model)(config).to(dtype=model.dtype, device=model.device)
    wanted = set(smaller.state_dict())
    smaller.load_state_dict({key: value for key, value in model.state_dict().items() if key in wanted})
    smaller.name_or_path = model.name_or_path
    return smaller.eval()


def _is_identity(block: ExHuBERTBlock) -> bool:
    gate = block.frozen_gate
    if gate is None or gate.bias.any():
        return False
    return torch.equal(gate.weight, torch.eye(len(gate.weight)).to(gate.weight))
