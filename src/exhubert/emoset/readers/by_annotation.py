"""Readers for corpora whose labels are in annotation files beside the recordings."""

import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...search import SUFFIXES, files_in
from ..catalog import CatalogEntry
from ..record import Record, Vote, other_facts
from .by_name import GENDERS, files, one_container, read_by_name
from .columns import UNKNOWN
from .table import read_tables
from .text import read_text

logger = logging.getLogger(__name__)

_EMOFILM_SHEET = "f_m_corpus_it_es_en_legend"
_AIBO_LABELS = {5: "chunk_labels_5cl_corpus.txt", 2: "chunk_labels_2cl_corpus.txt"}  # by the number of classes
_CREMA_D_ANSWERS = {"A": "ANG", "D": "DIS", "F": "FEA", "H": "HAP", "N": "NEU", "S": "SAD"}
_CREMA_D_VOICE = "1"  # what listeners judged: 1 the voice, 2 the face, 3 both
_IEMOCAP_TURN = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\s+(?P<turn>\S+)\s+(?P<label>\w+)\s+\[(?P<ratings>[^\]]*)"
)
_IEMOCAP_ANSWER = re.compile(r"[CA]-(?P<rater>\w+):(?P<answer>[^(]*)(?:\((?P<comment>.*)\))?")
_IEMOCAP_RATING = re.compile(r"(val|act|dom)\s+(\d+(?:\.\d+)?)")
_IEMOCAP_RATINGS = {"val": "valence", "act": "arousal", "dom": "dominance"}
_IEMOCAP_TEXT = re.compile(r"(?P<turn>Ses\S+) \[[\d.]+-[\d.]+\]: (?P<text>.*)")
_MELD = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "validation": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
_MELD_CLIP = re.compile(r"(?:(?:train|dev|test)[_-])?(?P<name>dia\d+_utt\d+)(?:[_-](?:train|dev|test))?", re.I)
_MELD_WORDS = {"train": "train", "dev": "validation", "val": "validation", "test": "test"}
_MELD_FACTS = ("season", "episode", "starttime", "endtime")
_SHEMO_NAME = re.compile(r"(?P<speaker>(?P<gender>[FM])\d\d)(?P<label>[AFHNSW])(?P<text>\d\d)", re.IGNORECASE)
_SMARTKOM_RATE = 16_000  # times in Partitur files count samples at this rate


