"""Makes a trained ExHuBERT smaller: removes adapted copies behind zero gates, and identity frozen gates."""

import copy
from collections.abc import Collection, Mapping

import torch

from ..configuration_exhubert import ExHuBERTConfig
from ..modeling_exhubert import ExHuBERTBlock, ExHuBERTPreTrainedModel


@torch.no_grad()
def added_shares(model: ExHuBERTPreTrainedModel, batch: Mapping[str, torch.Tensor]) -> dict[int, float]:
    """Relative contribution of each block on a batch: the norm of gate(adapted(f)) over that of the frozen output f.

    Args:
        model: An ExHuBERT in any mode; it runs in eval mode.
        batch: `input_values` `(batch, samples)` and, if used, `attention_mask`.

    Returns:
        The share of each block that has a gate, by block index.
    """
    frozen: dict[int, float] = {}
    added: dict[int, float] = {}

    def record(sizes: dict[int, float], index: int):
        return lambda module, inputs, output: sizes.__setitem__(index, output.float().norm().item())

    handles = [model.blocks[index].skip.register_forward_hook(record(frozen, index)) for index in model.gates]
    handles += [gate.register_forward_hook(record(added, index)) for index, gate in model.gates.items()]
    training, device = model.training, next(model.parameters()).device
    try:
        model.eval()(**{key: value.to(device) for key, value in batch.items()})
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return {index: added[index] / frozen[index] for index in sorted(added)}


def closed_gates(model: ExHuBERTPreTrainedModel) -> list[int]:
    """Indices of the blocks whose gate is exactly zero, so that they only return their frozen output."""
    return [index for index, gate in model.gates.items() if not (gate.weight.any() or gate.bias.any())]


def idle_frozen_gates(model: ExHuBERTPreTrainedModel) -> list[int]:
    """Indices of the blocks whose frozen gate is exactly the identity."""
    return [index for index, block in enumerate(model.blocks) if _is_identity(block)]


def fold(model: ExHuBERTPreTrainedModel, also: Collection[int] = ()) -> ExHuBERTPreTrainedModel:
    """Returns a smaller model with the same outputs: no adapted copies behind closed gates, no identity frozen gates.

    Exact in fp32. The removed parts are recorded in `closed_blocks` and `frozen_gate` of the configuration, so the
    result saves and loads like any ExHuBERT. The input model is unchanged and shares no weights with the result.

    Args:
        model: A trained ExHuBERT, with or without head.
        also: Indices of further blocks whose adapted copies are removed although their gates are open, which changes
            the outputs.

    Returns:
        A model of the same class, in eval mode.

    Raises:
        ValueError: `also` names a block that does not exist.
    """
    if unknown := sorted(set(also) - set(range(len(model.blocks)))):
        raise ValueError(f"The model has no block {unknown[0]}; the blocks are 0 to {len(model.blocks) - 1}.")
    config: ExHuBERTConfig = copy.deepcopy(model.config)
    closed = {*closed_gates(model), *also, *(config.closed_blocks or ())}
    idle = idle_frozen_gates(model)
    gated = [index for index, block in enumerate(model.blocks) if block.frozen_gate is not None and index not in idle]
    config.closed_blocks = sorted(closed) or None
    config.frozen_gate = True if len(gated) == len(model.blocks) else gated or False
    smaller = type(model)(config).to(dtype=model.dtype, device=model.device)
    keys = set(smaller.state_dict())
    smaller.load_state_dict({key: value for key, value in model.state_dict().items() if key in keys})
    smaller.name_or_path = model.name_or_path
    return smaller.eval()


def _is_identity(block: ExHuBERTBlock) -> bool:
    gate = block.frozen_gate
    if gate is None or gate.bias.any():
        return False
    return torch.equal(gate.weight, torch.eye(len(gate.weight)).to(gate.weight))
