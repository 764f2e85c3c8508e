"""The web page of `exhubert app`: shows the emotion of a recording over time. Nothing leaves the machine."""

import contextlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..audio import AudioError, count_channels, stream_audio

if TYPE_CHECKING:
    import numpy as np

    from ..inference.prediction import Prediction
    from ..pipeline_exhubert import ExHuBERTPipeline

_SWEEP_S = 60
KEPT_S = 3600  # how long recordings and results stay in the temporary folder, so that a page can be read in peace
MAX_CHANNELS = 8  # channels of a recording that are shown one by one
WAITING = 20  # visitors in the queue; further ones are asked to come back later


@dataclass(frozen=True)
class Limits:
    """Limits on uploads, and how recordings are cut into windows.

    Attributes:
        max_mb: Largest file, in MB of 1024 * 1024 bytes.
        max_minutes: Longest recording, whatever its file size.
        window_s: Length of a window in seconds; by default as in the model's training.
        hop_s: Seconds from one window to the next; by default the window length.
    """

    max_mb: float = 50.0
    max_minutes: float = 60.0
    window_s: float | None = None
    hop_s: float | None = None

    def __post_init__(self):
        for name in ("max_mb", "max_minutes", "window_s", "hop_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name} is {value:g}, expected a number above 0.")


