"""Predicts the emotion of one recording, many recordings or a live stream with [`ExHuBERTPipeline`]."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..audio import SKIP_SILENCE, AudioError, AudioSource, source_name
from ..configuration_exhubert import is_regression
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
    """Loads a model into an [`ExHuBERTPipeline`], with checks that `pipeline("audio-classification")` lacks.

    Args:
        model: Folder or hub id.
        device: Such as `cpu` or `cuda:0`; by default the fastest one available.
        dtype: Precision of the encoder's linear layers: `float32`, `bfloat16` or `float16`; see
            [`exhubert.cpu.round_layers`].
        backend: `torch`, or `onnx` for a folder that `exhubert export` wrote; by default the one that fits the folder.
        kernels: CPU kernels of the `torch` backend, see [`exhubert.cpu.use_kernels`].

    Raises:
        ValueError: The model has no head or is in the published layout, or an option doesn't fit it.
        RuntimeError: The model is incomplete.
        OSError: The model can't be read or reached.
    """
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    kind = "onnx" if is_exported(model) else "torch"
    if (backend or kind) != kind:
        hint = "give the folder it was exported from" if kind == "onnx" else f"run `exhubert export {model} OUT` first"
        raise ValueError(f"The backend is {backend}, but {model} is a model for {kind}; {hint}.")
    if kind == "onnx" and (dtype != torch.float32 or device not in (None, -1, "cpu")):
        raise ValueError(f"{model} is an ONNX model: it runs on the CPU in the precision it was exported in.")
    network = load_classifier(model)
    if kind == "onnx":
        device = "cpu"
    else:
        round_layers(network, dtype)
    extractor = feature_extractor_of(model, network.config)
    try:
        pipeline = ExHuBERTPipeline(network, feature_extractor=extractor, task="audio-classification", device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"The device {device} can't be used ({error}); try cpu.") from error
    if kind == "torch":
        use_kernels(network, kernels)
    return pipeline


def predict(classifier: ExHuBERTPipeline, source: AudioSource, **options: Any) -> Prediction:
    """Classifies one recording of any sampling rate, channel count and length.

    A recording longer than the window the model was trained on is cut into windows of that length, and the logits of
    those that aren't silent are averaged, as in evaluation. A recording that is silent throughout gets no class.

    Args:
        classifier: From `load_pipeline`.
        source: Path, bytes, open file, or any other input of `ExHuBERTPipeline`.
        **options: `window_s`, `hop_s`, `skip_silence` and `batch_size` of `ExHuBERTPipeline`.

    Raises:
        AudioError: The recording can't be used; the message says why.
    """
    return _prediction(classifier, source_name(source), classifier(source, timeline=True, **options))


def _prediction(classifier: ExHuBERTPipeline, name: str, result: dict[str, Any]) -> Prediction:
    """Builds a `Prediction`, with its marginals, from the pipeline's result for one recording."""
    config = classifier.model.config
    names, regression = tuple(names_by_index(config.id2label)), is_regression(config)
    seconds, windows = result["seconds"], [Window(**window, regression=regression) for window in result["windows"]]
    if result["silent"]:
        return Prediction(name, None, None, None, None, seconds, windows, True, names, regression)
    by_name = {item["label"]: item["score"] for item in result["scores"]}
    scores = {name: by_name[name] for name in names}
    label = None if regression else max(scores, key=scores.__getitem__)
    six = set(names) == set(SIX_CLASSES) and not regression
    arousal, valence = marginals(scores) if six else (None, None)
    return Prediction(name, label, scores, arousal, valence, seconds, windows, False, names, regression)


