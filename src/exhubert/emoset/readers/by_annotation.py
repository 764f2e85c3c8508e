"""Readers for corpora whose labels are in annotation files beside the recordings."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ...search import SUFFIXES, files_in
from ..catalog import AnnotationTable, CatalogEntry
from ..catalog.column_map import by_field, column_field
from ..catalog.layouts import typed
from ..record import Record, other_facts
from .annotations import by_stem, known_rows, read_json, read_lines, read_rows
from .by_name import files, one_container, partition_of, read_by_name
from .columns import GENDERS, PARTITIONS, UNKNOWN, gender_of, number_of
from .text import read_text

logger = logging.getLogger(__name__)

_EMOFILM_SHEET = "f_m_corpus_it_es_en_legend"
_AIBO_LABELS = {5: "chunk_labels_5cl_corpus.txt", 2: "chunk_labels_2cl_corpus.txt"}  # by the number of classes
_MELD = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "validation": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
_MELD_CLIP = re.compile(r"(?:.*[_-])?(?P<name>dia\d+_utt\d+)(?:[_-].*)?", re.IGNORECASE)
_MELD_FACTS = ("season", "episode", "starttime", "endtime")
_IMPROV_LINE = re.compile(
    r"UTD-IMPROV-(?P<name>S(?P<text>\d\d)[A-Z]-(?P<speaker>(?P<gender>[FM])\d\d)-[A-Z]-\w+)\.avi; *(?P<label>[A-Z]);"
    r" *A:(?P<arousal>[\d.]+|NaN); *V:(?P<valence>[\d.]+|NaN); *D:(?P<dominance>[\d.]+|NaN)"
)
_RATINGS = ("arousal", "valence", "dominance")
_SHEMO_NAME = re.compile(r"(?P<speaker>(?P<gender>[FM])\d\d)(?P<label>[AFHNSW])(?P<text>\d\d)", re.IGNORECASE)
_SMARTKOM_RATE = 16_000  # times in Partitur files count samples at this rate


def read_emo_db(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads EMO-DB: labels from names, and what twenty listeners said of the recordings, if `erkennung.txt` exists.

    `erkannt` is the percentage of them who recognised the emotion, `natuerlich` of those who called it natural.
    """
    columns = ("erkannt", "natuerlich")
    judgements: dict[str, dict[str, float]] = {}
    # published in Latin-1, with non-breaking spaces after its numbers, from which other encodings would be guessed
    for row in known_rows(root, "erkennung.txt", ("satz", *columns), encoding or "latin-1"):
        numbers = {name: re.match(r"\d+(?:,\d+)?", row[name]) for name in columns}
        known = {name: float(match[0].replace(",", ".")) for name, match in numbers.items() if match}
        judgements[Path(row["satz"]).stem] = known
    for record in read_by_name(facts, root):
        yield replace(record, other=other_facts(judgements.get(record.file.stem.removesuffix("xx"), {})))


