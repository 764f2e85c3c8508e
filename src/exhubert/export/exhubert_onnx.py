"""Runs an exported speech emotion model with onnxruntime and numpy alone: no torch, no transformers.

    python exhubert_onnx.py [--keep_silence] RECORDING.wav ...

Prints for each recording its most probable class with the probability, the outputs of a regression model by name, or
`silent`. Windows without a sound above -60 dB of full scale are left out, unless --keep_silence is given.

This file is part of every exported folder, next to `model.onnx`, and needs nothing else from the project.
"""

import json
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime


class OnnxClassifier:
    """An exported classifier.

    Attributes:
        labels: Names of the classes, or of the outputs of a regression model, in logit order.
        sampling_rate: Sampling rate that recordings must have, in Hz.
        window: Length in samples of the windows that longer recordings are cut into.
        temperature: Divisor of the logits before the softmax.
        several_labels: Whether the model is multi-label.
        regression: Whether the model is a regression model.

    Args:
        folder: Folder with `model.onnx`, `config.json` and `preprocessor_config.json`.
        threads: Number of CPU threads; by default the number of cores.

    Raises:
        FileNotFoundError: One of these files is missing.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, threads: int | None = None):
        config, preprocessor = (
            json.loads((Path(folder) / name).read_text(encoding="utf-8"))
            for name in ("config.json", "preprocessor_config.json")
        )
        names = {int(index): name for index, name in config["id2label"].items()}
        self.labels: list[str] = [names[index] for index in sorted(names)]
        self.sampling_rate: int = preprocessor["sampling_rate"]
        self.window = round((config.get("window_seconds") or 3.0) * self.sampling_rate)
        self.temperature: float = config.get("logit_temperature") or 1.0
        self.several_labels = config.get("problem_type") == "multi_label_classification"
        self.regression = config.get("problem_type") == "regression" or (
            config.get("problem_type") is None and len(self.labels) == 1
        )
        self._normalise: bool = preprocessor["do_normalize"]
        self._masks_padding: bool = preprocessor["return_attention_mask"] and config.get("feat_extract_norm") != "group"
        self._min_samples = 1
        for kernel, stride in zip(reversed(config["conv_kernel"]), reversed(config["conv_stride"]), strict=True):
            self._min_samples = (self._min_samples - 1) * stride + kernel
        options = onnxruntime.SessionOptions()
        if threads:
            options.intra_op_num_threads = threads
        path = Path(folder) / "model.onnx"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file; export a model with `exhubert export`.")
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, samples: np.ndarray, skip_silence: bool = True) -> dict[str, float] | None:
        """Classifies one recording of any length: the probability of each class, or each output of a regression model.

        Args:
            samples: `(samples,)`, mono, at `sampling_rate`, from -1 to 1.
            skip_silence: Whether to leave out windows without a sound above -60 dB of full scale.

        Returns:
            The scores by name; None for a recording that is silent throughout.

        Raises:
            ValueError: The recording isn't mono, is too short for one frame, or holds NaN or infinite samples.
        """
        windows = self._heard(samples, skip_silence)
        if not windows:
            return None
        logits = np.mean([self.run([window])[0][0] for window in windows], axis=0)
        return dict(zip(self.labels, self._scores(logits).tolist(), strict=True))

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        if self.regression:
            return logits
        logits = logits / self.temperature
        if self.several_labels:
            return 1 / (1 + np.exp(-logits))
        scores = np.exp(logits - logits.max())
        return scores / scores.sum()

    def embed(self, samples: np.ndarray, skip_silence: bool = True) -> np.ndarray:
        """The mean over frames of the last hidden state, averaged over the windows that count: `(hidden,)`.

        Raises:
            ValueError: As above, or the recording is silent throughout.
        """
        windows = self._heard(samples, skip_silence)
        if not windows:
            raise ValueError("The recording is silent, so it has no embedding; see skip_silence.")
        return np.mean([self.run([window])[1][0] for window in windows], axis=0)

    def _heard(self, samples: np.ndarray, skip_silence: bool) -> list[np.ndarray]:
        """The windows that count."""
        windows = self.windows(np.asarray(samples))
        for window in windows:
            self._check(window)
        return [window for window in windows if not (skip_silence and is_silent(window, self.sampling_rate))]

    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        """Consecutive windows of equal length; the last one ends with the recording, so it may overlap."""
        last = len(samples) - self.window
        if last <= 0:
            return [samples]
        starts = [*range(0, last, self.window), last]
        return [samples[start : start + self.window] for start in starts]

    def run(self, clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Logits `(clips, classes)` and embeddings `(clips, hidden)` of clips `(samples,)`, padded to the longest.

        Raises:
            ValueError: A clip isn't mono, is too short for one frame, or holds NaN or infinite samples, or clips differ
                in length and the model can't mask padding.
        """
        prepared = [np.asarray(clip, dtype=np.float32) for clip in clips]
        lengths = [len(clip) for clip in prepared]
        for clip in prepared:
            self._check(clip)
        if len(set(lengths)) > 1 and not self._masks_padding:
            raise ValueError("This model can't mask padding; give clips of equal length, or one at a time.")
        values = np.zeros((len(prepared), max(lengths)), dtype=np.float32)
        mask = np.zeros(values.shape, dtype=np.int64)
        for row, clip in enumerate(prepared):
            if self._normalise:
                clip = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
            values[row, : len(clip)] = clip
            mask[row, : len(clip)] = 1
        logits, embeddings = self.session.run(None, {"input_values": values, "attention_mask": mask})
        return logits, embeddings

    def _check(self, clip: np.ndarray) -> None:
        if clip.ndim != 1 or len(clip) < self._min_samples:
            raise ValueError(f"A clip has the shape {clip.shape}; expected ({self._min_samples} samples or more,).")
        if not np.isfinite(clip).all():
            raise ValueError("A clip holds NaN or infinite samples.")


