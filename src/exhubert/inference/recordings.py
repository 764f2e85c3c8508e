"""Predicts the emotion of one recording, many recordings or a live stream with [`ExHuBERTPipeline`]."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import HubertConfig

from ..audio import AudioError, AudioSource, count_channels, rereadable, source_name
from ..audio_windows import SKIP_SILENCE
from ..configuration_exhubert import is_multi_label, is_regression
from ..conversion.loading import feature_extractor_of, load_classifier
from ..conversion.session import OnnxModel, is_exported
from ..cpu import round_layers, use_kernels
from ..devices import choose_device
from ..labels import SIX_CLASSES, names_by_index
from ..pipeline_exhubert import ExHuBERTPipeline, channels_of
from .prediction import Prediction, Window, marginals

EACH = "each"  # value of `channel` for one result per channel
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
        device: Such as `cpu` or `cuda:0`; by default the fastest one available, see [`exhubert.devices.choose_device`].
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
    chosen = torch.device("cpu") if kind == "onnx" else choose_device(device)
    network = load_classifier(model)
    if kind == "torch":
        round_layers(network, dtype)
    extractor = feature_extractor_of(model, network.config)
    pipeline = ExHuBERTPipeline(network, feature_extractor=extractor, task="audio-classification", device=chosen)
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
        **options: `window_s`, `hop_s`, `skip_silence`, `channel` and `batch_size` of `ExHuBERTPipeline`.

    Raises:
        AudioError: The recording can't be used; the message says why.
    """
    result = classifier(source, timeline=True, **options)
    channel = options.get("channel")
    return _prediction(classifier, source_name(source), result, None if channel is None else int(channel))


def predict_channels(classifier: ExHuBERTPipeline, source: AudioSource, **options: Any) -> list[Prediction]:
    """Classifies each channel of a recording by itself, such as the speakers of a telephone call.

    Each channel is read in a pass of its own, so that memory use doesn't grow with the length of the recording.

    Args:
        classifier: From `load_pipeline`.
        source: As in `predict`, except for a stream.
        **options: As in `predict`, without `channel`.

    Returns:
        A prediction for each channel, with its index in `channel`.

    Raises:
        AudioError: As in `predict`.
    """
    source = rereadable(source) if hasattr(source, "read") else source
    return [predict(classifier, source, channel=index, **options) for index in range(channels_of(source))]


def _prediction(
    classifier: ExHuBERTPipeline, name: str, result: dict[str, Any], channel: int | None = None
) -> Prediction:
    """Builds a `Prediction`, with its marginals, from the pipeline's result for one recording."""
    config = classifier.model.config
    names, regression = tuple(names_by_index(config.id2label)), is_regression(config)
    seconds, windows = result["seconds"], [Window(**window, regression=regression) for window in result["windows"]]
    if result["silent"]:
        return Prediction(name, None, None, None, None, seconds, windows, channel, True, names, regression)
    by_name = {item["label"]: item["score"] for item in result["scores"]}
    scores = {name: by_name[name] for name in names}
    label = None if regression else max(scores, key=scores.__getitem__)
    arousal, valence = marginals(scores) if has_marginals(config) else (None, None)
    return Prediction(name, label, scores, arousal, valence, seconds, windows, channel, False, names, regression)


def has_marginals(config: HubertConfig) -> bool:
    """Whether the outputs are probabilities of the six classes that sum to one, and so give arousal and valence."""
    six = set(names_by_index(config.id2label)) == set(SIX_CLASSES)
    return six and not is_regression(config) and not is_multi_label(config)


@torch.inference_mode()
def embed(
    classifier: ExHuBERTPipeline,
    source: Any,
    window_s: float | None = None,
    skip_silence: bool = SKIP_SILENCE,
    channel: int | None = None,
) -> np.ndarray:
    """Embeds a recording: the mean over frames of the last hidden state, before the head, `(hidden,)`, float32.

    A recording longer than a window is embedded window by window, and the means of the windows that aren't silent are
    averaged.

    Args:
        classifier: From `load_pipeline`.
        source: As in `predict`.
        window_s: Length of a window in seconds; by default as in the model's training.
        skip_silence: As in `ExHuBERTPipeline`.
        channel: As in `ExHuBERTPipeline`.

    Raises:
        AudioError: As in `predict`, or the recording is silent throughout, so that there is nothing to average.
    """
    model: Any = classifier.model
    means = []
    for window in classifier.preprocess(source, window_s=window_s, skip_silence=skip_silence, channel=channel):
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
        **options: `window_s`, `hop_s`, `skip_silence` and `channel` of `ExHuBERTPipeline`.

    Yields:
        The windows in order. The last one ends with the stream; silent ones have no scores. Of several channels that
        are mixed, a window comes up to half a second late, see [`exhubert.audio.to_mono`].

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


