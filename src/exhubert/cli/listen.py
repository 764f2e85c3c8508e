"""`exhubert listen`: classifies a live stream, window by window, from the microphone or from standard input."""

import argparse
import json
import queue
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from .options import add_window_options, window_settings

_SAMPLE_TYPES = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "u8": "u1"}
_BLOCK_SECONDS = 0.1


def add_command(commands) -> None:
    command = commands.add_parser(
        "listen",
        help="classify a live stream",
        description="Classifies the microphone, or raw PCM from standard input, window by window, until it "
        "ends or Ctrl-C stops it.",
    )
    command.add_argument("source", nargs="?", default="microphone", choices=["microphone", "-"], help="- is stdin")
    command.add_argument("--model", required=True, help="folder or hub id of an ExHuBERT")
    command.add_argument("--pcm", default="s16le", choices=list(_SAMPLE_TYPES), help="sample format of stdin")
    command.add_argument("--sampling_rate", type=int, default=16_000, help="rate of stdin, or to record with, in Hz")
    command.add_argument("--channels", type=int, default=1, help="channels of stdin, interleaved; they are mixed")
    command.add_argument("--format", default="table", choices=["table", "jsonl"])
    add_window_options(command)
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest one available")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints each window as soon as it is classified; returns 0, also after Ctrl-C.

    Raises:
        ValueError, OSError, RuntimeError: An option, the model or the stream is wrong.
    """
    from transformers.utils import logging

    from ..inference.recordings import follow, load_pipeline

    if options.sampling_rate < 1 or options.channels < 1:
        raise ValueError("--sampling_rate and --channels must be at least 1.")
    microphone = options.source == "microphone"
    if microphone:  # check it before the model, which may take a while to load
        device = _sound_device()
        try:
            device.check_input_settings(channels=1, samplerate=options.sampling_rate)
        except device.PortAudioError as error:
            raise ValueError(f"The microphone can't be used at {options.sampling_rate} Hz: {error}.") from error
    logging.disable_progress_bar()
    classifier = load_pipeline(options.model, options.device)
    blocks = (
        microphone_blocks(options.sampling_rate)
        if microphone
        else pcm_blocks(sys.stdin.buffer, options.pcm, options.sampling_rate, options.channels)
    )
    try:
        for window in follow(classifier, blocks, options.sampling_rate, **window_settings(options)):
            if options.format == "jsonl":
                row = window.to_dict() | ({} if window.regression else {"label": window.label})
                print(json.dumps(row, ensure_ascii=False), flush=True)
            else:
                share = "" if window.probability is None else f"{window.probability:.2f}"
                print(f"{window.start:8.2f} to {window.end:8.2f}  {window.caption:13}  {share}", flush=True)
    except KeyboardInterrupt:
        pass
    return 0


def pcm_blocks(stream: BinaryIO, pcm: str, sampling_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks `(channels, samples)` of raw PCM, as soon as they arrive."""
    dtype = np.dtype(_SAMPLE_TYPES[pcm])
    frame = dtype.itemsize * channels
    rest = b""
    size = max(frame, round(_BLOCK_SECONDS * sampling_rate) * frame)
    while content := stream.read1(size):  # type: ignore[attr-defined]
        content = rest + content
        whole = len(content) // frame * frame
        rest = content[whole:]
        if whole:
            yield np.frombuffer(content[:whole], dtype=dtype).reshape(-1, channels).T
    if rest:
        print(f"exhubert: the stream ended in the middle of a sample; {len(rest)} bytes are left out.", file=sys.stderr)


def microphone_blocks(sampling_rate: int) -> Iterator[np.ndarray]:
    """Endless blocks `(samples,)` from the microphone."""
    blocks: queue.Queue[np.ndarray] = queue.Queue()
    with _sound_device().InputStream(
        samplerate=sampling_rate,
        channels=1,
        blocksize=round(_BLOCK_SECONDS * sampling_rate),
        callback=lambda samples, *_: blocks.put(samples[:, 0].copy()),
    ):
        while True:
            yield blocks.get()


def _sound_device():
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise ValueError(
            f"Listening to the microphone needs sounddevice and PortAudio ({error}): "
            "pip install 'exhubert[microphone]', or give `-` and raw PCM on standard input."
        ) from error
    return sounddevice
