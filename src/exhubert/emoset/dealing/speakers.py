"""Tells which names of speakers mean the same person, no person, or several persons."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from ..record import Record

# Names that aren't a person's, as keys: what tables contain if the speaker is unknown.
_NOBODY = {
    *(
        "n a",
        "na",
        "nan",
        "nat",
        "nil",
        "no name",
        "no speaker",
        "none",
        "not available",
        "not known",
        "null",
        "missing",
    ),
    *("anonymous", "speaker unknown", "undefined", "unidentified", "unk", "unknown", "unknown speaker", "unnamed"),
    *("unspecified", "desconhecido", "desconocida", "desconocido", "inconnu", "inconnue", "sconosciuta", "sconosciuto"),
    *("unbekannt", "неизвестно", "неизвестный", "不明", "不详", "未知"),
}
# Names that stand for everyone in a dialogue.
_EVERYONE = {"all", "both", "everybody", "everyone", "together"}
_AND = re.compile(r"\s*(?:\s(?:and|und|et|y|e|och|en)\s|[&+])\s*", re.IGNORECASE)
_LIST = re.compile(r"\s*[/,;|]\s*")


@cache
def speaker_key(name: str) -> str:
    """Returns what the spellings of one speaker's name have in common; empty if the name isn't a person's.

    Case, spaces and punctuation around words or before a number, compatibility forms of Unicode, zeros before a number
    and a number's empty fraction don't matter.

    >>> [speaker_key(name) for name in ("Phoebe Sr.", "PHOEBE_SR", "07", "7.0", "S01", "N/A", "?")]
    ['phoebe sr', 'phoebe sr', '7', '7', 's1', '', '']
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")  # byte order mark, joiners
    text = re.sub("[\u2018\u2019`\u00b4]", "'", text).strip()
    if re.fullmatch(r"-\d+(?:[.,]0*)?", text):  # how programs write that there is none
        return ""
    text = re.sub(r"(?<=\d)[.,]0+$", "", text) if re.fullmatch(r"\d+[.,]0+", text) else text
    text = re.sub(r"(?<!\d)(?<!\d\.)0+(?=\d)", "", text)
    # punctuation counts only within a word, as in O'Neil or 1.5
    text = re.sub(r"[\W_]+(?=[\W_]|$)|(?:(?<=[\W_])|^)[\W_]+|[\s_-]+", " ", text)
    text = re.sub(r"(?<=[^\W\d_]) (?=\d)", "", " ".join(text.split()))  # spk_1 is spk1
    return "" if " ".join(re.findall(r"[^\W_]+", text)) in _NOBODY else text


def unify_speakers(records: Sequence[Record]) -> tuple[list[Record], dict[str, list[str]], dict[str, int]]:
    """Gives each speaker one name, its most frequent spelling, and those without a person's name none.

    Returns:
        The records; the other spellings of each name that had several; and how often each name that isn't a person's
        occurred.
    """
    counts = Counter(record.speaker for record in records if record.speaker is not None)
    spellings: dict[str, list[str]] = {}
    for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        spellings.setdefault(speaker_key(name), []).append(name)
    nobody = {name: counts[name] for name in sorted(spellings.pop("", []))}
    names: dict[str | None, str | None] = {name: own[0] for own in spellings.values() for name in own}
    merged = {own[0]: sorted(own[1:]) for own in spellings.values() if len(own) > 1}
    if all(names.get(name) == name for name in counts):
        return list(records), {}, {}
    unified = [
        record if names.get(record.speaker) == record.speaker else replace(record, speaker=names.get(record.speaker))
        for record in records
    ]
    return unified, dict(sorted(merged.items())), nobody


def people_of(names: Sequence[str | None], dialogues: Sequence[str | None] | None = None) -> list[tuple[str, ...]]:
    """Returns the persons that each name stands for, as keys.

    `Ross and Joey`, `Ross/Joey` or `Ross, Joey` are two persons if they occur on their own too; with a word between
    them, one of them suffices. `All` and `Both` are everyone else in the same dialogue.

    Args:
        names: Speaker of each utterance.
        dialogues: Dialogue of each utterance; None if unknown.

    >>> people_of(["Ross", "Joey", "Ross and Joey", None])
    [('ross',), ('joey',), ('ross', 'joey'), ()]
    """
    keys = {name: speaker_key(name) for name in names if name is not None}
    alone = set(keys.values())
    people = {name: _persons(name, key, alone) for name, key in keys.items()}
    result = [people[name] if name is not None else () for name in names]
    if dialogues is None or not _EVERYONE & alone:
        return result
    present: dict[str, dict[str, None]] = {}
    for persons, dialogue in zip(result, dialogues, strict=True):
        if dialogue is not None:
            present.setdefault(dialogue, {}).update(dict.fromkeys(set(persons) - _EVERYONE))
    return [
        tuple(sorted(present[dialogue])) or persons
        if dialogue is not None and persons and persons[0] in _EVERYONE
        else persons
        for persons, dialogue in zip(result, dialogues, strict=True)
    ]


def _persons(name: str, key: str, alone: set[str]) -> tuple[str, ...]:
    if not key:
        return ()
    texts = _AND.split(name)
    parts = [speaker_key(part) for text in texts for part in _LIST.split(text)]
    parts = [part for part in dict.fromkeys(parts) if part and part != key]
    known = [part for part in parts if part in alone]
    if len(parts) < 2 or not known or (len(texts) == 1 and known != parts):
        return (key,)
    return tuple(known)
