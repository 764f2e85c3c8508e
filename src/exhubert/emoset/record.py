"""The facts of one utterance that are known before any audio is read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One utterance: a recording or a part of it, with the facts from its file name or annotation file.

    Attributes:
        file: The recording, below the folder of the corpus.
        raw_label: The emotion as the corpus writes it, such as `W` in EMO-DB.
        speaker: The corpus's own id of the speaker; None if it names none.
        start: Start of the part in seconds; None for the start of the recording.
        end: End of the part in seconds; None for the end of the recording.
        gender: `female`, `male`, another word of the corpus, or None.
        language: BCP-47 tag; None for the language of the corpus, if it has one.
        text: Transcript, or the corpus's code for it.
        partition: `train`, `validation` or `test` if the corpus is published with partitions.
        session: Recording session.
        dialogue: Dialogue, in which several speakers may speak.
        intensity: Intensity of the emotion, as the corpus writes it.
        take: Version of the same text and emotion.
        valence: Valence as the corpus annotates it (`negative`, `neutral`, `positive`), or None.
        group: Utterances of one group stay in one partition, such as dubbings of a film, which have different speakers.
        channel: The channel that holds the speech, from 0; None to mix all.
    """

    file: Path
    raw_label: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    gender: str | None = None
    language: str | None = None
    text: str | None = None
    partition: str | None = None
    session: str | None = None
    dialogue: str | None = None
    intensity: str | None = None
    take: str | None = None
    valence: str | None = None
    group: str | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """A record with its id, class and partition, all known before its audio is read.

    Attributes:
        record: The record from the reader.
        source_file: Path of the recording relative to the corpus's folder.
        size: Size of the recording in bytes; None if there is no such file.
        modified: Time of the recording's last change, in ns; None likewise.
        utterance_id: Id that is the same on every machine.
        class_name: One of the six classes.
        partition: `train`, `validation` or `test`.
    """

    record: Record
    source_file: str
    size: int | None
    modified: int | None
    utterance_id: str
    class_name: str
    partition: str
