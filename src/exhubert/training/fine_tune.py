"""Fine-tunes an ExHuBERT or a plain HuBERT on an emotion dataset, and records the run in `run.json`."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..cpu import keep_freed_memory, use_kernels
from ..emoset.batches import SpeechCollator
from ..emoset.protocols.protocol_file import find_protocol
from ..evaluation.protocols import apply_protocol, hash_of_seen, load_for_protocol, shared_by_partitions
from ..labels import SIX_CLASSES
from ..modeling_exhubert import ExHuBERTForSequenceClassification
from ..records import BuildSummary, Run, Settings
from .arguments import DataArguments, ModelArguments, SERTrainingArguments
from .averaging import WeightAverageCallback
from .callbacks import (
    DisjointSpeakersCallback,
    ElapsedTimeCallback,
    FrozenWeightsCallback,
    GateReportCallback,
    ZeroInitIdentityCallback,
    gate_norms,
)
from .checkpoints import check_run_folder, find_best_again, last_complete_checkpoint, refuse_used_folder
from .dry_run import dry_run, peak_memory_mb
from .model import base_hubert, load_for_training
from .sampler import sampling_weights
from .trainer import SERTrainer, class_weights

_LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "exhubert")
_SIX = {"classes": list(SIX_CLASSES)}  # those of all runs of earlier versions
_REPORTED = (
    "seed", "learning_rate", "gate_learning_rate", "adapted_learning_rate", "head_learning_rate", "lr_scheduler_type",
    "warmup_steps", "weight_decay", "num_train_epochs", "max_steps", "per_device_train_batch_size",
    "gradient_accumulation_steps", "label_smoothing_factor", "logit_adjustment", "ema_decay", "max_grad_norm", "bf16",
    "kernels", "step_in_backward", "gradient_checkpointing", "metric_for_best_model", "patience", "optim",
)  # fmt: skip


def fine_tune(model_args: ModelArguments, data_args: DataArguments, args: SERTrainingArguments) -> Run | dict[str, Any]:
    """Fine-tunes a model; must be called on every rank.

    Afterwards `args.output_dir` holds the complete best model, its feature extractor, `trainer_state.json` and
    `run.json`.

    Returns:
        The run's record, as in `run.json`; with `args.dry_run`, the estimate of `dry_run` as a dictionary instead.

    Raises:
        ValueError: The data, the model and the options are incompatible; the message says how.
        TargetError: The folder is, contains or lies inside the data or the model, or holds something else than a run.
        InvariantError: An invariant of the method is broken.
        OSError: The data or the model can't be read, or the folder can't be written.
    """
    folder = Path(args.output_dir or "runs/exhubert")
    if not (args.resume or args.dry_run):
        refuse_used_folder(folder)
    existed = folder.exists()
    if not args.dry_run:
        check_run_folder("--output_dir", folder, [data_args.data, model_args.model])
    set_seed(args.seed)
    keep_freed_memory()
    with args.main_process_first(desc="opening the dataset"):
        data, chosen = load_for_protocol(
            data_args.data, data_args.protocol, data_args.corpora, data_args.languages, data_args.labels
        )
        divided = BuildSummary.all_divided_speakers(data_args.data)
        data, fold = apply_protocol(
            data, data_args.protocol, data_args.fold, data_args.folds, divided=divided, allow_leak=data_args.allow_leak
        )
    declared = find_protocol(data_args.protocol)
    shared = shared_by_partitions(data) if declared else {}
    if "train" not in data or "validation" not in data:
        raise ValueError(
            f"{data_args.data} has {', '.join(data)} with classes of the label space {chosen.space}, but training "
            "needs train and validation."
        )
    names = data["train"].features["label"].names
    model, extractor = load_for_training(model_args, names)
    model.config.window_seconds = data_args.max_seconds
    _use_kernels(model, args)
    # counted before DeepSpeed or FSDP shard the parameters
    parameters = {"all": model.num_parameters(), "trainable": model.num_parameters(only_trainable=True)}

    collator = SpeechCollator(
        extractor,
        data_args.max_seconds,
        random_crop=True,
        augmentations=data_args.augmentations,
        augmentation_probability=data_args.augmentation_probability,
    )
    elapsed, gates = ElapsedTimeCallback(), None
    speakers = {part: list(rows["speaker"]) for part, rows in data.items()}
    callbacks: list[TrainerCallback] = [
        elapsed,
        FrozenWeightsCallback(),
        DisjointSpeakersCallback(speakers, divided, bool(shared)),
    ]
    if isinstance(model, ExHuBERTForSequenceClassification):
        rows = [data["train"][index] for index in range(min(4, len(data["train"])))]
        batch = SpeechCollator(extractor, data_args.max_seconds, random_crop=True)(rows)
        hubert, reference = base_hubert(model)
        if hubert is not None:
            _use_kernels(hubert, args)
        gates = GateReportCallback(batch)
        callbacks += [ZeroInitIdentityCallback(hubert, batch, reference), gates]
    if args.patience:
        callbacks.append(EarlyStoppingCallback(args.patience))
    labels = list(data["train"]["label"])
    weights = _balance(data["train"], data_args)
    trainer = SERTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=collator,
        eval_collator=SpeechCollator(extractor, data_args.max_seconds),
        processing_class=extractor,
        class_weights=class_weights(labels, len(names)) if data_args.class_weighting else None,
        class_priors=_shares(labels, len(names), weights),
        sampling_weights=weights,
        average=WeightAverageCallback(args.ema_decay) if args.ema_decay else None,
        callbacks=callbacks,
    )
    if gates is not None:
        console = (ProgressCallback, PrinterCallback)  # two values per block would flood the console
        gates.loggers = [cb for cb in trainer.callback_handler.callbacks if not isinstance(cb, (*console, type(gates)))]
    if args.dry_run:
        if args.should_save and not existed and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # created by the Trainer
        return dry_run(trainer, data)
    checkpoint = last_complete_checkpoint(folder, bool(args.load_best_model_at_end)) if args.resume else None
    # a file of labels may have changed, and so may the corpora that decide on native classes
    space = {"labels": chosen.definition, "classes": names}
    settings = {"model": asdict(model_args), "data": data_args.settings() | space, "training": _reported(args)}
    with args.main_process_first(desc="comparing the settings"):
        _keep_settings(folder / "settings.json", Settings(json.loads(json.dumps(settings, default=str))), checkpoint)
    (folder / Run.file).unlink(missing_ok=True)  # written last: its presence marks a finished run
    if checkpoint:
        find_best_again(Path(checkpoint), folder)
    if args.resume:
        print(f"resuming from {checkpoint}" if checkpoint else f"no checkpoint in {folder}: starting from scratch")
    trainer.train(resume_from_checkpoint=checkpoint)
    validation = trainer.evaluate()
    if model_args.lora_rank:
        trainer.model = model = model.merge_and_unload()  # the final model must load without peft
    trainer.save_model()
    trainer.save_state()
    run = Run(
        model=asdict(model_args),
        data=asdict(data_args) | {"sampling_temperature": str(data_args.sampling_temperature)},
        fold=fold,
        seen_sha256=hash_of_seen(data),
        training=_reported(args),
        processes=args.world_size,
        resumed_from=checkpoint,
        corpora=sorted(set(data["train"]["corpus"])),
        languages=sorted({language for language in data["train"]["language"] if language}),
        utterances={part: len(rows) for part, rows in data.items()},
        parameters=parameters,
        steps=trainer.state.global_step,
        best_checkpoint=Path(trainer.state.best_model_checkpoint or "none").name,
        seconds=elapsed.findings["seconds"],
        memory_mb=peak_memory_mb(args.device),
        validation={key.removeprefix("eval_"): value for key, value in validation.items()},
        invariants={type(c).__name__: c.findings for c in callbacks if hasattr(c, "findings")},
        gate_norms=_gate_norms(model),
        versions={name: version(name) for name in _LIBRARIES},
        protocol=declared.record() if declared else None,
        shared_speakers=shared,
        labels=asdict(chosen),
    )
    if trainer.is_world_process_zero():
        run.save(folder)
    return run


def _use_kernels(model, args: SERTrainingArguments) -> None:
    if args.device.type == "cpu" and not args.torch_compile:
        use_kernels(model, args.kernels)


def _reported(args: SERTrainingArguments) -> dict[str, Any]:
    return {key: value for key, value in args.to_sanitized_dict().items() if key in _REPORTED}


def _keep_settings(path: Path, settings: Settings, checkpoint: str | None) -> None:
    """Saves the settings of a new run; raises `ValueError` if a resumed run has different ones.

    Without this check, the checkpoint's optimizer and scheduler would silently override new options.
    """
    if checkpoint and path.is_file():
        remedy = "Resume it with the options it began with, or start a new run in another folder."
        before = Settings.load(path).with_defaults(data=_SIX | json.loads(json.dumps(asdict(DataArguments()))))
        # the data may have moved
        before.require_same(settings, f"The run in {path.parent}", remedy, ignore=["data"])
    else:
        settings.save(path)


def _balance(rows, data_args: DataArguments) -> torch.Tensor | None:
    if not data_args.balance:
        return None
    groups = list(zip(*(rows[column] for column in data_args.balance), strict=True))
    return sampling_weights(groups, data_args.sampling_temperature)


def _shares(labels: list[int], classes: int, weights: torch.Tensor | None) -> torch.Tensor:
    """Share of each class among the utterances drawn for training, `(classes,)`."""
    counts = torch.bincount(torch.tensor(labels), weights, minlength=classes)
    return (counts / counts.sum()).float()


def _gate_norms(model) -> dict[str, float] | None:
    """Frobenius norm of each block's gate, for the card; None for a plain HuBERT."""
    if not isinstance(model, ExHuBERTForSequenceClassification):
        return None
    return {str(index): norm for index, norm in enumerate(gate_norms(model))}
