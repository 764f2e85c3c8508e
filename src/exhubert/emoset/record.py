"""The facts of one utterance that are known before any audio is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer of one listener, or the same answer of several.

    Attributes:
        rater: The listener's id; None if unknown.
        label: The emotion chosen, as the corpus writes it in its raw labels; None for ratings alone.
        arousal, valence, dominance: Ratings on the scale of the record; None if not asked.
        count: Number of listeners who answered so.
    """

    rater: str | None = None
    label: str | None = None
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One utterance: a recording or a part of it, with the facts from its file name or annotation file.

    Its audio is a file (`path`), a row of a table of recordings (`path` and `row`), or a part of either (`start`, `end`
    and `channel`).

    Attributes:
        path: The recording, below the folder of the corpus; or the parquet or Arrow file that holds it.
        raw_label: The emotion as the corpus writes it, such as `W` in EMO-DB; empty for an utterance with ratings only.
        speaker: The corpus's own id of the speaker; None if it names none.
        row: Number of the row in `path`, from 0, if that is a table of recordings.
        column: Column of that table with the recordings.
        name: Name of the recording in that table, different from those of all other rows.
        start: Start of the part in seconds; None for the start of the recording.
        end: End of the part in seconds; None for the end of the recording.
        channel: The channel that holds the speech, from 0; None to mix all.
        corpus: The corpus that the utterance is from, if the source holds several.
        gender: `female`, `male`, another word of the corpus, or None.
        age: The speaker's age, as the corpus writes it.
        language: BCP-47 tag; None for the language of the corpus, if it has one.
        text: Transcript, or the corpus's code for it.
        partition: `train`, `validation` or `test` if the corpus is published with partitions.
        session: Recording session.
        dialogue: Dialogue, in which several speakers may speak.
        intensity: Intensity of the emotion, as the corpus writes it.
        take: Version of the same text and emotion.
        sentiment: Valence as the corpus annotates it by a word (`negative`, `neutral`, `positive`), or None.
        arousal, valence, dominance: Ratings on the corpus's own scale, or None.
        rating_scale: Lowest and highest value of that scale; None if unknown.
        votes: Answers of single listeners.
        other: Further facts of the corpus under its own names, as a JSON object.
        group: Utterances of one group stay in one partition, such as dubbings of a film, which have different speakers.
    """

    path: str
    raw_label: str
    speaker: str | None = None
    row: int | None = None
    column: str | None = None
    name: str | None = None
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    corpus: str | None = None
    gender: str | None = None
    age: str | None = None
    language: str | None = None
    text: str | None = None
    partition: str | None = None
    session: str | None = None
    dialogue: str | None = None
    intensity: str | None = None
    take: str | None = None
    sentiment: str | None = None
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None
    rating_scale: tuple[float, float] | None = None
    votes: tuple[Vote, ...] = ()
    other: str | None = None
    group: str | None = None

    @property
    def file(self) -> Path:
        """The file of `path`."""
        return Path(self.path)

    @property
    def recording(self) -> str:
        """The recording, of which the utterance may be a part: its path, or the table and row that hold it."""
        return self.path if self.row is None else f"{self.path}#{self.row}"


def other_facts(facts: Mapping[str, Any]) -> str | None:
    """Returns facts as `Record.other` holds them, without those that are None; None if no fact is left.

    >>> other_facts({"season": "4", "episode": None})
    '{"season": "4"}'
    """
    known = {name: value for name, value in facts.items() if value is not None}
    return json.dumps(known, ensure_ascii=False) if known else None


@dataclass(frozen=True, slots=True)
class Utterance:
    """A record with its id, class and partition, all known before its audio is read.

    Attributes:
        record: The record from the reader.
        source_file: Path of the recording relative to the corpus's folder.
        size: Size of the recording in bytes; None if there is no such file.
        modified: Time of the last change of its file, in ns; None likewise.
        utterance_id: Id that is the same on every machine.
        class_name: One of the six classes; None if its label maps to no class.
        partition: `train`, `validation` or `test`.
    """

    record: Record
    source_file: str
    size: int | None
    modified: int | None
    utterance_id: str
    class_name: str | None
    partition: str
