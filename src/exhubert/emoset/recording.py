"""Opens the recordings of records: files, and rows of tables."""

import hashlib
import io
import os
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..audio import AudioSource, read_audio
from .audio_rows import SAMPLE, hash_of_middle, hash_of_row, middle_hash_of_row, read_row, size_of_row
from .record import Record

_REMEMBERED = 2**14  # files


class _NamedBytes(io.BytesIO):
    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name  # which errors tell


def recording_name(record: Record) -> str:
    """Path of a record's recording for messages; that of a row is its file's, followed by its name or number."""
    return record.path if record.row is None else f"{record.path}/{record.name or record.row}"


def audio_source(record: Record) -> AudioSource:
    """Returns the recording of a record as `exhubert.audio` takes it: a path, or an open file with a row's content.

    Raises:
        AudioError: A row holds no recording, or its file can't be read.
    """
    if record.row is None:
        return record.file
    return _NamedBytes(read_row(record.file, _column(record), record.row), recording_name(record))


def read_record(record: Record) -> tuple[np.ndarray, int]:
    """Reads the audio of a record.

    Returns:
        Samples `(samples,)` of one channel in float32, and the sampling rate in Hz.

    Raises:
        AudioError: The recording is missing or can't be used, see [`exhubert.audio.read_audio`].
    """
    return read_audio(audio_source(record), record.start, record.end, record.channel)


def size_and_change(
    record: Record, of_file: Callable[[str], tuple[int | None, int | None]]
) -> tuple[int | None, int | None]:
    """Returns the size of a recording in bytes, None without one, and the time of its file's last change in ns.

    Args:
        record: The record.
        of_file: [`file_size_and_change`], or a function that remembers what it returned.
    """
    size, modified = of_file(record.path)
    if record.row is None or size is None:
        return size, modified
    try:
        return size_of_row(record.file, _column(record), record.row, modified), modified
    except (OSError, ValueError):
        return None, None


def file_size_and_change(path: str) -> tuple[int | None, int | None]:
    """Returns the size of a file in bytes and the time of its last change in ns; None if there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a path takes longer than the call)
    except (OSError, ValueError):
        return None, None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (None, None)


def middle_hash(record: Record, size: int, modified: int | None) -> bytes:
    """Returns a hash of bytes from the middle of a recording, the same in a file as in a row.

    Args:
        record: The record.
        size: Size of its recording in bytes.
        modified: Time of the file's last change, see [`size_and_change`].
    """
    if record.row is not None:
        return middle_hash_of_row(record.file, _column(record), record.row, modified)
    return _middle_hash(record.path, size, modified)


def content_hash(record: Record, modified: int | None) -> str:
    """Returns the SHA-1 of a whole recording; for `modified` see [`middle_hash`]."""
    if record.row is not None:
        return hash_of_row(record.file, _column(record), record.row, modified)
    return _file_hash(record.path, modified)


# a recording of an hour has a thousand utterances
@lru_cache(_REMEMBERED)
def _middle_hash(path: str, size: int, modified: int | None) -> bytes:
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(size // 2)
        return hash_of_middle(stream.read(SAMPLE))


@lru_cache(_REMEMBERED)
def _file_hash(path: str, modified: int | None) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


def same_recording(first: Record, second: Record) -> bool:
    """Whether two records are read from the same file, or from the same row of one."""
    return first.row == second.row and Path(first.path).resolve() == Path(second.path).resolve()


def _column(record: Record) -> str:
    return record.column or "audio"
