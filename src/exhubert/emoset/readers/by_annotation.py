"""Readers for corpora whose labels are in annotation files beside the recordings."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ...search import SUFFIXES, files_in
from ..catalog import AnnotationTable, CatalogEntry
from ..record import Record
from .by_name import GENDERS, files, read_by_name
from .columns import UNKNOWN
from .table import read_tables
from .text import read_text

_EMOFILM_SHEET = "f_m_corpus_it_es_en_legend"
_AIBO_LABELS = ("chunk_labels_5cl_corpus.txt", "chunk_labels_2cl_corpus.txt")
_IEMOCAP_TURN = re.compile(r"\[[\d.]+ - [\d.]+\]\t(?P<turn>\S+)\t(?P<label>\w+)\t\[")
_IEMOCAP_TEXT = re.compile(r"(?P<turn>Ses\S+) \[[\d.]+-[\d.]+\]: (?P<text>.*)")
_MELD = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "validation": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
_IMPROV_LINE = re.compile(
    r"UTD-IMPROV-(?P<name>S(?P<text>\d\d)[A-Z]-(?P<speaker>(?P<gender>[FM])\d\d)-[A-Z]-\w+)\.avi; *(?P<label>[A-Z]);"
    r" *A:(?P<arousal>[\d.]+|NaN); *V:(?P<valence>[\d.]+|NaN); *D:(?P<dominance>[\d.]+|NaN)"
)
_RATINGS = ("arousal", "valence", "dominance")
_SHEMO_NAME = re.compile(r"(?P<speaker>(?P<gender>[FM])\d\d)(?P<label>[AFHNSW])(?P<text>\d\d)\.wav", re.IGNORECASE)
_SMARTKOM_RATE = 16_000  # times in Partitur files count samples at this rate


def read_fau_aibo(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads FAU Aibo: chunk labels in five classes, or in two if there are no others.

    A line is `Mont_01_000_00 N 0.86`. The official partition of the Interspeech 2009 challenge is by school: Ohm
    trains, Mont tests.
    """
    labels = next((path for name in _AIBO_LABELS for path in files_in(root, name)), None)
    if labels is None:
        return
    recordings = {path.stem: path for path in files(root, (".wav",))}
    for line in _lines(labels, encoding):
        chunk, label, *_ = [*line.split(), "", ""]
        school, _, rest = chunk.partition("_")
        if not label or school not in ("Ohm", "Mont"):
            continue
        yield Record(
            path=str(recordings.get(chunk, root / "wav" / f"{chunk}.wav")),
            raw_label=label,
            speaker=f"{school}_{rest[:2]}",
            partition="train" if school == "Ohm" else "test",
        )


