"""The parent's side of the speech worker: start it, send jobs, receive speech."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import numpy as np

from .rules import Utterance

_WORKER = Path(__file__).with_name("worker.py")


class SpeechEngine:
    """A worker process with a fresh speech engine, to be used as a context manager.

    The same jobs in the same order give the same samples; one job alone may not, because the engine keeps state.

    Attributes:
        name: of the engine.
        version: of the engine.
        rate: of the speech, Hz.

    Raises:
        RuntimeError: on entering, if no engine is installed; the message says how to install one.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.name = ""
        self.version = ""
        self.rate = 0

    def __enter__(self) -> SpeechEngine:
        self._process = subprocess.Popen([sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            hello = self._receive()
        except BaseException:
            self._close()
            raise
        self.name, self.version, self.rate = hello["engine"], hello["version"], hello["rate"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def say(self, voice: str, utterance: Utterance) -> np.ndarray:
        """Say one utterance.

        Args:
            voice: an espeak-ng language, such as ``de``.
            utterance: how to say it; its effects are the caller's to apply.

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
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._stopped() from None
        size = 2 * self._receive()["samples"]
        speech = self._process.stdout.read(size)
        if len(speech) < size:
            raise self._stopped()
        return np.frombuffer(speech, "<i2")

    def _receive(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise self._stopped()
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _stopped(self) -> RuntimeError:
        return RuntimeError(
            f"The speech worker stopped before it had answered (exit code {self._process.wait()}). What it printed is "
            "above; run the same command again to go on from the last complete language."
        )

    def _close(self) -> None:
        process = self._process
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdout.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
