"""Estimates the time and memory of a training run from a single step."""

import resource
import time
from typing import Any

import datasets
import torch
from torch.utils.flop_counter import FlopCounterMode

_GB = 1e9


def dry_run(trainer, data: datasets.DatasetDict) -> dict[str, Any]:
    """Runs one training step, on the longest batch of the first epoch, and prints an estimate for the whole run.

    Args:
        trainer: A `SERTrainer` that hasn't trained yet.
        data: Its dataset, by partition.

    Returns:
        `parameters`, `memory_gb` (weights, gradients, AdamW's two moments, and the peak during the step),
        `step` (FLOPs, seconds, loss, clips and padded seconds), `steps`, and `utterances` by partition and corpus.
        Memory and FLOPs are per rank.
    """
    args, model = trainer.args, trainer.model
    loader = trainer.get_train_dataloader()
    epochs = args.num_train_epochs
    steps = args.max_steps if args.max_steps > 0 else int(epochs * -(-len(loader) // args.gradient_accumulation_steps))
    trainable = [p for p in model.parameters() if p.requires_grad]
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    gradients = sum(p.numel() * p.element_size() for p in trainable)
    batch = next(iter(loader))
    trainer.create_optimizer()
    model.to(args.device)
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
    trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps  # the Trainer sets it in its loop
    start = time.perf_counter()
    with FlopCounterMode(display=False) as counter:
        loss = trainer.training_step(model, batch)
    trainer.optimizer.step()
    seconds = time.perf_counter() - start
    report: dict[str, Any] = {
        "parameters": {"all": model.num_parameters(), "trainable": model.num_parameters(only_trainable=True)},
        "memory_gb": {
            "weights": size / _GB,
            "gradients": gradients / _GB,
            "adamw": 2 * gradients / _GB,
        },
        "step": {
            "clips": len(batch["labels"]),
            "seconds_of_audio": batch["input_values"].numel() / 16_000,
            "tflop": counter.get_total_flops() / 1e12,
            "seconds": seconds,
            "loss": loss.item() * args.gradient_accumulation_steps,
        },
        "steps": steps,
        "hours_at_this_speed": steps * args.gradient_accumulation_steps * seconds / 3600,
        "utterances": {part: _counts(rows) for part, rows in data.items()},
    }
    report["memory_gb"]["most_held"] = peak_memory_mb(args.device) * 2**20 / _GB
    if trainer.is_world_process_zero():
        print(_text(report, data["train"].features["label"].names))
    return report


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process in MB: on its GPU if it computes on one, otherwise in RAM."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _counts(rows: datasets.Dataset) -> dict[str, Any]:
    table = rows.select_columns(["corpus", "speaker", "label"]).to_pandas()
    return {
        str(corpus): {
            "utterances": len(part),
            "speakers": int(part["speaker"].nunique()),
            "classes": [int((part["label"] == index).sum()) for index in range(len(rows.features["label"].names))],
        }
        for corpus, part in table.groupby("corpus")
    }


def _text(report: dict[str, Any], names: list[str]) -> str:
    parameters, memory, step = report["parameters"], report["memory_gb"], report["step"]
    lines = [
        "dry run: one step, nothing is written",
        f"parameters      {parameters['all']:,}: {parameters['trainable']:,} trained, "
        f"{parameters['all'] - parameters['trainable']:,} frozen",
        f"memory          weights {memory['weights']:.2f} GB, gradients {memory['gradients']:.2f}, AdamW "
        f"{memory['adamw']:.2f}; peak with activations {memory['most_held']:.2f} GB",
        f"one step        {step['clips']} clips, {step['seconds_of_audio']:.1f} s of audio with padding: "
        f"{step['tflop']:.3f} TFLOP, {step['seconds']:.1f} s, loss {step['loss']:.4f}",
        f"steps           {report['steps']:,}, about {report['hours_at_this_speed']:.2f} h at this speed",
        f"{'partition':11} {'corpus':16} {'utterances':>10} {'speakers':>8}  {', '.join(names)}",
    ]
    for part, corpora in report["utterances"].items():
        for corpus, counts in corpora.items():
            lines.append(
                f"{part:11} {corpus:16} {counts['utterances']:10} {counts['speakers']:8}  "
                f"{', '.join(map(str, counts['classes']))}"
            )
    return "\n".join(lines)
