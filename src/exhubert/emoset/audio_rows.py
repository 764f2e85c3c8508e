"""Reads recordings that are rows of parquet and Arrow files, by number and a few at a time."""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from tqdm.auto import tqdm

from ..audio import AudioError

PARQUET, ARROW = (".parquet",), (".arrow", ".feather")
_RATES = ("sampling_rate", "sample_rate", "samplerate", "sr")  # columns beside one of samples
SAMPLE = 4096  # bytes from the middle that distinguish most recordings
_HELD = 2**23  # bytes of recordings that are held at a time
_MOST_ROWS = 100
_OPEN_FILES = 4
_BUFFER = 2**20  # without a buffer, parquet's whole row group is read at once
_PATIENCE = 3.0  # seconds before a progress bar appears
_LFS = b"version https://git-lfs"


class Rows:
    """A parquet or Arrow file, whose rows are read in batches.

    Args:
        path: The file.

    Raises:
        ValueError: The file isn't a complete parquet or Arrow file.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            if path.suffix.lower() in PARQUET:
                self._parquet = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            else:
                self._table = _arrow_table(path)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(_unreadable(path, error)) from error

    @property
    def _is_parquet(self) -> bool:
        return hasattr(self, "_parquet")

    @property
    def schema(self) -> pa.Schema:
        """The columns and the metadata of the file."""
        return self._parquet.schema_arrow if self._is_parquet else self._table.schema

    @property
    def number(self) -> int:
        """Number of rows."""
        return self._parquet.metadata.num_rows if self._is_parquet else self._table.num_rows

    @cached_property
    def groups(self) -> np.ndarray:
        """First row of each row group, and the number of rows at the end; an Arrow file has one for each row."""
        if not self._is_parquet:
            return np.arange(self.number + 1)
        metadata = self._parquet.metadata
        sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)

    def group_of(self, row: int) -> int:
        """The row group that a row is in."""
        return int(np.searchsorted(self.groups, row, side="right")) - 1

    def bytes_per_row(self, column: str) -> float:
        """Mean uncompressed size of a column's values, as far as it is known without reading them; else 0."""
        if not self._is_parquet or not self.number:
            return 0.0
        total = 0
        for index in range(self._parquet.metadata.num_row_groups):
            group = self._parquet.metadata.row_group(index)
            chunks = (group.column(number) for number in range(group.num_columns))
            total += sum(
                chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] == column
            )
        return total / self.number

    def batches(self, columns: Sequence[str], size: int, start: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yields the rows from the row group of `start` on, each batch with the number of its first row.

        Args:
            columns: Names of columns, or `column.field` for one field of a column of structs. From an Arrow file, whole
                structs come at no cost.
            size: Largest number of rows in a batch.
            start: A row of the first batch or a later one.

        Raises:
            ValueError: The file is damaged.
        """
        if not self._is_parquet:
            names = list(dict.fromkeys(self._top(column) for column in columns))
            first = start
            for batch in self._table.select(names).slice(start).to_batches(max_chunksize=size):
                yield first, batch
                first += batch.num_rows
            return
        group = self.group_of(start) if start else 0
        first = int(self.groups[group])
        numbers = list(range(group, self._parquet.num_row_groups))
        try:
            for batch in self._parquet.iter_batches(size, row_groups=numbers, columns=list(columns), use_threads=False):
                yield first, batch
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ValueError(_unreadable(self.path, error)) from error

    def _top(self, column: str) -> str:
        return column if column in self.schema.names else column.partition(".")[0]


def _arrow_table(path: Path) -> pa.Table:
    """Maps an Arrow file of either form into memory, of which only the rows in use are read."""
    mapped = pa.memory_map(str(path))
    is_file = mapped.read(6) == b"ARROW1"
    mapped.seek(0)
    return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(mapped).read_all()


def _unreadable(path: Path, error: Exception) -> str:
    kind = "parquet" if path.suffix.lower() in PARQUET else "Arrow"
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_LFS))
    except OSError as failure:
        return f"{path}: {failure.strerror or failure}."
    if head == _LFS:
        return f"{path} is only a Git LFS pointer; run `git lfs pull` in the repository of the dataset."
    reason = str(error).partition("\n")[0].rstrip(". ")
    return f"{path} isn't a complete {kind} file ({reason}). Download or write it again."


class _Reader:
    """Reads single cells of the recordings' column; fast if they are asked for in order."""

    def __init__(self, path: Path, column: str):
        self.rows = Rows(path)
        if column not in self.rows.schema.names:
            raise AudioError(f"{path}: there is no column {column}; the file has changed.")
        kind = self.rows.schema.field(column).type
        rate = next((name for name in _RATES if name in self.rows.schema.names), None)
        self.columns = [column, rate] if rate and is_list(kind) else [column]
        self.size = max(1, min(_MOST_ROWS, int(_HELD / max(self.rows.bytes_per_row(column), 1.0))))
        self.first = 0
        self.batch: pa.RecordBatch | None = None
        self._batches: Iterator[tuple[int, pa.RecordBatch]] = iter(())

    def cells(self, row: int) -> list[pa.Scalar]:
        """Returns the recording of a row, and its sampling rate if that has a column of its own."""
        if not 0 <= row < self.rows.number:
            raise AudioError(f"{self.rows.path}: there is no row {row}; the file has changed.")
        if not self._holds(row):
            after = self.first + self.batch.num_rows if self.batch is not None else -1
            if row < after or after < 0 or self.rows.group_of(row) != self.rows.group_of(after):
                self._batches = self.rows.batches(self.columns, self.size, row)
            while not self._holds(row):
                if (batch := next(self._batches, None)) is None:
                    raise AudioError(f"{self.rows.path}: breaks off before row {row}.")
                self.first, self.batch = batch
        assert self.batch is not None
        return [self.batch.column(name)[row - self.first] for name in self.columns]

    def _holds(self, row: int) -> bool:
        return self.batch is not None and self.first <= row < self.first + self.batch.num_rows


@lru_cache(maxsize=_OPEN_FILES)
def _reader(path: Path, column: str, modified: int, process: int) -> _Reader:
    return _Reader(path, column)


def read_row(path: Path, column: str, row: int) -> bytes:
    """Returns the audio file that a row holds or names; a recording of samples becomes a wav.

    Args:
        path: A parquet or Arrow file.
        column: Its column of recordings: audio files as bytes; paths; lists of samples; or structs with `bytes` and
            `path`, or with `array` and `sampling_rate`.
        row: Number of the row, from 0.

    Raises:
        AudioError: The row holds no recording, or the file can't be read.
    """
    try:
        # a process of its own reads with a handle of its own
        reader = _reader(path, column, path.stat().st_mtime_ns, os.getpid())
        return _content(reader.cells(row), path, row)
    except AudioError:
        raise
    except (OSError, ValueError) as error:
        raise AudioError(str(error)) from error


def _content(cells: Sequence[pa.Scalar], path: Path, row: int) -> bytes:
    cell, where = cells[0], f"{path}, row {row}"
    rate = cells[1].as_py() if len(cells) > 1 else None
    if is_list(cell.type):
        return _wav(cell.as_py() if cell.is_valid else None, rate, where)
    value: Any = cell.as_py()
    if isinstance(value, dict):
        if value.get("array") is not None and value.get("bytes") is None:
            return _wav(value["array"], value.get("sampling_rate") or rate, where)
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str) and value:
        file = find_beside(path, value)
        if file is None:
            raise AudioError(f"{where}: holds only the path {value}, and there is no such file beside the dataset.")
        return file.read_bytes()
    if not value:
        raise AudioError(f"{where}: the row holds no audio.")
    return bytes(value)