def read_crema_d(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads CREMA-D: labels from names; listeners' votes and facts of the actors from its tables, if they exist.

    Votes are those for the voice alone: from `finishedResponses.csv`, each listener's, or else the counts in
    `tabulatedVotes.csv`. They are written as the labels in the names, `ANG` for `A`.
    """
    summary = {row["filename"]: row for row in _known_rows(root, "summaryTable.csv", ("filename",), encoding)}
    people = {row["actorid"]: row for row in _known_rows(root, "VideoDemographics.csv", ("actorid",), encoding)}
    votes = _crema_d_votes(root, encoding)
    for record in read_by_name(facts, root):
        name = record.file.stem.upper()
        result, person = summary.get(name, {}), people.get(record.speaker or "", {})
        other = {
            "voice_vote": result.get("voicevote"),
            "voice_level": result.get("voicelevel"),
            "race": person.get("race"),
            "ethnicity": person.get("ethnicity"),
        }
        yield replace(record, votes=tuple(votes.get(name, ())), other=other_facts(other))


def _crema_d_votes(root: Path, encoding: str | None) -> dict[str, list[Vote]]:
    votes: dict[str, list[Vote]] = {}
    for row in _known_rows(root, "finishedResponses.csv", ("localid", "querytype", "clipname", "respemo"), encoding):
        if row["querytype"] == _CREMA_D_VOICE:
            answer = _CREMA_D_ANSWERS.get(row["respemo"], row["respemo"])
            votes.setdefault(row["clipname"], []).append(Vote(row["localid"], answer))
    if votes:
        return votes
    for row in _known_rows(root, "tabulatedVotes.csv", ("filename", *map(str.lower, _CREMA_D_ANSWERS)), encoding):
        number = next(iter(row.values()))  # the first column has no name: 100001 is the voice of the first clip
        if number.startswith(_CREMA_D_VOICE):
            counts = {label: int(row[answer.lower()] or 0) for answer, label in _CREMA_D_ANSWERS.items()}
            votes[row["filename"]] = [Vote(None, label, count=count) for label, count in counts.items() if count]
    return votes


def read_fau_aibo(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads FAU Aibo: chunk labels in five classes, or in two if there are no others.

    A line is `Mont_01_000_00 N 0.86`: the chunk, its label, and the confidence. The official partition of the
    Interspeech 2009 challenge is by school: Ohm trains, Mont tests.
    """
    labels = {number: _aibo_labels(root, name, encoding) for number, name in _AIBO_LABELS.items()}
    chunks = labels[5] or labels[2]
    recordings = _by_stem(root) if chunks else {}
    for chunk, (label, confidence) in chunks.items():
        school, _, rest = chunk.partition("_")
        other: dict[str, Any] = {"confidence": _number(confidence)}
        if chunks is labels[5] and chunk in labels[2]:
            other |= {"label_of_two": labels[2][chunk][0], "confidence_of_two": _number(labels[2][chunk][1])}
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
    for line in _lines(path, encoding) if path else ():
        chunk, label, confidence, *_ = [*line.split(), "", "", ""]
        if label and chunk.partition("_")[0] in ("Ohm", "Mont"):
            result[chunk] = (label, confidence)
    return result


def read_iemocap(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads IEMOCAP: `Session1/dialog/EmoEvaluation/Ses01F_impro01.txt` labels `Session1/sentences/wav/.../*.wav`.

    The letter before the turn's number is the speaker: the man of session 1 says Ses01F_impro01_M011, despite the F in
    the dialogue's name, which stands for the one who wears the markers. Raters `E1` to `E6` are listeners; `F1` and
    `M1` and so on are the actors, who judge themselves. A rater who chose several emotions has a vote for each, and
    the ratings are in the first one.
    """
    recordings: dict[str, Path] | None = None
    texts: dict[str, str] = {}
    for path in files_in(root, "EmoEvaluation/*.txt"):
        if recordings is None:
            recordings = _by_stem(root)
            texts = _iemocap_texts(root, encoding)
        for match, answers in _iemocap_turns(_lines(path, encoding)):
            turn = match["turn"]
            letter = turn.rpartition("_")[2][0]
            ratings = [_rating(cell, facts) for cell in match["ratings"].split(",")]
            valence, arousal, dominance = [*ratings, None, None, None][:3]
            comments = {item["rater"]: item["comment"] for item in answers if item["comment"]}
            other = {
                "start": float(match["start"]),
                "end": float(match["end"]),
                "style": "improvised" if "_impro" in turn else "scripted",
                "comments": comments or None,
            }
            place = path.parents[min(2, len(path.relative_to(root).parts) - 1)]
            yield Record(
                path=str(recordings.get(turn, place / "sentences" / "wav" / path.stem / f"{turn}.wav")),
                raw_label=match["label"],
                speaker=f"{turn[:5]}{letter}",
                gender=GENDERS[letter.lower()],
                text=texts.get(turn),
                session=turn[:5],
                dialogue=path.stem,
                arousal=arousal,
                valence=valence,
                dominance=dominance,
                rating_scale=facts.rating_scale,
                votes=_iemocap_votes(answers),
                other=other_facts(other),
            )


def _iemocap_texts(root: Path, encoding: str | None) -> dict[str, str]:
    lines = (line for path in files_in(root, "transcriptions/*.txt") for line in _lines(path, encoding))
    return {match["turn"]: match["text"] for match in map(_IEMOCAP_TEXT.match, lines) if match}


def _iemocap_turns(lines: Iterable[str]) -> Iterator[tuple[re.Match[str], list[re.Match[str]]]]:
    """Yields the first line of each turn, and those of its raters."""
    turn: re.Match[str] | None = None
    answers: list[re.Match[str]] = []
    for line in lines:
        if first := _IEMOCAP_TURN.match(line):
            if turn:
                yield turn, answers
            turn, answers = first, []
        elif answer := _IEMOCAP_ANSWER.match(line):
            answers.append(answer)
    if turn:
        yield turn, answers


def _iemocap_votes(answers: Iterable[re.Match[str]]) -> tuple[Vote, ...]:
    labels: dict[str, list[str]] = {}
    ratings: dict[str, dict[str, float]] = {}
    for item in answers:
        chosen = labels.setdefault(item["rater"], [])
        if item[0].startswith("C"):
            chosen += [label.strip() for label in item["answer"].split(";") if label.strip()]
        else:
            values = {_IEMOCAP_RATINGS[name]: float(value) for name, value in _IEMOCAP_RATING.findall(item["answer"])}
            ratings.setdefault(item["rater"], {}).update(values)
    votes = []
    for rater, chosen in labels.items():
        own = ratings.get(rater, {})
        first = Vote(
            rater,
            chosen[0] if chosen else None,
            arousal=own.get("arousal"),
            valence=own.get("valence"),
            dominance=own.get("dominance"),
        )
        if chosen or own:
            votes += [first, *(Vote(rater, label) for label in chosen[1:])]
    return tuple(votes)


def _rating(cell: str, facts: CatalogEntry) -> float | None:
    """Returns a rating; None for what isn't on the corpus's scale, as IEMOCAP writes missing ones."""
    value = _number(cell)
    lowest, highest = facts.rating_scale or (-math.inf, math.inf)
    return value if value is not None and lowest <= value <= highest else None


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
        for row in _rows(path, ("dialogue_id", "utterance_id", "speaker", "emotion"), encoding):
            name = f"dia{row['dialogue_id']}_utt{row['utterance_id']}"
            yield Record(
                path=str(clips.get((partition, name), root / _MELD[partition][1] / f"{name}.mp4")),
                raw_label=row["emotion"],
                speaker=row["speaker"] or None,
                text=row.get("utterance"),
                partition=partition,
                dialogue=f"{partition} {row['dialogue_id']}",
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
    return next((_MELD_WORDS[word] for word in words if word in _MELD_WORDS), None)


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
        text = "\n".join(_lines(texts[name], encoding)).strip() if name in texts else None
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
    content = _json(path, encoding)
    if isinstance(content, list):
        content = {entry["id"]: entry for entry in content}
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
        for line in _lines(path, encoding):
            tier, _, rest = line.partition(":")
            cells = rest.split()
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
    actors, films = {}, {}
    for row in _rows(legend, ("file", "speaker"), encoding) if legend else ():
        stem, name = Path(row["file"]).stem, " ".join(row["speaker"].split())
        if name.strip("?") and name not in UNKNOWN:
            actors[stem] = name
        films[stem] = " ".join(row.get("film", "").split()) or None
    for record in read_by_name(facts, root):
        stem = record.file.stem.removesuffix("_16k")
        yield replace(record, speaker=actors.get(stem), other=other_facts({"film": films.get(stem)}))


def _by_stem(root: Path) -> dict[str, Path]:
    """Returns the recordings below a folder by their names without suffix, one container of each."""
    chosen = one_container(((path.stem, path) for path in files(root, SUFFIXES)), (".wav",))
    return {path.stem: path for path in reversed(chosen)}


def _number(cell: str) -> float | None:
    try:
        return float(cell) if math.isfinite(float(cell)) else None
    except ValueError:
        return None


def _known_rows(root: Path, name: str, columns: tuple[str, ...], encoding: str | None) -> list[dict[str, str]]:
    """Returns the rows of a table that a corpus may have; none, with a warning, if it isn't what it should be."""
    path = next(files_in(root, name), None)
    try:
        return list(_rows(path, columns, encoding)) if path else []
    except ValueError as error:
        logger.warning(f"{error} It isn't used.")
        return []


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