def serve(
    model: str | Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Serves the page for a model until the process is interrupted or terminated. Call it in the main thread.

    Uploads and results are stored in one temporary folder, which is removed at the end.

    Args:
        model: Folder or hub id.
        host: Address to listen on.
        port: By default the first free one from 7860.
        device: As in `exhubert.inference.load_pipeline`.
        limits: By default `Limits()`.

    Raises:
        RuntimeError: gradio isn't installed, or the model is incomplete.
        ValueError: The model or an option is wrong.
        OSError: The model can't be read, or the port is taken.
    """
    limits, stop = limits or Limits(), threading.Event()
    with _own_folder() as folder:
        try:
            import gradio
        except ImportError as error:
            raise RuntimeError("The web page needs gradio: pip install 'exhubert[app]'.") from error
        import numpy as np
        from transformers.utils import logging

        from ..inference.recordings import load_pipeline, predict

        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, lambda *_: stop.set())
        logging.disable_progress_bar()
        classifier = load_pipeline(model, device)
        noise: Any = {"stream": [np.random.default_rng(0).normal(0, 0.1, 16_000)], "sampling_rate": 16_000}
        predict(classifier, noise, window_s=limits.window_s, hop_s=limits.hop_s)  # wrong options must fail at once
        page = build(classifier, folder, limits, str(model))
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=round(limits.max_mb * 2**20),
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=_theme(gradio),
                head=f"<style>{_asset('app.css')}</style>",  # in `css`, gradio would rewrite its selectors
            )
            print(f"the page is at {address} (stop it with Ctrl+C)", flush=True)
            while not stop.wait(_SWEEP_S):
                remove_old(folder)
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for all temporary files of this process, including gradio's; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="exhubert-app-", ignore_cleanup_errors=True) as folder:
        variables = {"GRADIO_TEMP_DIR": folder, "MPLCONFIGDIR": folder}
        tempfile.tempdir = folder
        # GRADIO_TEMP_DIR is read while gradio is imported; matplotlib, which gradio loads, caches fonts in MPLCONFIGDIR
        os.environ |= variables
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = None
            for name in variables:
                os.environ.pop(name, None)


def build(classifier: "ExHuBERTPipeline", folder: Path, limits: Limits, model: str) -> Any:
    """Builds the page as gradio `Blocks`; the model classifies one recording at a time.

    Args:
        classifier: From `exhubert.inference.load_pipeline`.
        folder: Folder for results: gradio's temporary folder, the only one that it serves files from.
        limits: Limits on uploads.
        model: Model name to show.
    """
    import gradio

    from .drawing import message_html, note_html, title_html

    def analyse(upload: str | None, channel: int | str, progress=gradio.Progress()):  # noqa: B008 (gradio looks for it there)
        if upload is None:
            return gradio.skip(), None
        remove_old(folder)
        path = Path(upload)
        try:
            return result_of(classifier, path, folder, limits, progress, None if channel == "mix" else channel), None
        except AudioError as error:
            return message_html(re.sub(rf"^({re.escape(upload)}|stream)(?=:)", lambda _: path.name, str(error))), None

    with gradio.Blocks(title="Emotion in speech", analytics_enabled=False) as page:
        gradio.HTML(title_html(model), apply_default_css=False)
        channels = gradio.Dropdown(
            [
                ("All channels mixed", "mix"),
                ("Each channel by itself, such as the speakers of a call", "each"),
                *((f"Only channel {index}, counted from 0", index) for index in range(MAX_CHANNELS)),
            ],
            value="mix",
            label="Channels",
            elem_id="channels",
        )
        recording = gradio.Audio(
            type="filepath",
            sources=["upload", "microphone"],
            editable=False,
            buttons=[],  # one of them would share the recording on the Hub
            label="Recording",
            elem_id="recording",
        )
        gradio.HTML(note_html(limits.max_mb, limits.max_minutes, KEPT_S / 60), apply_default_css=False)
        result = gradio.HTML(js_on_load=_asset("app.js"), elem_id="result", min_height=80, apply_default_css=False)
        gradio.on(
            [recording.upload, recording.stop_recording],
            analyse,
            inputs=[recording, channels],
            outputs=[result, recording],
            show_progress_on=result,
            trigger_mode="multiple",
            concurrency_limit=1,
            api_visibility="private",
        )
    return page.queue(max_size=WAITING, api_open=False)


def result_of(
    classifier: "ExHuBERTPipeline",
    path: Path,
    folder: Path,
    limits: Limits,
    progress: Any = lambda *_, **__: None,
    channel: int | str | None = None,
) -> str:
    """Classifies a recording, writes a playable copy and the downloads to a new folder, and returns HTML.

    Args:
        classifier: From `exhubert.inference.load_pipeline`.
        path: The recording.
        folder: Parent of the new folder.
        limits: Limits on uploads.
        progress: Called with the finished fraction, from 0 to 1.
        channel: Index of the channel to classify, from 0; `each` for a result per channel; None for the mix.

    Raises:
        AudioError: The recording can't be used or is too long, or has too many channels to show each.
    """
    from ..inference.formats import csv_lines, textgrid
    from .drawing import Recording, result_html

    output = Path(tempfile.mkdtemp(prefix="result-", dir=folder))
    channels = range(count_channels(path)) if channel == "each" else [channel]
    if len(channels) > MAX_CHANNELS:
        raise AudioError(
            f"{path}: there are {len(channels)} channels, but at most {MAX_CHANNELS} are shown one by one. Choose one."
        )
    results = [_classified(classifier, path, output, limits, progress, one) for one in channels]
    predictions = [prediction for prediction, _, _ in results]
    table, tiers = output / f"{path.stem}.csv", output / f"{path.stem}.TextGrid"
    rows = (csv_lines(one, timeline=True, header=one is predictions[0]) for one in predictions)
    table.write_text("".join(rows), encoding="utf-8", newline="")
    tiers.write_text(textgrid(*predictions), encoding="utf-8", newline="")
    downloads = {"Download CSV": _address(table), "Download TextGrid": _address(tiers)}
    return "".join(
        result_html(prediction, Recording(path.name, peaks, _address(playback), downloads))
        for prediction, peaks, playback in results
    )


def _classified(
    classifier: "ExHuBERTPipeline", path: Path, output: Path, limits: Limits, progress: Any, channel: Any
) -> "tuple[Prediction, np.ndarray, Path]":
    """The prediction for one channel, or for the mix, its peaks, and a copy to play, written to `output`."""
    from ..inference.recordings import predict
    from .drawing import peaks_of

    rate = classifier.feature_extractor.sampling_rate
    playback = output / ("playback.wav" if channel is None else f"playback-{channel}.wav")
    progress(0.0, desc="Reading")
    peaks = peaks_of(_copy_blocks(path, rate, playback, limits.max_minutes, channel), rate)
    samples = max(1, (playback.stat().st_size - 44) // 2)

    def blocks() -> Iterator["np.ndarray"]:
        done = 0
        for block in stream_audio(path, rate, channel):
            yield block
            done += len(block)
            progress(min(done / samples, 1.0), desc="Listening")

    source: Any = {"stream": blocks(), "sampling_rate": rate}
    prediction = predict(classifier, source, window_s=limits.window_s, hop_s=limits.hop_s)
    return replace(prediction, file=path.name, channel=channel), peaks, playback


def _copy_blocks(path: Path, rate: int, copy: Path, max_minutes: float, channel: int | None) -> Iterator["np.ndarray"]:
    """Yields the blocks of a recording, and writes them to a WAV that any browser plays in time with the result."""
    import soundfile

    left = round(60 * max_minutes * rate)
    with soundfile.SoundFile(copy, "w", samplerate=rate, channels=1, subtype="PCM_16") as file:
        for block in stream_audio(path, rate, channel):
            left -= len(block)
            if left < 0:
                raise AudioError(f"{path}: the recording is longer than {max_minutes:g} minutes, the most taken here.")
            file.write(block)
            yield block


def remove_old(folder: Path) -> None:
    """Removes uploads and results that are older than `KEPT_S` seconds."""
    for path in folder.iterdir():
        if path.is_dir() and path.stat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def _theme(gradio: Any) -> Any:
    """A gradio theme with the colours of app.css, and fonts that every machine has."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return gradio.themes.Base(**fonts).set(
        body_background_fill="#f8f9fa",
        body_background_fill_dark="#0f1115",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171a21",
        block_border_color="#e3e5e9",
        block_border_color_dark="#2c313b",
    )


def _address(path: Path) -> str:
    """Address at which gradio serves a file of its temporary folder, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
