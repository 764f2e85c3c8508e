"""The Trainer with a class-weighted loss that is the same however a batch is divided."""

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import Trainer
from transformers.utils import logging

from ..evaluation.metrics import ser_metrics
from ..labels import names_by_index
from .collator import CropEpochCallback, SpeechCollator

logger = logging.get_logger(__name__)


class SERTrainer(Trainer):
    """transformers' Trainer for utterance-level classes.

    The loss is the mean over the batch of weight times cross-entropy. The weights average to one over the training
    set, and the mean isn't divided by the weights of the batch at hand, so two ranks, two accumulated steps and one
    double batch give the same loss and gradient.
    """

    loss_is_scaled_for_ga = False

    def __init__(
        self, *args, class_weights: torch.Tensor | None = None, eval_collator: SpeechCollator | None = None, **kwargs
    ):
        super().__init__(*args, compute_metrics=self._metrics, **kwargs)
        if getattr(self.model.config, "feat_extract_norm", "layer") == "group":
            self.args.per_device_eval_batch_size = 1  # padding would change the results of such models
        collator = self.data_collator  # type: ignore[has-type]
        if isinstance(collator, SpeechCollator):
            collator.seed = self.args.seed
            self.add_callback(CropEpochCallback(collator))
        self.class_weights = class_weights
        self.eval_collator = eval_collator

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        losses = torch.nn.functional.cross_entropy(
            outputs.logits.float(), labels, label_smoothing=self.args.label_smoothing_factor, reduction="none"
        )
        if self.class_weights is not None:
            losses = losses * self.class_weights.to(losses.device)[labels]
        loss = losses.mean()
        return (loss, outputs) if return_outputs else loss

    def get_eval_dataloader(self, eval_dataset=None):
        return self._with_eval_collator(super().get_eval_dataloader, eval_dataset)

    def get_test_dataloader(self, test_dataset):
        return self._with_eval_collator(super().get_test_dataloader, test_dataset)

    def _with_eval_collator(self, make, dataset):
        training_collator = self.data_collator  # type: ignore[has-type]
        try:
            self.data_collator = self.eval_collator or training_collator
            return make(dataset)
        finally:
            self.data_collator = training_collator

    def _metrics(self, prediction):
        logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
        return ser_metrics(prediction.label_ids, logits.argmax(axis=-1), names_by_index(self.model.config.id2label))


def class_weights(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    """Inverse frequency of each class, scaled so that the weights average to one over `labels`.

    Classes that don't occur weigh nothing, since they are never asked for.

    >>> class_weights([0, 0, 0, 1], 3)
    tensor([0.6667, 2.0000, 0.0000])
    """
    counts = Counter(labels)
    return torch.tensor(
        [len(labels) / (len(counts) * counts[index]) if counts[index] else 0.0 for index in range(num_classes)]
    )


def last_complete_checkpoint(folder: str | Path) -> str | None:
    """The newest checkpoint in a run's folder that was written to its end; transformers' own search only counts."""
    for path in sorted(_checkpoints(folder), key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_complete(path):
            return str(path)
        logger.warning("%s is incomplete or damaged and is passed over.", path)
    return None


def refuse_used_folder(folder: str | Path) -> None:
    """Raises where a folder holds the checkpoints of another run, which a later `--resume` would take for this one's.

    Raises:
        ValueError: It does; the message says what to do.
    """
    if found := _checkpoints(folder):
        raise ValueError(
            f"{folder} holds {len(found)} checkpoints of an earlier run. Go on with it by --resume true, or give "
            "another --output_dir, or delete that folder."
        )


def _checkpoints(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]


def _is_complete(checkpoint: Path) -> bool:
    """Whether everything a resumed run reads is there and can be opened."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        for name in ("optimizer.pt", "scheduler.pt"):
            if not zipfile.is_zipfile(checkpoint / name):
                return False
        weights = list(checkpoint.glob("*.safetensors"))
        for path in weights:
            with safe_open(path, "pt") as file:
                file.keys()
        return bool(weights) and any(checkpoint.glob("rng_state*.pth"))
    except (OSError, ValueError, SafetensorError):
        return False