def read_fau_aibo(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads FAU Aibo: chunk labels in five classes, or in two if there are no others.

    A line is `Mont_01_000_00 N 0.86`: the chunk, its label, and the confidence. The official partition of the
    Interspeech 2009 challenge is by school: Ohm trains, Mont tests.
    """
    labels = {classes: _aibo_labels(root, name, encoding) for classes, name in _AIBO_LABELS.items()}
    chunks = labels[5] or labels[2]
    recordings = by_stem(root) if chunks else {}
    for chunk, (label, confidence) in chunks.items():
        school, _, rest = chunk.partition("_")
        other: dict[str, Any] = {"confidence": number_of(confidence)}
        if chunks is labels[5] and chunk in labels[2]:
            other |= {"label_of_two": labels[2][chunk][0], "confidence_of_two": number_of(labels[2][chunk][1])}
        yield Record(
            path=str(recordings.get(chunk, root / "wav" / f"{chunk}.wav")),
            raw_label=label,
            speaker=f"{school}_{rest[:2]}",
            partition="train" if school == "Ohm" else "test",
            other=other_facts(other),
        )


def _aibo_labels(root: Path, name: str, encoding: str | None) -> dict[str, tuple[str, str]]:
    """Returns label and confidence of each chunk."""
    path = next(files_in(root, name), None)
    result = {}
    for line in read_lines(path, encoding) if path else ():
        chunk, label, confidence, *_ = [*line.split(), "", "", ""]
        if label and chunk.partition("_")[0] in ("Ohm", "Mont"):
            result[chunk] = (label, confidence)
    return result


def read_meld(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads MELD: one table for each partition; dialogue and utterance numbers start again in each.

    A clip belongs to the partition of the nearest folder above it that is named so, such as `train_splits` or `test`.
    Records keep the official partition although main characters are in all parts of it; the builder replaces it. The
    corpus's own sentiment is the annotated valence.
    """
    tables = {partition: next(files_in(root, name), None) for partition, (name, _) in _MELD.items()}
    present = [partition for partition, path in tables.items() if path]
    clips = _meld_clips(root, present) if present else {}
    for partition, path in tables.items():
        if path is None:
            continue
        for row in read_rows(path, ("dialogue_id", "utterance_id", "speaker", "emotion"), encoding):
            # pandas writes numbers beside empty cells as 3.0
            dialogue, utterance = (re.sub(r"\.0+$", "", row[name]) for name in ("dialogue_id", "utterance_id"))
            name = f"dia{dialogue}_utt{utterance}"
            yield Record(
                path=str(clips.get((partition, name), root / _MELD[partition][1] / f"{name}.mp4")),
                raw_label=row["emotion"],
                speaker=row["speaker"] or None,
                text=row.get("utterance"),
                partition=partition,
                dialogue=f"{partition} {dialogue}",
                sentiment=row.get("sentiment"),
                other=other_facts({name: row.get(name) or None for name in _MELD_FACTS}),
            )


def _meld_clips(root: Path, present: list[str]) -> dict[tuple[str, str], Path]:
    """Returns the clips by partition and name."""
    found: list[tuple[tuple[str, str], Path]] = []
    homeless = 0
    for path in files(root, SUFFIXES):
        match = _MELD_CLIP.fullmatch(path.stem)
        if match is None:
            continue
        places = (path.stem, *reversed(path.relative_to(root).parts[:-1]))
        partition = next(filter(None, map(_meld_partition, places)), present[0] if len(present) == 1 else None)
        if partition is None:
            homeless += 1
        else:
            found.append(((partition, match["name"].lower()), path))
    if homeless:
        logger.warning(
            f"{root}: {homeless} clips are in no folder named train, dev or test, and aren't read: each partition has "
            "the same names."
        )
    chosen = set(one_container(found, (".mp4",)))
    return {key: path for key, path in reversed(found) if path in chosen}


def _meld_partition(name: str) -> str | None:
    """Returns the partition that a folder or file is named after, alone or among other words."""
    words = re.findall("[a-z]+", name.lower())
    return next((PARTITIONS[word] for word in words if word in PARTITIONS), None)


def read_shemo(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads ShEMO: `female/F01A01.wav`; F is female as the first letter and fear as the fourth.

    If the modified release's `modified_shemo.json` exists, its labels and transcripts are used. It has an entry for
    each of the 3,000 recordings; a recording without one is left out.
    The original release has its own transcripts, `transcript/final text/F01A01.ort` or `shemo.json`.
    """
    named = [(path.stem.upper(), path) for path in files(root, SUFFIXES) if _SHEMO_NAME.fullmatch(path.stem)]
    if not named:
        return
    modified = _shemo_entries(next(files_in(root, "modified_shemo*.json"), None), encoding)
    original = _shemo_entries(next(files_in(root, "shemo*.json"), None), encoding) or {}
    texts = {path.stem.upper(): path for path in files(root, (".ort",))}
    for path in one_container(named, (".wav",)):
        name = path.stem.upper()
        if modified is not None and name not in modified:
            continue
        match = _SHEMO_NAME.fullmatch(name)
        assert match is not None
        entry = (modified or original).get(name, {})
        text = "\n".join(read_lines(texts[name], encoding)).strip() if name in texts else None
        yield Record(
            path=str(path),
            raw_label=(entry.get("emotion") if modified is not None else None) or match["label"],
            speaker=match["speaker"],
            gender=GENDERS[match["gender"].lower()],
            text=(entry.get("transcript") or "").lstrip("\ufeff").strip() or text or None,
            take=match["text"],
            other=other_facts({"ipa": entry.get("ipa")}),
        )


def _shemo_entries(path: Path | None, encoding: str | None) -> dict[str, Mapping[str, Any]] | None:
    """Returns the annotation of each recording, from a list with ids or a map of names; None without a file."""
    if path is None:
        return None
    content = read_json(path, encoding)
    if isinstance(content, list) and all(isinstance(entry, dict) and "id" in entry for entry in content):
        content = {entry["id"]: entry for entry in content}
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise ValueError(f"{path}: expected a map of recordings to their annotation, or a list of annotations with id.")
    return {Path(name).stem.upper(): entry for name, entry in content.items()}


def read_smartkom(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads SmartKom: turns (TRN) of a session's `.par` file, each with the user state (USH) that overlaps it most.

    A session is one long recording, `w001_pk/w001_pkd.wav`; `w001_pk_AAA.par` annotates the user AAA and
    `..._SMA.par` the system, which is left out, as are turns without a user state.
    """
    for path in files_in(root, "*.par"):
        dialogue, _, speaker = path.stem.rpartition("_")
        named = [
            (item.stem, item)
            for item in sorted(path.parent.iterdir())
            if item.suffix.lower() in SUFFIXES and re.fullmatch(rf"{re.escape(dialogue)}.?", item.stem)
        ]
        recordings = sorted(one_container(named, (".wav",)), key=lambda item: (item.stem == dialogue, item.name))
        if speaker.upper() == "SMA" or not recordings:
            continue
        recording = next((file for file in recordings if file.stem.endswith("d")), recordings[0])
        states, turns, words = [], [], {}
        for line in read_lines(path, encoding):
            tier, _, rest = line.partition(":")
            cells = rest.split()
            if tier in ("USH", "TRN") and not all(map(str.isdecimal, cells[:2])):
                raise ValueError(f"{path}: expected start and length in samples after {tier}:, found {rest.strip()!r}.")
            if tier == "USH" and len(cells) >= 3:
                states.append((int(cells[0]), int(cells[0]) + int(cells[1]), " ".join(cells[2:])))
            elif tier == "TRN" and len(cells) >= 3:
                turns.append((int(cells[0]), int(cells[0]) + int(cells[1]), cells[2], " ".join(cells[3:])))
            elif tier == "ORT" and len(cells) >= 2:
                words[cells[0]] = " ".join(cells[1:])
        for start, end, ids, turn in turns:
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
                    other=other_facts({"turn": turn or None}),
                )


def read_esd(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads ESD with and without folders of partitions, and the transcripts, such as `0001.txt`, if they exist."""
    texts: dict[str, str] = {}
    for path in files_in(root, "[0-9][0-9][0-9][0-9].txt"):
        cells = (line.split("\t") for line in read_lines(path, encoding))
        texts |= {name.strip(): text.strip() for name, text, *_ in (row for row in cells if len(row) >= 2)}
    for record in read_by_name(facts, root):
        yield replace(record, text=texts.get(record.file.stem))


def read_emofilm(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads EmoFilm, with the actor as speaker if the legend (`.xlsx`, or saved as `.csv`) names one.

    Without the legend, or if it says `???`, the speaker is unknown. The clip's number keeps the dubbings of one scene
    together either way.

    Raises:
        ValueError: The legend is a spreadsheet and openpyxl isn't installed, or a column is missing.
    """
    legend = next((path for suffix in (".xlsx", ".csv") for path in files_in(root, _EMOFILM_SHEET + suffix)), None)
    actors, films = {}, {}
    for row in read_rows(legend, ("file", "speaker"), encoding) if legend else ():
        stem, name = Path(row["file"]).stem, " ".join(row["speaker"].split())
        if name.strip("?") and name not in UNKNOWN:
            actors[stem] = name
        films[stem] = " ".join(row.get("film", "").split()) or None
    for record in read_by_name(facts, root):
        stem = record.file.stem.removesuffix("_16k")
        yield replace(record, speaker=actors.get(stem), other=other_facts({"film": films.get(stem)}))


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
        for series in read_lines(path, encoding)
    }
    content = read_json(annotation, encoding)
    try:
        yield from _m3ed_turns(content, root, recordings, partition_of)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"{annotation}: expected series, their clips and the clips' Dialog ({error!r}).") from error


