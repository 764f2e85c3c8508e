"""Reader for CREMA-D, whose listeners' votes are published in tables."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..catalog import CatalogEntry
from ..record import Record, Vote, other_facts
from .annotations import known_rows
from .by_name import read_by_name
from .columns import number_of

logger = logging.getLogger(__name__)

_ANSWERS = {"A": "ANG", "D": "DIS", "F": "FEA", "H": "HAP", "N": "NEU", "S": "SAD"}
_VOICE = "1"  # what listeners judged: 1 the voice, 2 the face, 3 both
_VOICE_OF_CLIP = re.compile(r"1\d{5}")  # that, and the number of the clip, in the first column, which has no name


def read_crema_d(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads CREMA-D: labels from names; listeners' votes and facts of the actors from its tables, if they exist.

    Votes are those for the voice alone: from `finishedResponses.csv`, each listener's, or else the counts in
    `tabulatedVotes.csv`. They are written as the labels in the names, `ANG` for `A`.
    """
    summary = {row["filename"]: row for row in known_rows(root, "summaryTable.csv", ("filename",), encoding)}
    people = {row["actorid"]: row for row in known_rows(root, "VideoDemographics.csv", ("actorid",), encoding)}
    votes = _votes(root, encoding)
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


def _votes(root: Path, encoding: str | None) -> dict[str, list[Vote]]:
    votes: dict[str, list[Vote]] = {}
    for row in known_rows(root, "finishedResponses.csv", ("localid", "querytype", "clipname", "respemo"), encoding):
        if row["querytype"] == _VOICE:
            answer = _ANSWERS.get(row["respemo"], row["respemo"])
            votes.setdefault(row["clipname"], []).append(Vote(row["localid"], answer))
    if votes:
        return votes
    table = known_rows(root, "tabulatedVotes.csv", ("filename", *map(str.lower, _ANSWERS)), encoding)
    for row in table:
        if _VOICE_OF_CLIP.fullmatch(next(iter(row.values()))):
            counts = {label: int(number_of(row[answer.lower()]) or 0) for answer, label in _ANSWERS.items()}
            votes[row["filename"]] = [Vote(None, label, count=count) for label, count in counts.items() if count]
    if table and not votes:
        logger.warning(
            f"{root}: no row of tabulatedVotes.csv has a number such as 100001 first, so that it isn't used."
        )
    return votes
