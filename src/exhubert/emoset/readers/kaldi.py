"""Reader for data folders of Kaldi and its descendants: `wav.scp`, `utt2spk` and `utt2emo`."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog import CatalogEntry
from ..record import Record
from .columns import EVALUATION, PARTITIONS, RATINGS, as_number, gender_of, number_of, with_evaluation, words
from .dataset_values import language_of
from .recordings import Recordings
from .text import read_text

logger = logging.getLogger(__name__)

_EMOTIONS = ("utt2emo", "utt2emotion", "utt2label", "utt2class", "utt2category")
# Files that name a field of each utterance, or of each speaker
_FIELDS = {
    "gender": ("utt2gender", "spk2gender", "utt2sex", "spk2sex"),
    "age": ("utt2age", "spk2age"),
    "language": ("utt2lang", "spk2lang", "utt2language", "spk2language", "utt2lid"),
    "text": ("text", "utt2text"),
    "session": ("utt2session", "utt2sess", "spk2session"),
    "dialogue": ("utt2dialogue", "utt2dialog", "utt2conv"),
    "intensity": ("utt2intensity",),
    "take": ("utt2take",),
    "sentiment": ("utt2sentiment",),
}
_RATINGS = {name: f"utt2{name}" for name in RATINGS}
_SIDES = {"a": 0, "b": 1, "1": 0, "2": 1}  # of a call, in reco2file_and_channel
_ARCHIVE = re.compile(r".+\.ark:\d+")
_WORDS = {*PARTITIONS, *EVALUATION, "all"}  # in names of data folders of one corpus
_SHOWN = 3
_WHOLE = -1.0  # the end of a segment that lasts as long as its recording


def find_kaldi(root: Path) -> dict[Path, str | None]:
    """Returns the data folders in a folder, each with the partition it stands for; empty if there are none.

    These are the folder itself, and folders such as `train` or `data/train` in it, if they hold `wav.scp` and emotions
    or ratings.
    """
    folders = [folder for parent in (root, root / "data") for folder in _subfolders(parent)]
    named = [folder for folder in folders if _WORDS & words(folder.name)]  # others are corpora of their own
    found = [folder for folder in (root, *named) if (folder / "wav.scp").is_file()]
    if not any((folder / name).is_file() for folder in found for name in (*_EMOTIONS, *_RATINGS.values())):
        return {}
    partitions = with_evaluation(_partition(folder, PARTITIONS) for folder in found)
    return {folder: _partition(folder, partitions) if folder != root else None for folder in found}


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as items:  # of which there may be 100,000, but few folders
        return sorted(folder / item.name for item in items if item.is_dir())


def _partition(folder: Path, partitions: Mapping[str, str]) -> str | None:
    parts = {partitions[word] for word in words(folder.name) if word in partitions}
    return parts.pop() if len(parts) == 1 else None


def read_kaldi(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads data folders: `wav.scp`, `utt2emo` and, if they exist, `utt2spk`, `segments`, `text`, `spk2gender`, ...

    Paths are relative to the data folder, to `root`, or to the folders above it. Commands in `wav.scp` are never run.
    Folders such as `data/train`, `data/dev` and `data/test` are partitions. Utterances without an emotion are kept with
    an empty label; what is missing is logged.

    Args:
        facts: Catalog entry of the corpus.
        root: Folder with the data folders, or one of them.
        encoding: Encoding of the files; found out by default.

    Raises:
        FileNotFoundError: There is no data folder.
        ValueError: A line is invalid, an utterance is there twice, or all recordings are commands or in archives; the
            message names the line.
    """
    folders = find_kaldi(root)
    if not folders:
        raise FileNotFoundError(
            f"{root} holds no data folder of Kaldi: expected wav.scp, utt2spk, and utt2emo or "
            "utt2arousal and utt2valence."
        )
    utterances: dict[str, tuple[Path, Record]] = {}
    refused: list[str] = []
    for folder, partition in folders.items():
        for name, record in _DataFolder(folder, root, facts, encoding).records(partition, refused):
            first, known = utterances.setdefault(name, (folder, record))
            if _part(known) != _part(record):  # ids need to be unique within a folder only
                utterances[f"{folder}/{name}"] = folder, record
            elif known.partition is None:  # it is in a folder of everything, too
                utterances[name] = folder, record
            elif record.partition not in (None, known.partition):
                raise ValueError(f"The utterance {name} is in {first} and in {folder}, which are two partitions.")
    if refused:
        text = (
            f"{refused[0]} No command is run and no archive unpacked: write such recordings to files, and name these."
        )
        if not utterances:
            raise ValueError(text)
        logger.warning(f"{len(refused)} recordings aren't used. {text}")
    yield from (record for _, record in utterances.values())


