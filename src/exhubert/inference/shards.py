"""The output folder of `exhubert.annotate`: shards that many processes fill, any of which may be killed at any time.

settings.json   options that the results were made with, and the number of shards
results/        finished shards, JSONL or Parquet
errors/         recordings that can't be used, with the reason, JSONL
work/           locks, and a journal for each unfinished shard
"""

import itertools
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ..audio import AudioError
from ..files import named_in_errors, replacing, write_whole
from ..labels import AROUSALS, VALENCES
from ..pipeline_exhubert import ExHuBERTPipeline
from ..records import Settings
from ..targets import check_target, entries, has_keys
from .prediction import Prediction
from .recordings import predict_files

SETTINGS, RESULTS, ERRORS = "settings.json", "results", "errors"
_WORK = "work"
_ATTEMPTS = 3


class Shard:
    """The recordings of one shard and its files, which only the holder of `lock` may write.

    Results are appended to the journal line by line. When no recording is left, they become the finished shard in one
    step. The journal also announces each recording before it is read, so that a recording that kills the process
    every time is eventually set aside.

    Args:
        folder: The output folder.
        number: Number of the shard, from 0.
        settings: As returned by `open_folder`.
    """

    def __init__(self, folder: Path, number: int, settings: dict[str, Any]):
        name = f"shard-{number:05}"
        self.settings = settings
        self.files: dict[str, str] = {}  # recordings to classify, by escaped name
        self._results = folder / RESULTS / f"{name}.{settings['format']}"
        self._errors = folder / ERRORS / f"{name}.jsonl"
        self._journal = folder / _WORK / f"{name}.jsonl"
        self._lock = folder / _WORK / f"{name}.lock"

    def lock(self) -> FileLock:
        """Non-blocking lock for a `with` block. Raises `Timeout` if another process holds it; ends with the process."""
        return FileLock(self._lock, blocking=False)

    def waiting(self) -> list[str]:
        """Recordings that are neither classified nor set aside."""
        names = {row["file"] for path in (self._journal, self._errors) for row in _read(path) if "file" in row}
        names |= {row["file"] for row in self._finished(["file"])}
        return [file for name, file in self.files.items() if name not in names]

    def unusable(self) -> set[str]:
        """Escaped names of recordings that were set aside."""
        return {row["file"] for row in _read(self._errors)} & set(self.files)

    def rows(self) -> list[dict[str, Any]]:
        """All results of the shard, whether it is finished or not."""
        journal = _read(self._journal)  # read first: a rank may be turning it into the finished shard
        finished = self._finished()
        names = {row["file"] for row in finished}
        journal = [row for row in journal if "file" in row and row["file"] not in names]
        return finished + [channel for row in journal for channel in row.get("channels", [row])]

    def work(self, classifier: ExHuBERTPipeline, windows: dict[str, Any]) -> Iterator[str | None]:
        """Classifies the waiting recordings; yields for each None, or why it can't be used."""
        _cut(self._journal)
        _cut(self._errors)
        attempts = Counter(row["begun"] for row in _read(self._journal) if "begun" in row)
        waiting = self.waiting()
        deadly = [file for file in waiting if attempts[escaped(file)] >= _ATTEMPTS]
        for file in deadly:
            yield self._set_aside(file, f"{file}: {_ATTEMPTS} times the process was ended while it read this.")
        with self._journal.open("ab") as journal:
            fresh = [file for file in waiting if not attempts[escaped(file)]]
            suspect = [file for file in waiting if file not in deadly and file not in fresh]
            alone = windows | {"batch_size": 1}  # a recording that kills the process must not take others with it
            results = [
                predict_files(classifier, _announced(journal, files), **options)
                for files, options in ((suspect, alone), (fresh, windows))
            ]
            for file, channels in itertools.chain(*results):
                if errors := [str(result) for result in channels if isinstance(result, AudioError)]:
                    yield self._set_aside(file, " ".join(errors))
                    continue
                rows = [
                    result.to_dict(self.settings["timeline"]) | {"file": escaped(file)}
                    for result in channels
                    if isinstance(result, Prediction)
                ]
                # one line for all channels: no recording counts as done before all of them are
                _write(journal, rows[0] if len(rows) == 1 else {"file": escaped(file), "channels": rows})
                yield None
        self._finish()

    def forget_errors(self) -> None:
        """Lets recordings that were set aside wait again, unless another process is working on this shard."""
        if not self._errors.is_file():
            return
        try:
            with self.lock():
                self._finish()
                self._errors.unlink(missing_ok=True)
        except Timeout:
            pass

    def _set_aside(self, file: str, reason: str) -> str:
        with self._errors.open("ab") as errors:
            _write(errors, {"file": escaped(file), "error": _readable(reason)})
        return reason

    def _finished(self, columns: list[str] | None = None) -> list[dict[str, Any]]:
        if self.settings["format"] != "parquet":
            return _read(self._results)
        if not self._results.is_file():
            return []
        with self._results.open("rb") as stream:
            return pq.ParquetFile(stream).read(columns).to_pylist()

    def _finish(self) -> None:
        rows = self.rows()
        if rows and self.settings["format"] == "parquet":
            with named_in_errors(self._results), replacing(self._results) as part, part.open("wb") as stream:
                pq.write_table(pa.Table.from_pylist(rows, schema=_schema(self.settings)), stream)
        elif rows:
            write_whole(self._results, "".join(_line(row) for row in rows))
        self._journal.unlink(missing_ok=True)


