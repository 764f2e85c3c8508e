"""Classifies recordings: one, many, or a live stream, with the pipeline of transformers."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..audio import AudioError, AudioSource, source_name
from ..conversion.loading import feature_extractor_of, load_classifier
from ..conversion.session import OnnxModel, is_exported
from ..cpu import round_layers, use_kernels
from ..labels import SIX_CLASSES, names_by_index
from ..pipeline_exhubert import ExHuBERTPipeline
from .prediction import Prediction, Window, marginals

_FILES_AT_ONCE = 4


def load_pipeline(
    model: str | Path,
    device: str | int | None = None,
    dtype: str | torch.dtype = "float32",
    backend: str | None = None,
    kernels: str = "auto",
) -> ExHuBERTPipeline:
    """The pipeline for the model in a folder or hub id, after checks that `pipeline("audio-classification")` lacks.

    Args:
        model: Folder or hub id.
        device: Such as `cpu` or `cuda:0`; by default the fastest there is.
        dtype: Of the encoder's linear layers, see [`exhubert.cpu.round_layers`]: `float32`, `bfloat16`, `float16`.
        backend: `torch`, or `onnx` for a folder that `exhubert export` wrote; by default what the folder holds.
        kernels: Of the backend `torch` on a processor, see [`exhubert.cpu.use_kernels`].

    Raises:
        ValueError: It has no head, is in the published layout, or predicts a number; or there are no such kernels.
        RuntimeError: It is incomplete.
        OSError: It can't be read or reached.
    """
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    found = "onnx" if is_exported(model) else "torch"
    if (backend or found) != found:
        way = "give the folder it was exported from" if found == "onnx" else f"run `exhubert export {model} OUT` first"
        raise ValueError(f"The backend is {backend}, but {model} is a model for {found}; {way}.")
    if found == "onnx" and (dtype != torch.float32 or device not in (None, -1, "cpu")):
        raise ValueError(f"{model} is an ONNX model: it runs on the processor in the precision it was exported in.")
    network = load_classifier(model)
    if found == "onnx":
        device = "cpu"
    else:
        round_layers(network, dtype)
    if network.config.num_labels == 1:
        raise ValueError(f"{model} predicts one number, not classes; call the model itself for its output.")
    extractor = feature_extractor_of(model, network.config)
    try:
        pipeline = ExHuBERTPipeline(network, feature_extractor=extractor, task="audio-classification", device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"The device {device} can't be used ({error}); try cpu.") from error
    if found == "torch":
        use_kernels(network, kernels)
    return pipeline


def predict(classifier: ExHuBERTPipeline, source: AudioSource, **options: Any) -> Prediction:
    """Classifies one recording of any rate, channel count and length.

    A recording longer than the window the model was trained on is cut into windows of that, and their logits are
    averaged, as in evaluation.

    Args:
        classifier: From `load_pipeline`.
        source: Path, bytes or open file, or whatever else `ExHuBERTPipeline` takes.
        **options: `window_s`, `hop_s`, `skip_silence` and `batch_size` of `ExHuBERTPipeline`.

    Raises:
        AudioError: The recording can't be used; the message says why.
    """
    return _prediction(classifier, source_name(source), classifier(source, timeline=True, **options))


def _prediction(classifier: ExHuBERTPipeline, name: str, found: dict[str, Any]) -> Prediction:
    """What the pipeline found of one recording, with its marginals."""
    names = names_by_index(classifier.model.config.id2label)
    scores = {item["label"]: item["score"] for item in found["scores"]}
    ordered = {name: scores[name] for name in names}
    windows = [Window(**window) for window in found["windows"]]
    label = max(ordered, key=ordered.__getitem__)
    arousal, valence = marginals(ordered) if set(names) == set(SIX_CLASSES) else (None, None)
    return Prediction(name, label, ordered, arousal, valence, found["seconds"], windows)


@torch.inference_mode()
def embed(classifier: ExHuBERTPipeline, source: Any, window_s: float | None = None) -> np.ndarray:
    """The mean over frames of the last hidden state, before the head: `(hidden,)`, float32.

    A recording longer than a window is embedded window by window, and the windows' means are averaged.

    Args:
        classifier: From `load_pipeline`.
        source: As in `predict`, or whatever else `ExHuBERTPipeline` takes.
        window_s: Length of a window in seconds; by default that of the model's training.

    Raises:
        AudioError: As in `predict`.
    """
    model: Any = classifier.model
    means = []
    for window in classifier.preprocess(source, window_s=window_s):
        inputs = {key: window[key].to(classifier.device) for key in ("input_values", "attention_mask") if key in window}
        if isinstance(model, OnnxModel):
            means.append(model(**inputs).embedding[0])
        else:
            means.append(model.base_model(**inputs).last_hidden_state.float().mean(dim=1)[0])
    return torch.stack(means).mean(dim=0).cpu().numpy()


def follow(
    classifier: ExHuBERTPipeline, blocks: Iterable[np.ndarray], sampling_rate: int, **options: Any
) -> Iterator[Window]:
    """Classifies a live stream: each window as soon as it has been heard, the same as for a file.

    Args:
        classifier: From `load_pipeline`.
        blocks: Samples `(samples,)` or `(channels, samples)` as they come, in float or as integer PCM.
        sampling_rate: Of the stream in Hz.
        **options: `window_s`, `hop_s` and `skip_silence` of `ExHuBERTPipeline`.

    Yields:
        The windows in order. The last one ends with the stream; silent ones come without scores.

    Raises:
        AudioError: The stream holds NaN, or is too short for one frame of the model.
    """
    for window in classifier.preprocess({"stream": blocks, "sampling_rate": sampling_rate}, **options):
        if window["silent"]:
            yield Window(window["start"], window["end"], True, None)
        else:
            found = classifier.postprocess([classifier.forward(window)], timeline=True)
            yield Window(**found["windows"][0])


def predict_all(
    classifier: ExHuBERTPipeline,
    files: Iterable[str | Path],
    batch_size: int = 1,
    workers: int = 1,
    **options: Any,
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """Classifies files in order; one that can't be used gives its `AudioError` instead, and the next goes on.

    Args:
        classifier: From `load_pipeline`.
        files: Their paths.
        batch_size: Windows at a time, also of different recordings. They are grouped by length, so that little is
            padded, and nothing where the model would hear it.
        workers: Threads that read and classify, each a part of the processor. They share the model.
        **options: `window_s`, `hop_s` and `skip_silence` of `ExHuBERTPipeline`.

    Yields:
        The file and what was found.
    """
    names = map(str, files)
    groups = iter(lambda: list(islice(names, 1 if batch_size == 1 else _FILES_AT_ONCE * batch_size)), [])
    if workers == 1:
        for group in groups:
            yield from _predict_group(classifier, group, batch_size, options)
        return

    def work(group: list[str]) -> list[tuple[str, Prediction | AudioError]]:
        return list(_predict_group(classifier, group, batch_size, options))

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // workers))
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: deque[Future] = deque()
        for group in groups:
            waiting.append(pool.submit(work, group))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _predict_group(
    classifier: ExHuBERTPipeline, files: Sequence[str], batch_size: int, options: dict[str, Any]
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """Classifies a few files, their windows in common batches, and then gives the results."""
    results: list[tuple[str, list[dict[str, Any]] | AudioError]] = []
    queue: list[dict[str, Any]] = []
    for file in files:
        windows: list[dict[str, Any]] = []
        found: list[dict[str, Any]] | AudioError = windows
        try:
            for window in classifier.preprocess(file, **options):
                windows.append(window)
                queue.append(window)
                if len(queue) >= _FILES_AT_ONCE * batch_size:
                    _classify(classifier, queue, batch_size)
                    queue.clear()
        except AudioError as error:
            found = error
        except OSError as error:
            found = AudioError(f"{file}: {error.strerror or error}.")
        results.append((file, found))
    _classify(classifier, queue, batch_size)
    for file, found in results:
        if isinstance(found, AudioError):
            yield file, found
        else:
            yield file, _prediction(classifier, file, classifier.postprocess(found, timeline=True))


def _classify(classifier: ExHuBERTPipeline, windows: list[dict[str, Any]], batch_size: int) -> None:
    """Puts its `logits` into each window, and takes its samples out."""
    windows = sorted(windows, key=lambda window: window["samples"])
    for first in range(0, len(windows), batch_size):
        part = windows[first : first + batch_size]
        inputs: dict[str, Any] = {
            key: pad_sequence([window.pop(key)[0] for window in part], batch_first=True)
            for key in ("input_values", "attention_mask")
            if key in part[0]
        }
        logits = classifier.forward(inputs | {"samples": [window["samples"] for window in part]})["logits"]
        for window, row in zip(part, logits, strict=True):
            window["logits"] = row
