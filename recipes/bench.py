"""Times ExHuBERT against the plain HuBERT it extends, on this machine.

    python recipes/bench.py all --size tiny

`predict` is a forward pass, `train` a step with backward pass and AdamW, both on random 3 s clips in fp32. The two
models take turns over several rounds, since machines drift; the ratio of the medians is the figure to quote. ExHuBERT
has twice the layers and a gate for each block, so a ratio near 2 is the work it is.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import HubertConfig, HubertForSequenceClassification

from exhubert import ExHuBERTForSequenceClassification

SIZES = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384},
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
        "conv_bias": True,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["predict", "train", "all"])
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    config = HubertConfig(num_labels=6, apply_spec_augment=False, **SIZES[options.size])
    hubert = HubertForSequenceClassification(config)
    models = {"HuBERT": hubert, "ExHuBERT": ExHuBERTForSequenceClassification.from_hubert(hubert)}
    for model in models.values():
        model.freeze_feature_encoder()
        model.hubert.masked_spec_embed.requires_grad_(False)
    clips = torch.randn(options.batch_size, 48_000, generator=torch.Generator().manual_seed(0))
    cases = {"predict": predicting, "train": training}
    figures = {
        name: compare({label: make(model, clips) for label, model in models.items()}, options.rounds)
        for name, make in cases.items()
        if options.case in (name, "all")
    }
    processor = platform.processor() or platform.machine()
    machine = f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(
        f"{machine}; size {options.size}, {options.batch_size} x 3 s; median of {options.rounds} rounds (least, most)"
    )
    for name, times in figures.items():
        for label, seconds in times.items():
            median = statistics.median(seconds)
            print(f"{name:8} {label:9} {median:8.3f} s ({min(seconds):.3f}, {max(seconds):.3f})")
        ratio = statistics.median(times["ExHuBERT"]) / statistics.median(times["HuBERT"])
        print(f"{name:8} ratio     {ratio:8.2f}")
    if options.json:
        report = {"machine": machine, "size": options.size, "batch_size": options.batch_size, "seconds": figures}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def predicting(model, clips: torch.Tensor) -> Callable[[], None]:
    def step():
        model.eval()
        with torch.inference_mode():
            model(clips)

    return step


def training(model, clips: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    labels = torch.arange(len(clips)) % model.config.num_labels

    def step():
        model.train()
        model(clips, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def compare(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round, after a round that isn't counted."""
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    for counted in range(-1, rounds):
        for label, step in steps.items():
            start = time.perf_counter()
            step()
            if counted >= 0:
                seconds[label].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
