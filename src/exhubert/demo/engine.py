"""Client of the speech worker process: starts it, sends jobs and receives speech."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from .rules import Utterance

_WORKER = Path(__file__).with_name("worker.py")


class SpeechEngine:
    """A worker process with a fresh speech engine, to be used as a context manager.

    The same jobs in the same order give the same samples; one job alone may not, because the engine keeps state.

    Attributes:
        name: name of the engine.
        version: version of the engine.
        rate: sampling rate of the speech, Hz.

    Raises:
        RuntimeError: no engine is installed; the message says how to install one.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._jobs = self._process.stdin
        self._answers = self._process.stdout
        try:
            header = self._receive()
        except BaseException:
            self.close()
            raise
        self.name: str = header["engine"]
        self.version: str = header["version"]
        self.rate: int = header["rate"]

    def __enter__(self) -> SpeechEngine:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def say(self, voice: str, utterance: Utterance) -> np.ndarray:
        """Synthesise one utterance.

        Args:
            voice: an espeak-ng language, such as ``de``.
            utterance: the utterance; its effects are left to the caller.

        Returns:
            16-bit integers at ``self.rate`` Hz, shape ``(samples,)``.

        Raises:
            RuntimeError: the engine refused the job or stopped.
        """
        job = {
            "voice": voice,
            "variant": utterance.variant,
            "ssml": utterance.ssml,
            "rate": utterance.rate,
            "word_gap": utterance.word_gap,
        }
        try:
            self._jobs.write(json.dumps(job).encode() + b"\n")
            self._jobs.flush()
        except BrokenPipeError:
            raise self._stopped() from None
        size = 2 * self._receive()["samples"]
        speech = self._answers.read(size)
        if len(speech) < size:
            raise self._stopped()
        return np.frombuffer(speech, "<i2")

    def _receive(self) -> dict:
        line = self._answers.readline()
        if not line:
            raise self._stopped()
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _stopped(self) -> RuntimeError:
        return RuntimeError(
            f"The speech worker stopped before it answered (exit code {self._process.wait()}). Its output is above; "
            "run the same command again to continue after the last complete language."
        )

    def close(self) -> None:
        """Stop the worker process."""
        with suppress(BrokenPipeError):
            self._jobs.close()
        self._answers.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