def _wav(values: Any, rate: float | None, where: str) -> bytes:
    if values is None or not len(values):
        raise AudioError(f"{where}: the row holds no audio.")
    if not rate:
        raise AudioError(f"{where}: the row holds samples without a sampling rate.")
    try:
        samples = np.asarray(values)
        samples = samples.T if samples.ndim == 2 and len(samples) < samples.shape[1] else samples
        if samples.dtype.kind in "iu":
            samples = samples / (2.0**15 if np.abs(samples).max(initial=0) <= 2**15 else 2.0**31)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples.astype(np.float32), round(rate), format="WAV", subtype="FLOAT")
    except (TypeError, ValueError, soundfile.LibsndfileError) as error:
        raise AudioError(f"{where}: the samples can't be read ({error}).") from error
    return buffer.getvalue()


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists of any form."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def find_beside(table: Path, name: str) -> Path | None:
    """Finds a file that a table names, by a path from another machine too: beside the table or above it.

    Of `/data/mine/wav/a.wav` the longest end that exists counts, such as `wav/a.wav`.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        return None
    try:
        if Path(name).is_absolute() and Path(name).is_file():
            return Path(name)
        for start in range(len(parts)):
            for folder in list(table.parents)[:3]:
                path = folder.joinpath(*parts[start:])
                if path.is_file():
                    return path
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return None
    return None


def size_of_row(path: Path, column: str, row: int, modified: int | None) -> int | None:
    """Size of a row's audio file in bytes, None if it holds none; `modified` is the time of the table's last change."""
    sizes, _ = _sizes_and_hashes(path, column, modified)
    return int(sizes[row]) if row < len(sizes) and sizes[row] else None


def hash_of_row(path: Path, column: str, row: int, modified: int | None) -> str:
    """SHA-1 of a row's audio file; for `modified` see [`size_of_row`]."""
    return _sizes_and_hashes(path, column, modified)[1][row, :20].tobytes().hex()


def middle_hash_of_row(path: Path, column: str, row: int, modified: int | None) -> bytes:
    """Hash of the bytes from the middle of a row's audio file, see [`hash_of_middle`] and [`size_of_row`]."""
    return _sizes_and_hashes(path, column, modified)[1][row, 20:].tobytes()


def hash_of_middle(content: bytes) -> bytes:
    """Hash of the `SAMPLE` bytes from the middle of an audio file."""
    return hashlib.sha1(content).digest()[:8]


@lru_cache(maxsize=10_000)
def _sizes_and_hashes(path: Path, column: str, modified: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Reads all recordings of a file once, and keeps 36 bytes for each: its size, its hash and that of its middle."""
    rows = Rows(path).number
    sizes, digests = np.zeros(rows, dtype=np.int64), np.zeros((rows, 28), dtype=np.uint8)
    for row in tqdm(range(rows), f"Comparing {path.name}", delay=_PATIENCE, leave=False, disable=None):
        try:
            content = read_row(path, column, row)
        except AudioError:
            continue
        middle = len(content) // 2
        sizes[row] = len(content)
        digest = hashlib.sha1(content).digest() + hash_of_middle(content[middle : middle + SAMPLE])
        digests[row] = np.frombuffer(digest, dtype=np.uint8)
    return sizes, digests