def _m3ed_turns(
    content: Any, root: Path, recordings: Mapping[str, Path], partition_of: Mapping[str, str]
) -> Iterator[Record]:
    for series, clips in content.items():
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
    for line in read_lines(evaluation, encoding) if evaluation else ():
        match = _IMPROV_LINE.match(line)
        if match is None:
            continue
        name = f"MSP-IMPROV-{match['name']}"
        ratings: dict[str, Any] = {rating: number_of(match[rating]) for rating in _RATINGS}
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

    Recordings are found by their paths, or else by their names, with any ending if the one in the table doesn't exist.

    Raises:
        ValueError: The entry names no table, a table lacks a column, or several recordings have the name in it.
    """
    table = facts.table
    columns = {field: name.lower() for field, name in by_field(facts.columns.items(), facts.name).items()}
    if table is None or not {"file", "label"} <= columns.keys():
        raise ValueError(f"{facts.name}: the reader by_table needs a table and the columns of file and label.")
    tables = list(files_in(root, table.file))
    recordings: dict[str, list[Path]] = {}
    for path in files(root, SUFFIXES) if tables else ():
        for key in {path.stem, path.name}:
            recordings.setdefault(key, []).append(path)
    people = _people(table, root, encoding) if tables else {}
    needed = [columns["file"], columns["label"], *([columns["speaker"]] if table.people else [])]
    for path in tables:
        for row in read_rows(path, tuple(needed), encoding):
            cells = people.get(row.get(columns.get("speaker", ""), ""), {}) | row
            found: dict[str, Any] = {field: cells.get(name) or None for field, name in columns.items()}
            for name, values in table.values.items():
                field = column_field(name)
                found[field] = values.get(found[field], found[field])
            if found.get("partition"):
                found["partition"] = partition_of(found["partition"], f"{path}", "the table")
            place, label = (found.pop("file") or "").replace("\\", "/"), found.pop("label") or ""
            gender = found.get("gender")
            ratings = {field: number_of(found.pop(field)) for field in _RATINGS if field in found}
            yield Record(
                path=str(_named(place, recordings, root, path)),
                raw_label=label,
                rating_scale=facts.rating_scale if any(value is not None for value in ratings.values()) else None,
                **typed(found, f"{path}: {place}") | ratings | {"gender": gender_of(gender)},
            )


def _named(place: str, recordings: Mapping[str, list[Path]], root: Path, table: Path) -> Path:
    """Returns the recording that a table names by its path or name; a path below the root if there is none."""
    name = PurePosixPath(place)
    found = recordings.get(name.name) or one_container((path.parent, path) for path in recordings.get(name.stem, ()))
    # the end of the path that the most folders of one recording have in common
    for parts in range(len(name.parts), 1, -1):
        if len(found) > 1 and (same := [path for path in found if path.parts[-parts:] == name.parts[-parts:]]):
            found = same
    if len(found) > 1:
        raise ValueError(
            f"{table}: {place!r} may be {found[0].relative_to(root)} or {found[1].relative_to(root)}; write the path "
            "below the corpus's folder in the table."
        )
    return found[0] if found else root / name.name


def _people(table: AnnotationTable, root: Path, encoding: str | None) -> dict[str, dict[str, str]]:
    """Returns the row of each speaker."""
    path = next(files_in(root, table.people), None) if table.people else None
    if path is None or table.person is None:
        return {}
    key = table.person.lower()
    return {row[key]: row for row in read_rows(path, (key,), encoding)}