def read_iemocap(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads IEMOCAP: `Session1/dialog/EmoEvaluation/Ses01F_impro01.txt` labels `Session1/sentences/wav/.../*.wav`.

    The letter before the turn's number is the speaker: the man of session 1 says Ses01F_impro01_M011, despite the F in
    the dialogue's name, which stands for the one who wears the markers.
    """
    for path in files_in(root, "EmoEvaluation/*.txt"):
        session = path.parents[2]
        transcript = session / "dialog" / "transcriptions" / path.name
        texts = {}
        if transcript.is_file():
            texts = {m["turn"]: m["text"] for line in _lines(transcript, encoding) if (m := _IEMOCAP_TEXT.match(line))}
        for line in _lines(path, encoding):
            match = _IEMOCAP_TURN.match(line)
            if match is None:
                continue
            turn = match["turn"]
            letter = turn.rsplit("_", 1)[1][0]
            yield Record(
                path=str(session / "sentences" / "wav" / path.stem / f"{turn}.wav"),
                raw_label=match["label"],
                speaker=f"{turn[:5]}{letter}",
                gender="female" if letter == "F" else "male",
                text=texts.get(turn),
                session=turn[:5],
                dialogue=path.stem,
            )


def read_meld(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads MELD: one table for each partition; dialogue and utterance numbers start again in each.

    Records keep the official partition although main characters are in all parts of it; the builder replaces it. The
    corpus's own sentiment is the annotated valence.
    """
    for partition, (table, folder) in _MELD.items():
        path = next(files_in(root, table), None)
        if path is None:
            continue
        clips = {clip.stem: clip for clip in files(root, (".mp4", ".wav", ".flac")) if folder in clip.parent.parts}
        for row in _rows(path, ("dialogue_id", "utterance_id", "speaker", "emotion"), encoding):
            name = f"dia{row['dialogue_id']}_utt{row['utterance_id']}"
            yield Record(
                path=str(clips.get(name, root / folder / f"{name}.mp4")),
                raw_label=row["emotion"],
                speaker=row["speaker"] or None,
                text=row.get("utterance"),
                partition=partition,
                dialogue=f"{partition} {row['dialogue_id']}",
                sentiment=row.get("sentiment"),
            )


def read_shemo(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads ShEMO: `female/F01A01.wav`; F is female as the first letter and fear as the fourth.

    If the modified release's `modified_shemo.json` exists, its labels and transcripts are used. It has an entry for
    each of the 3,000 recordings; a recording without one is left out.
    The original release has its own transcripts, `transcript/final text/F01A01.ort`.
    """
    texts = {path.stem.upper(): path for path in files(root, (".ort",))}
    annotation = next(files_in(root, "modified_shemo*.json"), None)
    modified: dict[str, Any] | None = None
    if annotation is not None:
        content = _json(annotation, encoding)
        modified = {Path(name).stem.upper(): labels for name, labels in content.items()}
    for path in files(root, (".wav",)):
        match = _SHEMO_NAME.fullmatch(path.name)
        if match is None or (modified is not None and path.stem.upper() not in modified):
            continue
        name = path.stem.upper()
        labels = modified[name] if modified is not None else {}
        text = "\n".join(_lines(texts[name], encoding)).strip() if name in texts else None
        yield Record(
            path=str(path),
            raw_label=labels.get("emotion") or match["label"].upper(),
            speaker=match["speaker"].upper(),
            gender="female" if match["gender"].upper() == "F" else "male",
            text=labels.get("transcript") or text or None,
            take=match["text"],
        )


def read_smartkom(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads SmartKom: turns (TRN) of a session's `.par` file, each with the user state (USH) that overlaps it most.

    A session is one long recording, `w001_pk/w001_pkd.wav`; `w001_pk_AAA.par` annotates the user AAA and
    `..._SMA.par` the system, which is left out, as are turns without a user state.
    """
    for path in files_in(root, "*.par"):
        dialogue, _, speaker = path.stem.rpartition("_")
        recordings = sorted(path.parent.glob(f"{dialogue}?.wav")) + sorted(path.parent.glob(f"{dialogue}.wav"))
        if speaker.upper() == "SMA" or not recordings:
            continue
        recording = next((file for file in recordings if file.stem.endswith("d")), recordings[0])
        states, turns, words = [], [], {}
        for line in _lines(path, encoding):
            tier, _, rest = line.partition(":")
            cells = rest.split()
            if tier == "USH" and len(cells) >= 3:
                states.append((int(cells[0]), int(cells[0]) + int(cells[1]), " ".join(cells[2:])))
            elif tier == "TRN" and len(cells) >= 3:
                turns.append((int(cells[0]), int(cells[0]) + int(cells[1]), cells[2]))
            elif tier == "ORT" and len(cells) >= 2:
                words[cells[0]] = " ".join(cells[1:])
        for start, end, ids in turns:
            overlaps: dict[str, int] = {}
            for first, last, label in states:
                overlap = min(end, last) - max(start, first)
                if overlap > 0:
                    overlaps[label] = overlaps.get(label, 0) + overlap
            if overlaps:
                yield Record(
                    path=str(recording),
                    raw_label=max(overlaps, key=lambda label: overlaps[label]),
                    speaker=speaker,
                    start=start / _SMARTKOM_RATE,
                    end=end / _SMARTKOM_RATE,
                    text=" ".join(words[i] for i in ids.split(",") if i in words) or None,
                    session=dialogue,
                )


def read_esd(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads ESD in both layouts, with and without partition folders, and its transcripts if they exist."""
    texts: dict[Path, dict[str, str]] = {}
    for record in read_by_name(facts, root):
        folder = next(parent for parent in record.file.parents if parent.name == record.speaker)
        if folder not in texts:
            texts[folder] = _esd_transcript(folder / f"{record.speaker}.txt", encoding)
        yield replace(record, text=texts[folder].get(record.file.stem))


def _esd_transcript(path: Path, encoding: str | None) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.split("\t") for line in _lines(path, encoding))
    return {cells[0].strip(): cells[1].strip() for cells in lines if len(cells) >= 2}


def read_emofilm(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads EmoFilm, with the actor as speaker if the legend (`.xlsx`, or saved as `.csv`) names one.

    Without the legend, or if it says `???`, the speaker is unknown. The clip's number keeps the dubbings of one scene
    together either way.

    Raises:
        ValueError: The legend is a spreadsheet and openpyxl isn't installed, or a column is missing.
    """
    legend = next((path for suffix in (".xlsx", ".csv") for path in files_in(root, _EMOFILM_SHEET + suffix)), None)
    actors = {}
    for row in _rows(legend, ("file", "speaker"), encoding) if legend else ():
        name = " ".join(row["speaker"].split())
        if name.strip("?") and name not in UNKNOWN:
            actors[Path(row["file"]).stem] = name
    for record in read_by_name(facts, root):
        yield replace(record, speaker=actors.get(record.file.stem.removesuffix("_16k")))


def read_pavoque(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads PAVOQUE: one long recording for each style, `pavoque-poker.flac`, cut by a list in `pavoque-poker.yaml`."""
    lists = list(files_in(root, "pavoque*.yaml"))
    recordings = {path.stem: path for path in files(root, (".flac", ".wav"))} if lists else {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in lists:
        try:
            parts = yaml.load(read_text(path, encoding), loader)
            spans = [
                (part["style"].lower(), float(part["start"]), float(part["end"]), part.get("text")) for part in parts
            ]
        except (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a list of utterances with style, start and end ({error}).") from error
        for style, start, end, text in spans:
            yield Record(
                path=str(recordings.get(path.stem, path.with_suffix(".flac"))),
                raw_label=style,
                speaker="Stefan Röttig",
                gender="male",
                start=start,
                end=end,
                text=text,
            )


def read_m3ed(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads M3ED: `annotation.json` holds series, their clips, and the utterances of each clip's dialogue.

    A recording is `modality_speech/A_<utterance>.wav`, where A is one of the clip's two speakers. `splitInfo` lists the
    series of each partition.
    """
    annotation = next((path for path in files_in(root, "annotation.json")), None)
    if annotation is None:
        return
    recordings = {path.stem: path for path in files(root, (".wav",))}
    partition_of = {
        series.strip(): partition
        for partition, name in (("train", "train"), ("validation", "val"), ("test", "test"))
        for path in files_in(root, f"movie_list_{name}.txt")
        for series in _lines(path, encoding)
    }
    for series, clips in _json(annotation, encoding).items():
        for clip, content in clips.items():
            for utterance, turn in content["Dialog"].items():
                who = turn["Speaker"]
                name = f"{who}_{utterance}"
                yield Record(
                    path=str(recordings.get(name, root / "modality_speech" / f"{name}.wav")),
                    raw_label=turn["EmoAnnotation"]["final_main_emo"],
                    speaker=f"{series}_{content['SpeakerInfo'][who]['Name']}",
                    text=turn.get("Text"),
                    partition=partition_of.get(series),
                    dialogue=clip,
                )


def read_msp_improv(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads MSP-IMPROV: `Evaluation.txt` has the listeners' label and mean ratings of each turn.

    A line is `UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:3.8; V:1.6; D:4.0 ; N:3.6;`, and its recording
    `session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav`.
    """
    evaluation = next(files_in(root, "Evaluation.txt"), None)
    recordings = {path.stem: path for path in files(root, (".wav", ".avi"))} if evaluation else {}
    for line in _lines(evaluation, encoding) if evaluation else ():
        match = _IMPROV_LINE.match(line)
        if match is None:
            continue
        name = f"MSP-IMPROV-{match['name']}"
        ratings: dict[str, Any] = {rating: _number(match[rating]) for rating in _RATINGS}
        yield Record(
            path=str(recordings.get(name, root / f"{name}.wav")),
            raw_label=match["label"],
            speaker=match["speaker"],
            gender=GENDERS[match["gender"].lower()],
            text=match["text"],
            session=match["speaker"][1:],
            rating_scale=facts.rating_scale,
            **ratings,
        )


def read_by_table(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads a corpus whose entry names the table that annotates it, see `exhubert.emoset.catalog.AnnotationTable`.

    Recordings are found by their names, with any ending if the one in the table doesn't exist.

    Raises:
        ValueError: The entry names no table, or a table lacks a column.
    """
    table, columns = facts.table, {field: name.lower() for field, name in facts.columns.items()}
    if table is None or not {"file", "label"} <= columns.keys():
        raise ValueError(f"{facts.name}: the reader by_table needs a table and the columns of file and label.")
    tables = list(files_in(root, table.file))
    recordings: dict[str, Path] = {}
    for path in files(root, SUFFIXES) if tables else ():
        recordings.setdefault(path.stem, path)
        recordings[path.name] = path
    people = _people(table, root, encoding) if tables else {}
    needed = [columns["file"], columns["label"], *([columns["speaker"]] if table.people else [])]
    for path in tables:
        for row in _rows(path, tuple(needed), encoding):
            cells = people.get(row.get(columns.get("speaker", ""), ""), {}) | row
            found: dict[str, Any] = {field: cells.get(name) or None for field, name in columns.items()}
            for field, values in table.values.items():
                found[field] = values.get(found[field], found[field])
            name, label = Path(found.pop("file") or "").name, found.pop("label") or ""
            gender = found.get("gender")
            ratings = {field: _number(found.pop(field)) for field in _RATINGS if field in found}
            yield Record(
                path=str(recordings.get(name) or recordings.get(Path(name).stem) or root / name),
                raw_label=label,
                rating_scale=facts.rating_scale if any(value is not None for value in ratings.values()) else None,
                **found | ratings | {"gender": GENDERS.get(gender.lower(), gender) if gender else None},
            )


def _people(table: AnnotationTable, root: Path, encoding: str | None) -> dict[str, dict[str, str]]:
    """Returns the row of each speaker."""
    path = next(files_in(root, table.people), None) if table.people else None
    if path is None or table.person is None:
        return {}
    key = table.person.lower()
    return {row[key]: row for row in _rows(path, (key,), encoding)}


def _number(text: str | None) -> float | None:
    """Returns a rating; None for `NaN` and for none."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _rows(path: Path, columns: tuple[str, ...], encoding: str | None) -> Iterator[dict[str, str]]:
    """Yields the rows of a table that must have certain columns, with the names of all columns in lower case."""

    def missing(names: Iterable[str]) -> list[str]:
        return sorted(set(columns) - {name.lower() for name in names})

    for table in read_tables(path, lambda names: not missing(names), encoding):
        if missing(table.columns):
            expected, found = ", ".join(columns), ", ".join(table.columns)
            raise ValueError(f"{table.source}: expected the columns {expected}; found {found or 'none'}.")
        for _, cells in table.rows:
            yield dict(zip((name.lower() for name in table.columns), cells, strict=True))


def _json(path: Path, encoding: str | None) -> Any:
    try:
        return json.loads(read_text(path, encoding))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} isn't valid JSON ({error}); it may have been cut off or edited.") from error


def _lines(path: Path, encoding: str | None) -> list[str]:
    # a stray byte in a transcript or comment is no reason to refuse the corpus
    return read_text(path, encoding, errors="replace").splitlines()
