"""The cases of the benchmark: published usage and ours, for predicting, training and loading.

Published usage is what the published code and its model card do: fp32, clips padded to 3 s without a mask, one at a
time, frozen gates multiplied though they are the identity, and in training dropout in the frozen copies too.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..audio import load_audio
from ..extension import default_feature_extractor, load_classifier
from ..inference import load_pipeline, predict_all
from ..labels import names_by_index
from ..modeling_exhubert import ExHuBERTForSequenceClassification

PUBLISHED_SECONDS = 3.0


def predicting_as_published(model: str, files: Sequence[str], threads: int) -> Callable[[], dict]:
    """One clip at a time, padded or cut to 3 s; every frozen gate multiplied."""
    torch.set_num_threads(threads)
    network = with_frozen_gates(load_classifier(model))
    extractor = default_feature_extractor(network.config)
    length = round(PUBLISHED_SECONDS * extractor.sampling_rate)

    def step() -> dict:
        logits = []
        with torch.no_grad():
            for file in files:
                inputs = extractor(
                    load_audio(file), sampling_rate=extractor.sampling_rate, return_tensors="pt",
                    padding="max_length", max_length=length, truncation=True,
                )  # fmt: skip
                logits.append(network(inputs.input_values).logits[0])
        return {"classes": torch.stack(logits).argmax(dim=-1).tolist()}

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, length))
    flops = counter.get_total_flops() * len(files)
    return lambda: step() | {"flops": flops}


def predicting(
    model: str, files: Sequence[str], threads: int, dtype: str = "float32", batch_size: int = 1
) -> Callable[[], dict]:
    """What `exhubert predict` does: clips at their own length, padding masked, windows for long recordings."""
    torch.set_num_threads(threads)
    classifier = load_pipeline(model, device="cpu", dtype=dtype)
    names = names_by_index(classifier.model.config.id2label)

    def step() -> dict:
        found = list(predict_all(classifier, files, batch_size))
        return {"classes": [names.index(result.label) for _, result in found]}  # type: ignore[union-attr]

    if not isinstance(classifier.model, torch.nn.Module):
        return step
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for file in files:
            for window in classifier.preprocess(file):
                classifier.model(window["input_values"])
    flops = counter.get_total_flops()
    return lambda: step() | {"flops": flops}


def training(
    model: str,
    clips: Sequence[np.ndarray],
    threads: int,
    batch_size: int,
    published: bool = False,
    bf16: bool = False,
    checkpointing: bool = False,
    optimizer: str = "adamw",
) -> Callable[[], dict]:
    """An epoch over the clips: forward, backward, optimizer."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = load_classifier(model)
    if published:
        network = with_frozen_gates(network, frozen_dropout=True)
    network.freeze_feature_encoder()
    network.train()
    if checkpointing:
        network.gradient_checkpointing_enable()
    if getattr(network.hubert, "masked_spec_embed", None) is not None:
        network.config.apply_spec_augment = False
    extractor = default_feature_extractor(network.config)
    length = round(PUBLISHED_SECONDS * extractor.sampling_rate)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": lambda: torch.optim.AdamW(parameters, lr=1e-5, fused=not published),
        "adafactor": lambda: torch.optim.Adafactor(parameters, lr=1e-5),
    }
    stepper = optimizers[optimizer]()
    order = list(range(len(clips))) if published else sorted(range(len(clips)), key=lambda index: len(clips[index]))

    def step() -> dict:
        for first in range(0, len(order), batch_size):
            part = [clips[index] for index in order[first : first + batch_size]]
            shape: dict[str, Any] = {"padding": True}
            if published:
                shape = {
                    "padding": "max_length",
                    "max_length": length,
                    "truncation": True,
                    "return_attention_mask": False,
                }
            batch = extractor(part, sampling_rate=extractor.sampling_rate, return_tensors="pt", **shape)
            labels = torch.arange(len(part)) % network.config.num_labels
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = network(**batch, labels=labels).loss
            loss.backward()
            stepper.step()
            stepper.zero_grad()
        return {}

    return step


def loading(model: str, file: str, threads: int, published: bool) -> Callable[[], dict]:
    """From the start of a process to its first prediction."""
    code = _LOAD_PICKLE if published else _LOAD_OURS

    def step() -> dict:
        answer = subprocess.run([sys.executable, "-c", code, model, file, str(threads)], capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(answer.stderr[-500:])
        return {}

    return step


_LOAD_PICKLE = """
import json, sys, torch
torch.set_num_threads(int(sys.argv[3]))
import soundfile
from exhubert import ExHuBERTConfig, ExHuBERTForSequenceClassification, default_feature_extractor
config = ExHuBERTConfig.from_pretrained(sys.argv[1])
model = ExHuBERTForSequenceClassification(config)
model.load_state_dict(torch.load(sys.argv[1] + "/pytorch_model.bin", weights_only=True))
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
inputs = default_feature_extractor(config)(samples, sampling_rate=rate, return_tensors="pt")
with torch.no_grad():
    model.eval()(inputs.input_values)
"""
_LOAD_OURS = """
import sys, torch
torch.set_num_threads(int(sys.argv[3]))
from exhubert.inference import load_pipeline, predict
predict(load_pipeline(sys.argv[1], device="cpu"), sys.argv[2])
"""


def with_frozen_gates(model: ExHuBERTForSequenceClassification, **fields: Any) -> ExHuBERTForSequenceClassification:
    """The same model with identity frozen gates multiplied, as the published class always does."""
    config = type(model.config)(**(model.config.to_dict() | {"frozen_gate": True} | fields))
    wider = type(model)(config)
    wider.load_state_dict(model.state_dict(), strict=False)
    return wider.eval()


def pickled(model: str, folder: Path) -> Path:
    """A copy of a model as the published repository holds it: `config.json` and a pickle of the weights."""
    folder.mkdir()
    shutil.copyfile(Path(model) / "config.json", folder / "config.json")
    torch.save(load_classifier(model).state_dict(), folder / "pytorch_model.bin")
    return folder
