"""Fine-tunes an ExHuBERT (or, for comparison, a plain HuBERT) on a built dataset.

    accelerate launch recipes/train.py recipes/configs/demo.yaml --output_dir runs/demo

Any field of the configuration can be given as `--field value`. The run's folder ends up with the best model, its
feature extractor, `trainer_state.json` and `run.json`, from which the model card is rendered.
"""

import sys
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import json
from dataclasses import asdict
from importlib.metadata import version

from transformers import EarlyStoppingCallback, set_seed

from exhubert import ExHuBERTForSequenceClassification
from exhubert.emoset import load
from exhubert.training import (
    ElapsedTimeCallback,
    FrozenWeightsCallback,
    InvariantError,
    SERTrainer,
    SpeechCollator,
    ZeroInitIdentityCallback,
    class_weights,
    last_complete_checkpoint,
    load_for_training,
    parse_arguments,
    refuse_used_folder,
)
from exhubert.training.models import base_hubert

LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "exhubert")


def main(arguments: list[str]) -> None:
    model_args, data_args, args = parse_arguments(arguments)
    if not args.resume:
        refuse_used_folder(args.output_dir)
    (Path(args.output_dir) / "run.json").unlink(missing_ok=True)  # it is written last and speaks for a whole run
    set_seed(args.seed)
    with args.main_process_first(desc="opening the dataset"):
        data = load(data_args.data, data_args.corpora, data_args.languages)
    if "train" not in data or "validation" not in data:
        raise ValueError(f"{data_args.data} has {', '.join(data)}, but training needs train and validation.")
    names = data["train"].features["label"].names
    model, feature_extractor = load_for_training(model_args, names)
    model.config.window_seconds = data_args.max_seconds

    collator = SpeechCollator(feature_extractor, data_args.max_seconds)
    elapsed = ElapsedTimeCallback()
    callbacks = [elapsed, FrozenWeightsCallback()]
    if isinstance(model, ExHuBERTForSequenceClassification):
        hubert, reference = base_hubert(model)
        rows = [data["train"][index] for index in range(min(4, len(data["train"])))]
        callbacks.append(ZeroInitIdentityCallback(hubert, collator(rows), reference))
    if args.patience:
        callbacks.append(EarlyStoppingCallback(args.patience))
    trainer = SERTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=SpeechCollator(feature_extractor, data_args.max_seconds, random_crop=True),
        eval_collator=collator,
        processing_class=feature_extractor,
        class_weights=class_weights(data["train"]["label"], len(names)) if data_args.class_weighting else None,
        callbacks=callbacks,
    )
    checkpoint = last_complete_checkpoint(args.output_dir) if args.resume else None
    if args.resume:
        print(f"resuming from {checkpoint}" if checkpoint else f"no checkpoint in {args.output_dir}: starting anew")
    trainer.train(resume_from_checkpoint=checkpoint)
    validation = trainer.evaluate()
    trainer.save_model()
    trainer.save_state()
    if trainer.is_world_process_zero():
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        run = {
            "model": asdict(model_args),
            "data": asdict(data_args),
            "training": {key: value for key, value in args.to_sanitized_dict().items() if key in REPORTED},
            "processes": args.world_size,
            "resumed_from": checkpoint,
            "utterances": {part: len(rows) for part, rows in data.items()},
            "parameters": {"all": sum(p.numel() for p in model.parameters()), "trainable": trainable},
            "steps": trainer.state.global_step,
            "best_checkpoint": Path(trainer.state.best_model_checkpoint or "none").name,
            "seconds": elapsed.findings["seconds"],
            "validation": {key.removeprefix("eval_"): value for key, value in validation.items()},
            "languages": sorted({language for language in data["train"]["language"] if language}),
            "invariants": {type(c).__name__: c.findings for c in callbacks if hasattr(c, "findings")},
            **gate_norms(model),
            "versions": {name: version(name) for name in LIBRARIES},
        }
        path = Path(args.output_dir) / "run.json"
        path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        print(
            f"validation UAR {100 * validation['eval_uar']:.1f} %; "
            f"model, trainer_state.json and run.json are in {path.parent}"
        )


def gate_norms(model) -> dict[str, dict[str, float]]:
    """Frobenius norm of each block's gate, for the card; nothing for a plain HuBERT."""
    if not isinstance(model, ExHuBERTForSequenceClassification):
        return {}
    return {"gate_norms": {str(index): block.gate.weight.norm().item() for index, block in enumerate(model.blocks)}}


REPORTED = (
    "seed", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "num_train_epochs", "max_steps",
    "per_device_train_batch_size", "gradient_accumulation_steps", "label_smoothing_factor", "max_grad_norm", "bf16",
    "gradient_checkpointing", "metric_for_best_model", "patience", "optim",
)  # fmt: skip

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, InvariantError) as error:
        sys.exit(f"train.py: {error}")
