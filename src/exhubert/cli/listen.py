"""`exhubert listen`: classifies a live stream, window by window, from the microphone or from standard input."""

import argparse
import io
import json
import queue
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from .options import add_channel_option, add_window_options, window_settings

_SAMPLE_TYPES = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "u8": "u1"}
_TELEPHONE = {"ulaw": "ULAW", "alaw": "ALAW"}  # G.711, a byte per sample at 8 kHz; soundfile's names
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
    command.add_argument("--pcm", default="s16le", choices=[*_SAMPLE_TYPES, *_TELEPHONE], help="sample format of stdin")
    command.add_argument(
        "--sampling_rate",
        type=int,
        help="rate of stdin, or to record with, in Hz; by default 16000, for ulaw and alaw 8000",
    )
    command.add_argument("--pcm_channels", type=int, default=1, help="number of channels of stdin, interleaved")
    command.add_argument("--format", default="table", choices=["table", "jsonl"])
    add_window_options(command)
    add_channel_option(command)
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest one available")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints each window as soon as it is classified; returns 0, also after Ctrl-C.

    Raises:
        ValueError, OSError, RuntimeError: An option, the model or the stream is wrong.
    """
    from transformers.utils import logging

    from ..inference.recordings import follow, follow_channels, load_pipeline

    microphone = options.source == "microphone"
    if options.sampling_rate is None:
        options.sampling_rate = 8_000 if options.pcm in _TELEPHONE and not microphone else 16_000
    if options.sampling_rate < 1 or options.pcm_channels < 1:
        raise ValueError("--sampling_rate and --pcm_channels must be at least 1.")
    channels = 1 if microphone else options.pcm_channels
    if isinstance(options.channel, int) and options.channel >= channels:
        where = "the microphone has one channel" if microphone else f"standard input has {channels} (--pcm_channels)"
        raise ValueError(f"--channels {options.channel} is a channel counted from 0, but {where}.")
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
        else pcm_blocks(sys.stdin.buffer, options.pcm, options.sampling_rate, channels)
    )
    if options.channel == "each":
        windows = follow_channels(classifier, blocks, options.sampling_rate, **window_settings(options))
    else:
        settings = window_settings(options) | {"channel": options.channel}
        one = follow(classifier, blocks, options.sampling_rate, **settings)
        windows = ((options.channel, window) for window in one)
    try:
        for channel, window in windows:
            if options.format == "jsonl":
                row = window.to_dict() | ({} if window.regression else {"label": window.label})
                row = row if channel is None else {"channel": channel} | row
                print(json.dumps(row, ensure_ascii=False), flush=True)
            else:
                share = "" if window.probability is None else f"{window.probability:.2f}"
                number = "" if channel is None else f"channel {channel}  "
                print(f"{number}{window.start:8.2f} to {window.end:8.2f}  {window.caption:13}  {share}", flush=True)
    except KeyboardInterrupt:
        pass
    return 0


def pcm_blocks(stream: BinaryIO, pcm: str, sampling_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks `(channels, samples)` of raw PCM or G.711, as soon as they arrive."""
    dtype = np.dtype(_SAMPLE_TYPES.get(pcm, "u1"))
    frame = dtype.itemsize * channels
    rest = b""
    size = max(frame, round(_BLOCK_SECONDS * sampling_rate) * frame)
    while content := stream.read1(size):  # type: ignore[attr-defined]
        content = rest + content
        whole = len(content) // frame * frame
        rest = content[whole:]
        if whole:
            if pcm in _TELEPHONE:
                values = _g711(content[:whole], _TELEPHONE[pcm])
            else:
                values = np.frombuffer(content[:whole], dtype=dtype)
            yield values.reshape(-1, channels).T
    if rest:
        print(f"exhubert: the stream ended in the middle of a sample; {len(rest)} bytes are left out.", file=sys.stderr)


def _g711(content: bytes, subtype: str) -> np.ndarray:
    """Samples `(bytes,)` in float32, full scale 1; `subtype` is `ULAW` or `ALAW`."""
    import soundfile

    samples, _ = soundfile.read(
        io.BytesIO(content), dtype="float32", format="RAW", subtype=subtype, samplerate=8_000, channels=1
    )
    return samples


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
