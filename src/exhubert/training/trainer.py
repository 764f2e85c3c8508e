"""transformers' Trainer for speech emotion recognition, with a class-weighted loss and small checkpoints."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedModel, Trainer
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_NAME

from ..configuration_exhubert import sees_padding
from ..emoset.batches import UTTERANCES, SpeechCollator, pooled_logits
from ..evaluation.metrics import ser_metrics
from ..labels import names_by_index
from ..modeling_exhubert import HEAD_PREFIXES
from .arguments import SERTrainingArguments
from .averaging import WeightAverageCallback
from .callbacks import CropEpochCallback, FiniteCallback
from .checkpoints import make_way, problem_of, rotate
from .sampler import SpeechSampler


class SERTrainer(Trainer):
    """transformers' Trainer for utterance-level classification.

    The loss is the batch mean of the cross-entropy times the class weight. The weights average to one over the
    training set, and the mean isn't divided by the weights of the current batch, so two ranks, two accumulated steps
    and one double batch give the same loss and gradient.

    Utterances of similar length are batched together. Checkpoints hold the trained weights only, since a resumed run
    loads the frozen ones from its initial model; the final model is complete.

    Args:
        *args: Passed on to the Trainer.
        class_weights: Weight of each class in the loss, `(classes,)`.
        class_priors: Share of each class in training, `(classes,)`; with `args.logit_adjustment` their logarithm is
            added to the logits in training (Menon et al., ICLR 2021), so that the plain logits favour no class.
        sampling_weights: Weight of each utterance, see `exhubert.training.sampler`.
        eval_collator: Collator for evaluation.
        average: Averages the weights over steps; evaluation and the final model use the average.
        **kwargs: Passed on to the Trainer.

    Raises:
        InvariantError: A loss is NaN or infinite.
    """

    loss_is_scaled_for_ga = False
    args: SERTrainingArguments

    def __init__(
        self,
        *args,
        class_weights: torch.Tensor | None = None,
        class_priors: torch.Tensor | None = None,
        sampling_weights: torch.Tensor | None = None,
        eval_collator: SpeechCollator | None = None,
        average: WeightAverageCallback | None = None,
        **kwargs,
    ):
        super().__init__(*args, compute_metrics=self._metrics, **kwargs)
        if sees_padding(self.model.config):
            self.args.per_device_eval_batch_size = 1  # padding would change the predictions of such models
        collator = self.data_collator  # type: ignore[has-type]
        if isinstance(collator, SpeechCollator):
            collator.seed = self.args.seed
            self.add_callback(CropEpochCallback(collator))
        self.class_weights, self.class_priors = class_weights, class_priors
        self.sampling_weights = sampling_weights
        self.eval_collator = eval_collator
        self.average = average
        self._complete: dict[Path, bool] = {}  # checkpoints of this run, and whether they can be resumed from
        if self._is_sharded and (average is not None or self.args.dry_run):
            option = "ema_decay" if average is not None else "dry_run"
            raise ValueError(f"`{option}` needs unsharded weights, which DeepSpeed and FSDP don't keep; leave it out.")
        if average is not None:
            self.add_callback(average)
        self.finite = FiniteCallback()
        self.add_callback(self.finite)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs["labels"]
        logits = pooled_logits(model, inputs, self.args.per_device_eval_batch_size)
        scores = logits.float()
        if model.training and self.args.logit_adjustment and self.class_priors is not None:
            log_priors = self.class_priors.log().clamp(min=-20.0).to(scores.device)
            scores = scores + self.args.logit_adjustment * log_priors
        losses = torch.nn.functional.cross_entropy(
            scores, labels, label_smoothing=self.args.label_smoothing_factor, reduction="none"
        )
        if self.class_weights is not None:
            losses = losses * self.class_weights.to(losses.device)[labels]
        self.finite.check(losses, inputs[UTTERANCES], model.training)
        loss = losses.mean()
        return (loss, {"logits": logits}) if return_outputs else loss

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """Creates the optimizer with a parameter group per learning rate; it may step within the backward pass."""
        optimizer = self._grouped_optimizer(model)
        if self.args.step_in_backward:
            for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
                parameter.register_post_accumulate_grad_hook(self._step_now)
        return optimizer

    def _step_now(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        self.finite.check_gradients([parameter.grad])
        optimizer: Any = getattr(self.optimizer, "optimizer", self.optimizer)  # accelerate wraps it
        type(optimizer).step(optimizer)  # only this one has a gradient; the scheduler counts no step
        parameter.grad = None

    def _grouped_optimizer(self, model=None) -> torch.optim.Optimizer:
        rates = (self.args.gate_learning_rate, self.args.adapted_learning_rate, self.args.head_learning_rate)
        if all(rate is None for rate in rates):
            return super().create_optimizer(model)
        model = self.model if model is None else model
        decaying = set(self.get_decay_parameter_names(model))
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((self._learning_rate(name), name in decaying), []).append(parameter)
        optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, model)
        self.optimizer = optimizer = optimizer_class(
            [
                {"params": parameters, "lr": rate, "weight_decay": self.args.weight_decay if decays else 0.0}
                for (rate, decays), parameters in groups.items()
            ],
            **options,
        )
        return optimizer

    def _learning_rate(self, name: str) -> float:
        own = {
            ".gate.": self.args.gate_learning_rate,
            ".adapted.": self.args.adapted_learning_rate,
            **dict.fromkeys(HEAD_PREFIXES, self.args.head_learning_rate),
        }
        rate = next((rate for part, rate in own.items() if part in name), None)
        return self.args.learning_rate if rate is None else rate

    def _get_train_sampler(self, train_dataset=None):
        rows = self.train_dataset if train_dataset is None else train_dataset
        longest = getattr(self.data_collator, "max_seconds", math.inf)
        args = self.args
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return SpeechSampler(np.minimum(rows["duration"], longest), step, args.seed, self.sampling_weights)

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
        return ser_metrics(
            prediction.label_ids, prediction.predictions.argmax(axis=-1), names_by_index(self.model.config.id2label)
        )

    def evaluation_loop(self, *args, **kwargs):
        if self.average is None or not self.average.average:
            return super().evaluation_loop(*args, **kwargs)
        with self.average.applied(self.model):
            return super().evaluation_loop(*args, **kwargs)

    def train(self, *args, **kwargs):
        result = super().train(*args, **kwargs)
        if self.average is not None:
            self.average.apply(self.model)
        return result

    def _save_checkpoint(self, *args, **kwargs):
        folder = Path(self.args.output_dir or ".")
        checkpoint = folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        # transformers would count, and delete, whatever is named like a checkpoint
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            if self.args.should_save:
                make_way(checkpoint)
            super()._save_checkpoint(*args, **kwargs)
        except (OSError, RuntimeError, SafetensorError) as error:
            if isinstance(error, RuntimeError) and "inline_container" not in str(error):
                raise  # not a failed write: torch reports those from inline_container
            raise OSError(
                f"The checkpoint of step {self.state.global_step} couldn't be written to {self.args.output_dir}: "
                f"{str(error).splitlines()[0]}. Free some space; --resume true then "
                "continues from the last complete checkpoint."
            ) from error
        finally:
            self.args.save_total_limit = limit
        self._complete[checkpoint] = True
        if self.args.should_save:
            rotate(folder, limit, [self.state.best_model_checkpoint], self._is_complete)

    def _is_complete(self, checkpoint: Path) -> bool:
        if checkpoint not in self._complete:
            self._complete[checkpoint] = problem_of(checkpoint) is None
        return self._complete[checkpoint]

    @property
    def _is_sharded(self) -> bool:
        return self.is_deepspeed_enabled or self.is_fsdp_enabled

    def _save(self, output_dir=None, state_dict=None):
        folder = Path(output_dir or self.args.output_dir or ".")
        is_checkpoint = folder.name.startswith(PREFIX_CHECKPOINT_DIR)
        if is_checkpoint and not self._is_sharded and isinstance(self.model, PreTrainedModel):
            folder.mkdir(parents=True, exist_ok=True)
            frozen = frozen_names(self.model)
            weights = {name: value for name, value in self.model.state_dict().items() if name not in frozen}
            save_file(weights, folder / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
            torch.save(self.args, folder / TRAINING_ARGS_NAME)
        else:
            super()._save(output_dir, state_dict)
        if is_checkpoint and self.average is not None:
            self.average.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average is not None:
            self.average.load(resume_from_checkpoint, self.args.device)

    def _load_best_model(self):
        best = Path(self.state.best_model_checkpoint)
        if not best.is_dir():
            raise OSError(
                f"{best}, the best checkpoint of this run, is gone, so the run can't end with its model. Put it back, "
                "or start the run again in another folder."
            )
        super()._load_best_model()
        if self.average is not None:
            self.average.load(self.state.best_model_checkpoint, self.args.device)

    def _issue_warnings_after_load(self, load_result):
        missing = set(load_result.missing_keys) - frozen_names(self.model)
        if missing or load_result.unexpected_keys:
            raise ValueError(
                f"The checkpoint doesn't fit this run: missing weights {', '.join(sorted(missing)[:5]) or 'none'}, "
                f"unexpected weights {', '.join(load_result.unexpected_keys[:5]) or 'none'}. Resume with the model and "
                "the options the run began with."
            )


def frozen_names(model: torch.nn.Module) -> set[str]:
    """Names of the frozen parameters."""
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def class_weights(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    """Inverse frequency of each class, scaled so that the weights average to one over `labels`.

    Classes that don't occur get weight 0, since no label selects them.

    >>> class_weights([0, 0, 0, 1], 3)
    tensor([0.6667, 2.0000, 0.0000])
    """
    counts = Counter(labels)
    return torch.tensor(
        [len(labels) / (len(counts) * counts[index]) if counts[index] else 0.0 for index in range(num_classes)]
    )
