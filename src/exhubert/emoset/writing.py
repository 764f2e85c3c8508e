"""A parquet writer that reports a full disk as an exception: Arrow would end the process."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets.builder
from datasets.arrow_writer import ParquetWriter

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WriteError(RuntimeError):
    """Writing the rows failed; the message says why. An `OSError` would lose its cause in `datasets`."""


class _Stream:
    """Never fails towards Arrow, which aborts the process when it writes pages in vain, but keeps the first error."""

    def __init__(self, file: Any):
        self.file = file
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: Any) -> int:
        if self.failure is None:
            try:
                return self.file.write(content)
            except OSError as error:
                self.failure = error
        return len(content)

    def flush(self) -> None:
        self._attempt(self.file.flush)

    def close(self) -> None:
        self._attempt(self.file.close)

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            self.failure = self.failure or error


class _Writer(ParquetWriter):
    stream: Any

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stream = _Stream(self.stream)

    def write_table(self, *args, **kwargs):
        super().write_table(*args, **kwargs)
        self._raise_failure()

    def finalize(self, *args, **kwargs):
        result = super().finalize(*args, **kwargs)
        self._raise_failure()
        return result

    def _raise_failure(self) -> None:
        if self.stream.failure:
            raise self.stream.failure


@contextlib.contextmanager
def failures_raised() -> Iterator[None]:
    """Within it, builders of `datasets` write parquet with errors instead of aborts; their cause is a [`WriteError`].

    Raises:
        WriteError: Writing failed.
    """
    usual = datasets.builder.ParquetWriter
    datasets.builder.ParquetWriter = _Writer
    try:
        yield
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, OSError):
            raise WriteError(error.__cause__.strerror or str(error.__cause__)) from error
        raise
    finally:
        datasets.builder.ParquetWriter = usual


@contextlib.contextmanager
def room_required(folder: Path) -> Iterator[None]:
    """Within it, a full disk is reported with the folder and what to do.

    Raises:
        OSError: There is no room in the folder.
    """
    try:
        yield
    except WriteError as error:
        raise OSError(_advice(folder, str(error))) from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(_advice(folder, str(error.strerror))) from error


def _advice(folder: Path, reason: str) -> str:
    return (
        f"{folder}: writing failed ({reason}). Make room, or move the folder; the same command then resumes, and keeps "
        "the corpora that are finished."
    )
