"""Exponential moving average of the trained weights, which often generalises better than the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

_FILE = "averaged.safetensors"


class WeightAverageCallback(TrainerCallback):
    """Updates `average = decay * average + (1 - decay) * weights` at every step (Polyak and Juditsky, 1992).

    `SERTrainer` evaluates the averaged weights, saves them with every checkpoint, and ends training with them.

    Args:
        decay: Close to 1; 0.999 averages over about a thousand steps.

    Raises:
        ValueError: The decay isn't between 0 and 1.
    """

    def __init__(self, decay: float):
        if not 0 < decay < 1:
            raise ValueError(f"ema_decay is {decay:g}, expected a number between 0 and 1, such as 0.999.")
        self.decay = decay
        self.average: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if not self.average:
            self.average = {name: weight.detach().clone() for name, weight in _trained(model).items()}

    @torch.no_grad()
    def on_step_end(self, args, state, control, model=None, **kwargs):
        weights = _trained(model)
        torch._foreach_lerp_(list(self.average.values()), [weights[name] for name in self.average], 1 - self.decay)

    @contextmanager
    def applied(self, model: torch.nn.Module) -> Iterator[None]:
        """Context in which the model has the averaged weights."""
        weights = {name: weight.detach().clone() for name, weight in _trained(model).items()}
        try:
            self.apply(model)
            yield
        finally:
            _copy(weights, model)

    def apply(self, model: torch.nn.Module) -> None:
        """Replaces the trained weights of the model with their average."""
        _copy(self.average, model)

    def save(self, folder: str | Path) -> None:
        save_file(self.average, Path(folder) / _FILE)

    def load(self, folder: str | Path, device: torch.device) -> None:
        self.average = load_file(Path(folder) / _FILE, device=str(device))


def _trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def _copy(weights: dict[str, torch.Tensor], model: torch.nn.Module) -> None:
    for name, weight in _trained(model).items():
        if name in weights:
            weight.copy_(weights[name])
