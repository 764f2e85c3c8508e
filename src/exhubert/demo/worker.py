"""Speech worker: a separate process that reads JSON jobs and answers with raw speech from espeak-ng.

It is started by file path and imports nothing from the package, for three reasons: espeak-ng is GPL software that the
library itself must not load, the engine keeps state between utterances (only a fresh process that receives its jobs in
a fixed order is reproducible), and its start must not include the slow import of torch.

Protocol, over stdin and stdout:
    first line out   ``{"engine": "espeak-ng", "version": "1.52.0", "rate": 22050}``
    each line in     ``{"voice": "de", "variant": "pitch 80 120\\n", "ssml": "<speak>...", "rate": 170, "word_gap": 0}``
    each answer      ``{"samples": n}`` as a line, then n little-endian 16-bit samples
    on failure       ``{"error": "..."}`` as a line instead, and exit code 1
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

LIBRARY_VARIABLE = "EXHUBERT_ESPEAK_LIBRARY"

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT_ON_ERROR = 0x8000
_UTF8 = 0x01
_SSML = 0x10
_PARAMETER_RATE = 1
_PARAMETER_VOLUME = 2
_PARAMETER_WORD_GAP = 7
# Loud variants clip inside the engine at its default volume of 100.
_VOLUME = 50
_VARIANT = "exhubert"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EngineError(RuntimeError):
    """No usable speech engine, or the engine refused a job."""


def _candidates() -> list[tuple[str, str | None]]:
    """Libraries to try, best first, each with its data folder if that is known."""
    chosen = os.environ.get(LIBRARY_VARIABLE)
    if chosen:
        return [(chosen, None)]
    libraries: list[tuple[str, str | None]] = []
    try:
        import espeakng_loader

        libraries.append((espeakng_loader.get_library_path(), espeakng_loader.get_data_path()))
    except (ImportError, RuntimeError):
        pass
    system = ctypes.util.find_library("espeak-ng")
    if system:
        libraries.append((system, None))
    return libraries


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_Info.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
    library.espeak_Info.restype = ctypes.c_char_p
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return library


def _data_folder(library: ctypes.CDLL) -> str:
    """Ask a system library for its data folder, which is known only after initialisation."""
    if library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, None, _DONT_EXIT_ON_ERROR) <= 0:
        raise OSError("the library found no espeak-ng-data folder")
    folder = ctypes.c_char_p()
    library.espeak_Info(ctypes.byref(folder))
    return os.fsdecode(folder.value or b"")


def _load() -> tuple[ctypes.CDLL, str]:
    """Load the first library that works.

    Returns:
        The library and the path of its ``espeak-ng-data`` folder.

    Raises:
        EngineError: no candidate could be loaded.
    """
    failures = []
    for path, data in _candidates():
        try:
            library = _declare(ctypes.CDLL(path))
            return library, data or _data_folder(library)
        except (OSError, AttributeError) as error:
            failures.append(f"{path}: {error}")
    reasons = "; ".join(failures) or "neither the Python package espeakng-loader nor a system libespeak-ng is installed"
    raise EngineError(
        f"The demo corpus needs the speech engine espeak-ng, and none could be loaded ({reasons}). Install it with "
        "`pip install 'exhubert[demo]'`, or install espeak-ng with the system's package manager; "
        f"the environment variable {LIBRARY_VARIABLE} may name the library file."
    )


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        # Windows allows symbolic links only to privileged users.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


class Engine:
    """espeak-ng with a private data folder, in which the voice variant is rewritten for each utterance.

    Args:
        folder: empty folder for the data links and the variant file; it must outlive the engine.

    Raises:
        EngineError: no engine can be loaded or it rejects its data.
    """

    def __init__(self, folder: Path):
        self._library, data = _load()
        for entry in sorted(Path(data).iterdir()):
            if entry.name != "voices":
                _link(entry, folder / entry.name)
        variants = folder / "voices" / "!v"
        variants.mkdir(parents=True)
        self._variant = variants / _VARIANT
        self.rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(folder), _DONT_EXIT_ON_ERROR
        )
        if self.rate <= 0:
            raise EngineError(f"espeak-ng found no usable data in {data}; reinstall `exhubert[demo]` or espeak-ng.")
        self.version = self._library.espeak_Info(None).decode().split()[0]
        self._chunks: list[bytes] = []
        # The engine keeps only the address, so the callback object has to stay alive here.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count: int, _events) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, job: dict) -> bytes:
        """Synthesise the speech of one job.

        Args:
            job: ``voice`` (espeak language), ``variant`` (text of a voice variant file), ``ssml``, ``rate``
                (words per minute), ``word_gap`` (units of 10 ms).

        Returns:
            16-bit mono samples at ``self.rate`` Hz in the byte order of the machine.

        Raises:
            EngineError: the engine doesn't know the voice or refuses the text.
        """
        self._variant.write_text(f"language variant\nname {_VARIANT}\n{job['variant']}", encoding="utf-8")
        if self._library.espeak_SetVoiceByName(f"{job['voice']}+{_VARIANT}".encode()) != 0:
            raise EngineError(f"espeak-ng {self.version} has no voice for {job['voice']!r}; install espeak-ng >= 1.51.")
        for parameter, value in (
            (_PARAMETER_RATE, job["rate"]),
            (_PARAMETER_VOLUME, _VOLUME),
            (_PARAMETER_WORD_GAP, job["word_gap"]),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        text = job["ssml"].encode()
        if self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8 | _SSML, None, None) != 0:
            raise EngineError(f"espeak-ng {self.version} refused the text {job['ssml']!r}.")
        return b"".join(self._chunks)


def _answer(stream: BinaryIO, header: dict, payload: bytes = b"") -> None:
    stream.write(json.dumps(header).encode() + b"\n" + payload)
    stream.flush()


def _little_endian(samples: bytes) -> bytes:
    if sys.byteorder == "little":
        return samples
    import array

    swapped = array.array("h", samples)
    swapped.byteswap()
    return swapped.tobytes()


def serve(jobs: BinaryIO, answers: BinaryIO) -> int:
    """Answer jobs until ``jobs`` ends; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="exhubert-voices-") as folder:
        try:
            engine = Engine(Path(folder))
        except EngineError as error:
            _answer(answers, {"error": str(error)})
            return 1
        _answer(answers, {"engine": "espeak-ng", "version": engine.version, "rate": engine.rate})
        for line in jobs:
            try:
                speech = _little_endian(engine.speak(json.loads(line)))
            except EngineError as error:
                _answer(answers, {"error": str(error)})
                return 1
            _answer(answers, {"samples": len(speech) // 2}, speech)
    return 0


if __name__ == "__main__":
    # Ctrl-C reaches this process too, but it should end, and clean up, when the parent closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Output that a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.exit(serve(sys.stdin.buffer, answers))
