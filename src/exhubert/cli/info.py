"""What a model is: where it is from, how far its gates are open, what it was trained on, and what was checked."""

import json
from pathlib import Path
from typing import Any

from transformers.utils import logging

from ..conversion.extension import load_classifier
from ..conversion.folding import closed_gates
from ..labels import names_by_index
from ..modeling_exhubert import ExHuBERTForSequenceClassification


def describe(model: str | Path) -> str:
    """A few lines on a model, from its weights and, where it was trained by this project, its `run.json`.

    Args:
        model: Folder or hub id.

    Raises:
        ValueError, RuntimeError, OSError: It can't be loaded, see `exhubert.extension.load_classifier`.
    """
    logging.disable_progress_bar()
    network = load_classifier(model)
    config = network.config
    parameters = sum(p.numel() for p in network.parameters())
    lines = [
        f"{model}: {type(network).__name__}, {parameters:,} parameters",
        f"classes         {', '.join(names_by_index(config.id2label))}",
        f"window          {getattr(config, 'window_seconds', None) or 'unknown'} s",
        f"temperature     {getattr(config, 'logit_temperature', None) or 'not calibrated'}",
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
    path = Path(model) / "run.json"
    return "\n".join(lines + (_training(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []))


def _training(run: dict[str, Any]) -> list[str]:
    lines = [
        f"trained on      {', '.join(run.get('corpora', ['unknown']))}: {run['utterances']['train']} utterances, "
        f"{run['steps']} steps, {run['parameters']['trainable']:,} parameters",
        f"validation      UAR {100 * run['validation']['uar']:.1f} %",
    ]
    checked = run["invariants"]
    if identity := checked.get("ZeroInitIdentityCallback"):
        found = "identical to the HuBERT" if identity.get("identical") else f"not checked ({identity['reference']})"
        lines.append(f"step 0          {found}")
    if frozen := checked.get("FrozenWeightsCallback"):
        state = "unchanged" if frozen["unchanged"] else "CHANGED"
        lines.append(f"frozen weights  {state}, sha256 {frozen['sha256_after'][:16]}")
    return lines