def is_silent(samples: np.ndarray, rate: int) -> bool:
    """Whether no 50 ms of `(samples,)` hold a sound above -60 dB of full scale, apart from the recorder's offset.

    The same judgement as that of the package exhubert (`exhubert.audio_windows.is_silent`).
    """
    length = min(max(1, round(0.05 * rate)), len(samples))
    last = len(samples) - length
    frames = [samples[start : start + length] for start in [*range(0, last, max(1, length)), last]]
    return all((_without_offset(frame.astype(np.float64)) ** 2).mean() < 1e-6 for frame in frames if length)


def _without_offset(frame: np.ndarray) -> np.ndarray:
    """`(samples,)` without the mean and the line or step that fit it best by least squares: offset, drift or jump."""
    size = len(frame)
    frame = frame - frame.mean()
    if size < 3:
        return np.zeros_like(frame)
    index = np.arange(size)
    time = index - index.mean()
    line = (frame @ time) / (time @ time) * time
    before = index[1:]  # numbers of samples before each possible step
    sums = frame.cumsum()[:-1]  # of these samples; those after the step sum to minus that, for the mean is 0
    best = (sums**2 / (before * (size - before))).argmax()
    step = np.where(index <= best, sums[best] / (best + 1), -sums[best] / (size - best - 1))
    return frame - (line if (line**2).sum() >= (step**2).sum() else step)


def read_wav(path: str | Path) -> tuple[np.ndarray, int]:
    """Reads a PCM WAV of 16 or 32 bits: samples `(samples,)` from -1 to 1, channels mixed, and the rate in Hz.

    The mix is the mean of the channels. Every half second in which that would cancel the sound, as where one of two
    channels has inverted polarity, comes from its loudest channel instead.

    Raises:
        ValueError: The file has another format.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: not a PCM WAV ({error}).") from error
    if width not in (2, 4):
        raise ValueError(f"{path}: {8 * width} bits per sample; expected 16 or 32. Convert it first.")
    content = content[: len(content) // (width * channels) * width * channels]  # the header may promise more
    samples = np.frombuffer(content, dtype=f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
    if channels >= 5:
        raise ValueError(f"{path}: {channels} channels, maybe surround sound; expected at most 4. Convert it first.")
    return mix(samples.reshape(-1, channels), rate), rate


def mix(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mixes `(samples, channels)` as [`read_wav`] does, to `(samples,)`."""
    mixed = samples.mean(axis=1)
    step, width, louder, last = rate // 2, max(1, round(rate / 8000)), None, None
    for first in range(0, len(samples), step):
        part = samples[first : first + step].astype(np.float64)
        if len(part) >= 0.05 * rate:  # in less, even independent channels may cancel by chance
            # codecs keep no phase above the band of speech, so compare the channels at 8 kHz
            part = part[: len(part) // width * width].reshape(-1, width, part.shape[1]).mean(axis=1)
            mean = part.mean(axis=0)
            products = part.T @ part / len(part) - np.outer(mean, mean)
            energies = products.diagonal()
            if energies.sum() > 1e-12:  # else there is no sound
                if products.sum() >= 0.2 * energies.sum():
                    louder = None
                else:  # keep the channel that was heard last, if it is loud: a change of polarity would click
                    if last is None or 4 * energies[last] < energies.max():
                        last = int(np.argmax(energies >= energies.max() * (1 - 1e-9)))
                    louder = last
        if louder is not None:
            mixed[first : first + step] = samples[first : first + step, louder]
    return mixed


def main(paths: Sequence[str]) -> int:
    """Prints the result for each recording; returns 2 if some couldn't be used."""
    skip_silence = "--keep_silence" not in paths
    paths = [path for path in paths if path != "--keep_silence"]
    if not paths:
        print((__doc__ or "").strip())
        return 1
    classifier, failed = OnnxClassifier(), False
    for path in paths:
        try:
            samples, rate = read_wav(path)
            if rate != classifier.sampling_rate:
                raise ValueError(f"{path}: {rate} Hz; expected {classifier.sampling_rate} Hz. Resample it first.")
            scores = classifier(samples, skip_silence)
        except (ValueError, OSError) as error:
            message = str(error)
            print(message if str(path) in message else f"{path}: {message}", file=sys.stderr)
            failed = True
            continue
        if scores is None:
            print(f"{path}\tsilent")
        elif classifier.regression:
            print(path, *(f"{name} {value:.3f}" for name, value in scores.items()), sep="\t")
        else:
            label = max(scores, key=scores.__getitem__)
            print(f"{path}\t{label}\t{scores[label]:.3f}")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
