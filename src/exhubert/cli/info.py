"""`exhubert info`: prints a model's classes, base model, gates, training data and checks."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..records import Run


def add_command(commands) -> None:
    command = commands.add_parser("info", help="describe a model", description="Prints a description of a model.")
    command.add_argument("model", help="folder or hub id of an ExHuBERT")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the description and returns 0."""
    print(describe(options.model))
    return 0


def describe(model: str | Path) -> str:
    """Describes a model in a few lines, from its weights and, if this project trained it, its `run.json`.

    Args:
        model: Folder or hub id.

    Raises:
        ValueError, RuntimeError, OSError: The model can't be loaded, see `exhubert.conversion.load_classifier`.
    """
    from transformers.utils import logging

    from ..configuration_exhubert import is_regression
    from ..conversion.folding import closed_gates
    from ..conversion.loading import load_classifier
    from ..conversion.session import OnnxModel
    from ..labels import names_by_index
    from ..modeling_exhubert import ExHuBERTForSequenceClassification
    from ..records import Run

    logging.disable_progress_bar()
    network = load_classifier(model)
    config = network.config
    size = "exported to ONNX" if isinstance(network, OnnxModel) else f"{network.num_parameters():,} parameters"
    temperature = getattr(config, "logit_temperature", None)
    lines = [
        f"{model}: {type(network).__name__}, {size}",
        f"{'outputs' if is_regression(config) else 'classes':15} {', '.join(names_by_index(config.id2label))}",
        f"window          {getattr(config, 'window_seconds', None) or 'unknown'} s",
        f"temperature     {f'{temperature:.3f}' if temperature else 'not calibrated'}",
        f"licence         {getattr(config, 'license', None) or 'none given'}",
    ]
    if isinstance(network, ExHuBERTForSequenceClassification):
        norms = [gate.weight.norm().item() for gate in network.gates.values()]
        closed = len(closed_gates(network))
        folded = f", {len(config.closed_blocks)} folded away" if config.closed_blocks else ""
        linears = sum(config.has_frozen_gate(block) for block in range(config.num_blocks))
        lines += [
            f"base            {config.base_checkpoint or 'unknown'}",
            f"blocks          {config.num_blocks}, {config.num_hidden_layers} transformer layers of "
            f"{config.hidden_size}; {linears} with a frozen gate",
            f"gates           {len(norms) - closed} open, {closed} closed{folded}; norms "
            + " ".join(f"{norm:.2f}" for norm in norms),
        ]
    if (Path(model) / Run.file).is_file():
        lines += _training(Run.load(model))
    return "\n".join(lines)


def _training(run: "Run") -> list[str]:
    lines = [
        f"trained on      {', '.join(run.corpora) or 'unknown'}: {run.utterances['train']} utterances, "
        f"{run.steps} steps, {run.parameters['trainable']:,} parameters",
        f"label space     {run.labels['space'] if run.labels else 'six'}",
        f"validation      UAR {100 * run.validation['uar']:.1f} %",
    ]
    checks = run.invariants
    if identity := checks.get("ZeroInitIdentityCallback"):
        result = "identical to the HuBERT" if identity.get("identical") else f"not checked ({identity['reference']})"
        lines.append(f"step 0          {result}")
    if frozen := checks.get("FrozenWeightsCallback"):
        state = "unchanged" if frozen["unchanged"] else "CHANGED"
        lines.append(f"frozen weights  {state}, sha256 {frozen['sha256_after'][:16]}")
    return lines
