"""Order of the training utterances: similar lengths together, and rare classes or corpora more often if asked for."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class SpeechSampler(Sampler[int]):
    """Yields the utterances of one epoch. The order depends on seed and epoch only, so resumed runs continue in it.

    Args:
        lengths: Length of each clip after cropping, in seconds.
        batch_size: Utterances in one optimizer step, over all ranks and accumulated steps.
        seed: Seed of the order.
        weights: Relative frequency of each utterance, drawn with replacement. None: each utterance once.
    """

    def __init__(self, lengths: Sequence[float], batch_size: int, seed: int, weights: torch.Tensor | None = None):
        self.lengths, self.batch_size, self.seed, self.weights = list(lengths), batch_size, seed, weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        state = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0])
        generator = torch.Generator().manual_seed(state)
        drawn = list(range(len(self)))
        if self.weights is not None:
            drawn = torch.multinomial(self.weights, len(self), replacement=True, generator=generator).tolist()
        order = get_length_grouped_indices([self.lengths[i] for i in drawn], self.batch_size, generator=generator)
        yield from (drawn[index] for index in order)


def sampling_weights(groups: Sequence[Hashable], temperature: float) -> torch.Tensor:
    """Weight of each utterance such that a group of n utterances is drawn in proportion to n^(1 / temperature).

    >>> sampling_weights(["a", "a", "a", "a", "b"], temperature=2.0)
    tensor([0.5000, 0.5000, 0.5000, 0.5000, 1.0000], dtype=torch.float64)

    Args:
        groups: Group of each utterance, such as its class, its corpus, or both.
        temperature: 1 keeps the proportions of the data; larger values even them out; `inf` makes them equal.

    Raises:
        ValueError: The temperature is below 1.
    """
    if not temperature >= 1:
        raise ValueError(f"sampling_temperature is {temperature:g}, expected 1 (the proportions of the data) or more.")
    counts = Counter(groups)
    return torch.tensor([counts[group] ** (1 / temperature - 1) for group in groups], dtype=torch.float64)