@torch.inference_mode()
def embed(
    classifier: ExHuBERTPipeline, source: Any, window_s: float | None = None, skip_silence: bool = SKIP_SILENCE
) -> np.ndarray:
    """Embeds a recording: the mean over frames of the last hidden state, before the head, `(hidden,)`, float32.

    A recording longer than a window is embedded window by window, and the means of the windows that aren't silent are
    averaged.

    Args:
        classifier: From `load_pipeline`.
        source: As in `predict`.
        window_s: Length of a window in seconds; by default as in the model's training.
        skip_silence: As in `ExHuBERTPipeline`.

    Raises:
        AudioError: As in `predict`, or the recording is silent throughout, so that there is nothing to average.
    """
    model: Any = classifier.model
    means = []
    for window in classifier.preprocess(source, window_s=window_s, skip_silence=skip_silence):
        if window["silent"]:
            continue
        inputs = {key: window[key].to(classifier.device) for key in ("input_values", "attention_mask") if key in window}
        if isinstance(model, OnnxModel):
            means.append(model(**inputs).embedding[0])
        else:
            means.append(model.base_model(**inputs).last_hidden_state.float().mean(dim=1)[0])
    if not means:
        raise AudioError(
            f"{source_name(source)}: the recording is silent, so it has no embedding; pass skip_silence=False for that "
            "of the silence."
        )
    return torch.stack(means).mean(dim=0).cpu().numpy()


def follow(
    classifier: ExHuBERTPipeline, blocks: Iterable[np.ndarray], sampling_rate: int, **options: Any
) -> Iterator[Window]:
    """Classifies a live stream window by window as it arrives, with the same results as for a file.

    Args:
        classifier: From `load_pipeline`.
        blocks: Samples `(samples,)` or `(channels, samples)` in order of arrival, as floats or integer PCM.
        sampling_rate: Sampling rate of the stream in Hz.
        **options: `window_s`, `hop_s` and `skip_silence` of `ExHuBERTPipeline`.

    Yields:
        The windows in order. The last one ends with the stream; silent ones have no scores.

    Raises:
        AudioError: The stream holds NaN, or is too short for one frame of the model.
    """
    regression = is_regression(classifier.model.config)
    for window in classifier.preprocess({"stream": blocks, "sampling_rate": sampling_rate}, **options):
        if window["silent"]:
            yield Window(window["start"], window["end"], True, None, regression)
        else:
            result = classifier.postprocess([classifier.forward(window)], timeline=True)
            yield Window(**result["windows"][0], regression=regression)


def predict_all(
    classifier: ExHuBERTPipeline,
    files: Iterable[str | Path],
    batch_size: int = 1,
    workers: int = 1,
    **options: Any,
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """Classifies files in order; a file that can't be used yields an `AudioError` instead of a prediction.

    Args:
        classifier: From `load_pipeline`.
        files: Their paths.
        batch_size: Windows per batch, also across recordings. They are grouped by length, so that padding is short, and
            not padded at all if the model would see the padding.
        workers: Threads that read and classify. They share the model, and divide the CPU cores among them.
        **options: `window_s`, `hop_s` and `skip_silence` of `ExHuBERTPipeline`.

    Yields:
        The file, and its prediction or error.
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
    """Classifies a few files with their windows in shared batches, then yields the results."""
    results: list[tuple[str, list[dict[str, Any]] | AudioError]] = []
    queue: list[dict[str, Any]] = []
    for file in files:
        windows: list[dict[str, Any]] = []
        result: list[dict[str, Any]] | AudioError = windows
        try:
            for window in classifier.preprocess(file, **options):
                windows.append(window)
                queue.append(window)
                if len(queue) >= _FILES_AT_ONCE * batch_size:
                    _classify(classifier, queue, batch_size)
                    queue.clear()
        except AudioError as error:
            result = error
        except OSError as error:
            result = AudioError(f"{file}: {error.strerror or error}.")
        results.append((file, result))
    _classify(classifier, queue, batch_size)
    for file, result in results:
        if isinstance(result, AudioError):
            yield file, result
        else:
            yield file, _prediction(classifier, file, classifier.postprocess(result, timeline=True))


def _classify(classifier: ExHuBERTPipeline, windows: list[dict[str, Any]], batch_size: int) -> None:
    """Adds `logits` to each window, and removes its model inputs."""
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