def follow_channels(
    classifier: ExHuBERTPipeline, blocks: Iterable[np.ndarray], sampling_rate: int, **options: Any
) -> Iterator[tuple[int, Window]]:
    """Classifies each channel of a live stream by itself; the arguments and errors are those of [`follow`].

    Yields:
        The index of the channel, from 0, and its window; the windows of all channels at one time follow each other.
    """
    blocks = iter(blocks)
    first = next(blocks, np.zeros(0, dtype=np.float32))
    copies = tee(chain([first], blocks), len(first) if first.ndim == 2 else 1)
    streams = (follow(classifier, copy, sampling_rate, channel=index, **options) for index, copy in enumerate(copies))
    for windows in zip(*streams, strict=True):
        yield from enumerate(windows)


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
        batch_size: As in `predict_files`.
        workers: As in `predict_files`.
        **options: As in `predict_files`. With `channel="each"`, a file yields a prediction for each of its channels.

    Yields:
        The file, and its prediction or error.
    """
    for file, results in predict_files(classifier, files, batch_size, workers, **options):
        yield from ((file, result) for result in results)


def predict_files(
    classifier: ExHuBERTPipeline,
    files: Iterable[str | Path],
    batch_size: int = 1,
    workers: int = 1,
    **options: Any,
) -> Iterator[tuple[str, list[Prediction | AudioError]]]:
    """Classifies files in order, each as a whole or each of its channels.

    Args:
        classifier: From `load_pipeline`.
        files: Their paths.
        batch_size: Windows per batch, also across recordings. They are grouped by length, so that padding is short, and
            not padded at all if the model would see the padding.
        workers: Threads that read and classify. They share the model, and divide the CPU cores among them.
        **options: `window_s`, `hop_s`, `skip_silence` and `channel` of `ExHuBERTPipeline`; or `channel="each"`.

    Yields:
        The file, and its prediction, or those of its channels in order. An `AudioError` stands for a prediction that
        can't be made; if none can be made, for the same reason, it is the only result.
    """
    names = map(str, files)
    groups = iter(lambda: list(islice(names, 1 if batch_size == 1 else _FILES_AT_ONCE * batch_size)), [])
    if workers == 1:
        for group in groups:
            yield from _predict_group(classifier, group, batch_size, options)
        return

    def work(group: list[str]) -> list[tuple[str, list[Prediction | AudioError]]]:
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
) -> Iterator[tuple[str, list[Prediction | AudioError]]]:
    """Classifies a few files with their windows in shared batches, then yields the results."""
    results: list[tuple[str, dict[int | None, list[dict[str, Any]] | AudioError]]] = []
    queue: list[dict[str, Any]] = []
    channel = options.get("channel")
    for file in files:
        try:
            channels: Iterable[int | None] = range(count_channels(file)) if channel == EACH else [channel]
        except AudioError as error:
            results.append((file, {None: error}))
            continue
        windows = {
            index: _windows(classifier, file, queue, batch_size, options | {"channel": index}) for index in channels
        }
        results.append((file, windows))
    _classify(classifier, queue, batch_size)
    for file, parts in results:
        first, *others = parts.values()
        if isinstance(first, AudioError) and all(str(part) == str(first) for part in others):
            yield file, [first]
        else:
            yield file, [_result(classifier, file, index, windows) for index, windows in parts.items()]


def _windows(
    classifier: ExHuBERTPipeline, file: str, queue: list[dict[str, Any]], batch_size: int, options: dict[str, Any]
) -> list[dict[str, Any]] | AudioError:
    """Reads a file, and queues its windows for `_classify`; returns them, or why the file can't be used."""
    windows: list[dict[str, Any]] = []
    try:
        for window in classifier.preprocess(file, **options):
            windows.append(window)
            queue.append(window)
            if len(queue) >= _FILES_AT_ONCE * batch_size:
                _classify(classifier, queue, batch_size)
                queue.clear()
    except AudioError as error:
        return error
    except OSError as error:
        return AudioError(f"{file}: {error.strerror or error}.")
    return windows


def _result(
    classifier: ExHuBERTPipeline, file: str, channel: int | None, windows: list[dict[str, Any]] | AudioError
) -> Prediction | AudioError:
    if isinstance(windows, AudioError):
        return AudioError(f"{file}, channel {channel}: {str(windows).removeprefix(f'{file}: ')}")
    return _prediction(classifier, file, classifier.postprocess(windows, timeline=True), channel)


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