def _part(record: Record) -> tuple[Any, ...]:
    return record.path, record.start, record.end, record.channel


@dataclass(frozen=True)
class _Part:
    """A recording, or a part of it."""

    recording: str
    start: float | None = None
    end: float | None = None
    channel: int | None = None


class _DataFolder:
    """One data folder."""

    def __init__(self, folder: Path, root: Path, facts: CatalogEntry, encoding: str | None) -> None:
        self.folder, self.facts, self.encoding = folder, facts, encoding
        self.recordings = Recordings(root, [folder, root.parent, root.parent.parent])

    def records(self, partition: str | None, refused: list[str]) -> Iterator[tuple[str, Record]]:
        """Yields the id and the record of each utterance; adds a sentence for each recording that is a command."""
        paths = self._paths(refused)
        parts = self._parts(paths, refused)
        source = next((name for name in _EMOTIONS if (self.folder / name).is_file()), _EMOTIONS[0])
        labels = self._table(source) or {}
        speakers = self._speakers(parts)
        fields = {field: self._of_utterances(names, speakers) for field, names in _FIELDS.items()}
        ratings = {field: self._table(name) or {} for field, name in _RATINGS.items()}
        rated = {name: text for values in ratings.values() for name, text in values.items()}
        self._report(parts, source, rated | labels, speakers)
        for name, part in parts.items():
            facts: dict[str, Any] = {field: values.get(name) or None for field, values in fields.items()}
            facts |= {"gender": gender_of(facts["gender"]), "language": language_of(facts["language"])}
            for field, values in ratings.items():
                facts[field] = (
                    as_number(values[name], f"{self.folder / _RATINGS[field]}: {name}") if name in values else None
                )
            if any(facts[field] is not None for field in RATINGS):
                facts["rating_scale"] = self.facts.rating_scale
            yield (
                name,
                Record(
                    path=paths[part.recording],
                    raw_label=labels.get(name, ""),
                    speaker=speakers.get(name),
                    start=part.start,
                    end=part.end,
                    channel=part.channel,
                    partition=partition,
                    other=json.dumps({"utterance": name}, ensure_ascii=False),
                    **facts,
                ),
            )

    def _paths(self, refused: list[str]) -> dict[str, str]:
        """Returns the file of each recording in `wav.scp`."""
        result = {}
        for name, (number, text) in self._lines("wav.scp").items():
            where = f"{self.folder / 'wav.scp'}, line {number}"
            if not text:
                raise ValueError(f"{where}: {name} has no path; expected an id, a space and the path of a recording.")
            if text.endswith("|") or text.startswith("|"):
                refused.append(f"{where}: {name} is a command ({text[:60]}), not a file.")
            elif _ARCHIVE.fullmatch(text):
                refused.append(f"{where}: {name} is in an archive ({text[:60]}), not a file.")
            else:
                result[name] = self.recordings.find(text)
        return result

    def _parts(self, paths: Mapping[str, str], refused: list[str]) -> dict[str, _Part]:
        """Returns the part of a recording that each utterance is: its segment, or else the whole recording."""
        channels = self._channels(paths)
        segments = self._lines("segments")
        if not segments:
            return {name: _Part(name, channel=channels.get(name)) for name in paths}
        result, lost = {}, []
        listed = self._lines("wav.scp")
        for name, (number, text) in segments.items():
            where = f"{self.folder / 'segments'}, line {number}"
            cells = text.split()
            numbers = [value for cell in cells[1:] if (value := number_of(cell)) is not None]
            if len(cells) not in (3, 4) or len(numbers) < len(cells) - 1:
                raise ValueError(f"{where}: expected utterance, recording, start, end in seconds; found {name} {text}.")
            start, end = numbers[:2]
            if start < 0 or (end != _WHOLE and end <= start):
                raise ValueError(
                    f"{where}: start is {cells[1]} and end {cells[2]}; expected 0 <= start < end, or -1 for the whole."
                )
            if cells[0] in paths:
                channel = int(numbers[2]) if len(cells) == 4 else channels.get(cells[0])
                result[name] = _Part(cells[0], start, None if end == _WHOLE else end, channel)
            elif cells[0] not in listed:
                lost.append(f"{name} ({cells[0]})")
        if lost:
            self._warn(f"wav.scp lacks the recordings of {len(lost)} segments, which aren't used", lost)
        return result

    def _channels(self, paths: Mapping[str, str]) -> dict[str, int]:
        """Returns the channel of each recording, if several are channels of one file.

        Recordings with one channel are noted as channel A, too, so that the note alone doesn't mean a choice.
        """
        sides = {}
        for name, (number, text) in self._lines("reco2file_and_channel").items():
            side = text.split()[-1].lower() if text else ""
            if side not in _SIDES:
                raise ValueError(
                    f"{self.folder / 'reco2file_and_channel'}, line {number}: the channel is {side!r}, expected A or B."
                )
            sides[name] = _SIDES[side]
        of_file: dict[str, set[int]] = {}
        for name, path in paths.items():
            if name in sides:
                of_file.setdefault(path, set()).add(sides[name])
        return sides if any(len(channels) > 1 for channels in of_file.values()) else {}

    def _speakers(self, parts: Iterable[str]) -> dict[str, str]:
        speakers = self._table("utt2spk")
        if speakers is None:
            groups = self._table("spk2utt") or {}
            speakers = {name: speaker for speaker, names in groups.items() for name in names.split()}
        names = [name for name in parts if name in speakers]
        if len(names) > 1 and all(speakers[name] == name for name in names):
            # Kaldi needs a speaker for each utterance, and this is how to say that none is known
            logger.warning(
                f"{self.folder / 'utt2spk'} names each utterance as its own speaker, so the speakers are unknown."
            )
            return {}
        return speakers

    def _of_utterances(self, names: Iterable[str], speakers: Mapping[str, str]) -> dict[str, str]:
        """Returns a field of each utterance, from the first of some files that exists."""
        for name in names:
            table = self._table(name)
            if table is not None and name.startswith("spk2"):
                return {utterance: table[speaker] for utterance, speaker in speakers.items() if speaker in table}
            if table is not None:
                return table
        return {}

    def _table(self, name: str) -> dict[str, str] | None:
        """Returns the text of each id in a file; None if there is no such file."""
        if not (self.folder / name).is_file():
            return None
        return {key: text for key, (_, text) in self._lines(name).items()}

    def _lines(self, name: str) -> dict[str, tuple[int, str]]:
        """Returns the line number and the text of each id in a file; empty if there is no such file.

        Raises:
            ValueError: An id is there twice.
        """
        path = self.folder / name
        result: dict[str, tuple[int, str]] = {}
        if not path.is_file():
            return result
        for number, line in enumerate(read_text(path, self.encoding).split("\n"), start=1):
            key, *text = line.split(maxsplit=1) or [""]
            if key in result:
                raise ValueError(f"{path}, line {number}: {key} is there twice, first in line {result[key][0]}.")
            if key:
                result[key] = number, "".join(text).strip()
        return result

    def _report(
        self, parts: Mapping[str, _Part], emotions: str, labels: Mapping[str, str], speakers: Mapping[str, str]
    ) -> None:
        """Logs which utterances are missing in which file."""
        source = "segments" if (self.folder / "segments").is_file() else "wav.scp"
        for what, file, table in (("emotion", emotions, labels), ("speaker", "utt2spk", speakers)):
            missing = [name for name in parts if not table.get(name)]
            # without any speaker's name, the summary of the build says so
            if missing and (what == "emotion" or len(missing) < len(parts)):
                self._warn(f"{len(missing)} of {len(parts)} utterances of {source} have no {what} in {file}", missing)
        listed = self._lines(source)
        if strange := [name for name in labels if name not in listed]:
            self._warn(f"{len(strange)} utterances with an emotion aren't in {source}", strange)

    def _warn(self, what: str, names: list[str]) -> None:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        logger.warning(f"{self.folder}: {what}: {', '.join(names[:_SHOWN])}{more}.")
