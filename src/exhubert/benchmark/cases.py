"""Cases of the benchmark: prediction, training and loading of models as published and as in this package.

Published usage follows the published code and its model card: fp32, clips padded to 3 s without a mask, one at a time,
multiplication by the frozen gates although they are the identity, and dropout in the frozen copies during training. It
uses torch's own kernels and returns freed memory to the system, as scripts do by default.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..audio import load_audio
from ..conversion.loading import default_feature_extractor, load_classifier
from ..cpu import keep_freed_memory, use_kernels
from ..inference.recordings import load_pipeline, predict, predict_all
from ..modeling_exhubert import ExHuBERTForSequenceClassification

PUBLISHED_SECONDS = 3.0


def predicting_as_published(model: str, files: Sequence[str], threads: int, timed: int) -> Callable[[], dict]:
    """Predicts one clip at a time, padded or cut to 3 s, with multiplication by every frozen gate."""
    torch.set_num_threads(threads)
    network = with_frozen_gates(load_classifier(model))
    extractor = default_feature_extractor(network.config)
    length = round(PUBLISHED_SECONDS * extractor.sampling_rate)

    @torch.no_grad()
    def classify(part: Sequence[str]) -> list[list[float]]:
        probabilities = []
        for file in part:
            inputs = extractor(
                load_audio(file), sampling_rate=extractor.sampling_rate, return_tensors="pt",
                padding="max_length", max_length=length, truncation=True,
            )  # fmt: skip
            probabilities.append(network(inputs.input_values).logits[0].softmax(dim=-1).tolist())
        return probabilities

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, length))
    return _rounds(classify, files, timed, counter.get_total_flops() * timed)


def predicting(
    model: str,
    files: Sequence[str],
    threads: int,
    timed: int,
    dtype: str = "float32",
    batch_size: int = 1,
    kernels: str = "auto",
) -> Callable[[], dict]:
    """Predicts like `exhubert predict`: clips at their own length, masked padding, windows for long recordings."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    classifier = load_pipeline(model, device="cpu", dtype=dtype, kernels=kernels)

    def classify(part: Sequence[str]) -> list[list[float]]:
        results = predict_all(classifier, part, batch_size, skip_silence=False)  # as published usage does
        return [list(result.scores.values()) for _, result in results]  # type: ignore[union-attr]

    flops = 0
    if isinstance(classifier.model, torch.nn.Module):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            for file in files[:timed]:
                for window in classifier.preprocess(file):
                    classifier.model(window["input_values"])
        flops = counter.get_total_flops()
    return _rounds(classify, files, timed, flops)


def _rounds(classify: Callable, files: Sequence[str], timed: int, flops: int) -> Callable[[], dict]:
    """The first round, which isn't measured, classifies all files and returns the answers; later ones only `timed`."""
    parts = chain([list(files)], repeat(list(files[:timed])))

    def step() -> dict:
        answers = classify(next(parts))
        results = {"flops": flops} if flops else {}
        return results | ({"probabilities": answers} if len(answers) == len(files) else {})

    return step