def check_folder(folder: Path, sources: Iterable[str | Path]) -> None:
    """Raises `TargetError` if the folder is neither new nor an output folder, or is, holds or lies inside a source."""
    check_target("--output", folder, sources, own=_is_output, folder=True)


def _is_output(folder: Path) -> bool:
    # made by another rank a moment ago, which writes the settings last
    new = {path.name for path in entries(folder)} <= {_WORK, RESULTS, ERRORS} and all(
        path.name == "settings.lock" for part in (_WORK, RESULTS, ERRORS) for path in entries(folder / part)
    )
    return new or has_keys(folder / SETTINGS, "format", "timeline", "classes", "shards")


def open_folder(folder: Path, options: dict[str, Any], classes: list[str], shards: int) -> dict[str, Any]:
    """Returns the settings of an output folder, which the first rank to open it writes.

    Args:
        folder: A new folder, or the output of an earlier run to resume.
        options: Options and facts of the model that change the results, `format`, `timeline`, `channel` and
            `regression` among them.
        classes: Names of the model's classes.
        shards: Number of shards to divide the recordings into if the folder is new.

    Raises:
        ValueError: The folder was made with other options, or by a version that heard silence and channels otherwise.
    """
    for part in (_WORK, RESULTS, ERRORS):
        (folder / part).mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    with FileLock(folder / _WORK / "settings.lock"):
        if not path.is_file():
            Settings(options | {"classes": classes, "shards": shards}).save(path)
    settings = read_settings(folder)
    if "channel" not in settings:
        raise ValueError(
            f"{folder}: an earlier version of exhubert made these results, which gave silent recordings a class and "
            "mixed all channels; results of this version must not get among them. Give another --output."
        )
    Settings(settings).require_same(
        Settings(options), f"{path}: the results", "Give the same options, or another --output."
    )
    return settings


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings that `open_folder` wrote.

    Raises:
        FileNotFoundError: The folder isn't an output folder.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected the --output of exhubert.annotate.")
    settings = dict(Settings.load(path).values)
    if missing := [name for name in ("format", "timeline", "classes", "shards") if name not in settings]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; restore the file, or choose another folder.")
    return settings


def shards_of(folder: Path, settings: dict[str, Any], files: Iterable[str] = ()) -> list[Shard]:
    """The shards with their files, assigned by name alone, so that ranks agree even if they list different files."""
    shards = [Shard(folder, number, settings) for number in range(settings["shards"])]
    for file in files:
        shards[zlib.crc32(os.fsencode(file)) % len(shards)].files[escaped(file)] = file
    return shards


def escaped(name: str) -> str:
    r"""A file name as valid UTF-8: backslashes doubled, bytes that aren't UTF-8 as `\x..`; the rest unchanged.

    >>> print(escaped("a\\b\udcff.wav"))
    a\\b\xff.wav
    """
    return _readable(name.replace("\\", "\\\\"))


def unescaped(name: str) -> str:
    """Reverses `escaped`."""
    return re.sub(r"\\(?:\\|x(..))", lambda part: os.fsdecode(bytes.fromhex(part[1])) if part[1] else "\\", name)


def _readable(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _schema(settings: dict[str, Any]) -> pa.Schema:
    def probabilities(names: Iterable[str]) -> pa.DataType:
        return pa.struct([(name, pa.float64()) for name in names])

    scores = probabilities(settings["classes"])
    marginals = [("arousal", probabilities(AROUSALS)), ("valence", probabilities(VALENCES))]
    window = [("start", pa.float64()), ("end", pa.float64()), ("silent", pa.bool_()), ("scores", scores)]
    return pa.schema(
        [
            ("file", pa.string()),
            *([("channel", pa.int64())] if settings.get("channel") is not None else []),
            *([] if settings.get("regression") else [("label", pa.string())]),
            ("scores", scores),
            *([] if settings.get("regression") else marginals),
            ("seconds", pa.float64()),
            ("windows", pa.list_(pa.struct(window)) if settings["timeline"] else pa.int64()),
            ("silent", pa.bool_()),
        ]
    )


def _announced(journal: BinaryIO, files: Iterable[str]) -> Iterator[str]:
    for file in files:
        _write(journal, {"begun": escaped(file)})
        yield file


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write(stream: BinaryIO, row: dict[str, Any]) -> None:
    with named_in_errors(Path(stream.name)):
        stream.write(_line(row).encode())
    stream.flush()


def _whole_lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields the rows of a JSONL file and the size of their lines in bytes, up to a half-written line."""
    try:
        with path.open("rb") as stream:
            for line in stream:
                row = json.loads(line) if line.endswith(b"\n") else None
                if not isinstance(row, dict):
                    return
                yield row, len(line)
    except (FileNotFoundError, ValueError):
        return


def _read(path: Path) -> list[dict[str, Any]]:
    return [row for row, _ in _whole_lines(path)]


def _cut(path: Path) -> None:
    """Removes the last line of a JSONL file if a stopped process left it half written."""
    if path.is_file():
        os.truncate(path, sum(size for _, size in _whole_lines(path)))