def training(
    model: str,
    clips: Sequence[np.ndarray],
    threads: int,
    batch_size: int,
    published: bool = False,
    kernels: str = "auto",
    bf16: bool = False,
    checkpointing: bool = False,
    step_in_backward: bool = False,
    optimizer: str = "adamw",
    count: bool = False,
) -> Callable[[], dict]:
    """Trains one epoch on the clips: forward, backward, optimizer; without SpecAugment, with the model's dropout.

    With `count` its floating-point operations are counted, which takes time and memory.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = load_classifier(model)
    if published:
        network = with_frozen_gates(network, frozen_dropout=True)
    else:
        keep_freed_memory()
        use_kernels(network, kernels)
    network.freeze_feature_encoder()
    network.train()
    network.config.apply_spec_augment = False
    if checkpointing:
        network.gradient_checkpointing_enable()
    extractor = default_feature_extractor(network.config)
    length = round(PUBLISHED_SECONDS * extractor.sampling_rate)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": lambda: torch.optim.AdamW(parameters, lr=1e-5, fused=not published),
        "adafactor": lambda: torch.optim.Adafactor(parameters, lr=1e-5),
    }
    stepper = optimizers[optimizer]()
    if step_in_backward:

        def step_now(parameter: torch.Tensor) -> None:
            stepper.step()
            parameter.grad = None

        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(step_now)
    order = list(range(len(clips))) if published else sorted(range(len(clips)), key=lambda index: len(clips[index]))
    padding: dict[str, Any] = {"padding": True}
    if published:
        padding = {"padding": "max_length", "max_length": length, "truncation": True, "return_attention_mask": False}

    def step() -> dict:
        losses = []
        counter = FlopCounterMode(display=False) if count else None
        with counter or contextlib.nullcontext():
            for first in range(0, len(order), batch_size):
                part = [clips[index] for index in order[first : first + batch_size]]
                batch = extractor(part, sampling_rate=extractor.sampling_rate, return_tensors="pt", **padding)
                labels = torch.arange(len(part)) % network.config.num_labels
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    loss = network(**batch, labels=labels).loss
                loss.backward()
                stepper.step()
                stepper.zero_grad()
                losses.append(loss.item())
        return {"losses": losses} | ({"flops": counter.get_total_flops()} if counter else {})

    return step


def loading(model: str, file: str, threads: int, how: str) -> Callable[[], dict]:
    """Starts a process that loads a model and makes its first prediction; `how` is a key of `LOADED`."""
    code = LOADED[how] + _TELL_PEAK

    def step() -> dict:
        child = subprocess.run([sys.executable, "-c", code, model, file, str(threads)], capture_output=True, text=True)
        if child.returncode:
            raise RuntimeError(child.stderr[-500:])
        return {"peak_mb": float(child.stdout.split()[-1])}

    return step


_TELL_PEAK = """
from exhubert.benchmark.harness import peak_mb
print(peak_mb())
"""
_LOAD_PICKLE = """
import sys, torch
torch.set_num_threads(int(sys.argv[3]))
import soundfile
from exhubert import ExHuBERTConfig, ExHuBERTForSequenceClassification, default_feature_extractor
DRAW
config = ExHuBERTConfig.from_pretrained(sys.argv[1])
with drawing:
    model = ExHuBERTForSequenceClassification(config)
model.load_state_dict(torch.load(sys.argv[1] + "/pytorch_model.bin", weights_only=True))
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
inputs = default_feature_extractor(config)(samples, sampling_rate=rate, return_tensors="pt")
with torch.no_grad():
    model.eval()(inputs.input_values)
"""
# transformers 4.31, which the published code needs, skips its own weight initialisation but not torch's
_AS_PUBLISHED = """
from contextlib import nullcontext
drawing = nullcontext()
ExHuBERTForSequenceClassification._init_weights = lambda *_: None
"""
_WITHOUT_DRAWING = """
from transformers.initialization import no_init_weights
drawing = no_init_weights()
"""
_LOAD_OURS = """
import sys, torch
torch.set_num_threads(int(sys.argv[3]))
from exhubert.inference import load_pipeline, predict
predict(load_pipeline(sys.argv[1], device="cpu"), sys.argv[2])
"""
LOADED = {
    "published": _LOAD_PICKLE.replace("DRAW", _AS_PUBLISHED),
    "pickle": _LOAD_PICKLE.replace("DRAW", _WITHOUT_DRAWING),
    "ours": _LOAD_OURS,
}


def computing(model: str, threads: int, seconds: float = 3.0, clips: int = 1) -> Callable[[], dict]:
    """Runs one forward pass over a batch of `clips` clips of `seconds` each, without windows."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    network = load_classifier(model)
    use_kernels(network)
    values = torch.randn(clips, round(16_000 * seconds))

    @torch.inference_mode()
    def step() -> dict:
        network(values)
        return {}

    return step


def annotating(model: str, file: str, threads: int, times: int = 1) -> Callable[[], dict]:
    """Predicts one recording like `exhubert predict`, `times` times."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    classifier = load_pipeline(model, device="cpu")

    def step() -> dict:
        return {"seconds_of_audio": sum(predict(classifier, file).seconds for _ in range(times))}

    return step


def with_frozen_gates(model: ExHuBERTForSequenceClassification, **fields: Any) -> ExHuBERTForSequenceClassification:
    """Copy of a model that multiplies by its identity frozen gates, as the published class always does."""
    config = type(model.config)(**(model.config.to_dict() | {"frozen_gate": True} | fields))
    wider = type(model)(config)
    wider.load_state_dict(model.state_dict(), strict=False)
    return wider.eval()


def pickled(model: str, folder: Path) -> Path:
    """Saves a model in the format of the published repository: `config.json` and a pickle of the weights."""
    folder.mkdir()
    shutil.copyfile(Path(model) / "config.json", folder / "config.json")
    torch.save(load_classifier(model).state_dict(), folder / "pytorch_model.bin")
    return folder


def classes_of(probabilities: Sequence[Sequence[float]]) -> list[int]:
    """The most probable class of each recording."""
    return np.argmax(probabilities, axis=1).tolist()
