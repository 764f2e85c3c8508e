"""Reader for IEMOCAP, whose listeners' and actors' answers stand beside its labels."""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...search import files_in
from ..catalog import CatalogEntry
from ..record import Record, Vote, other_facts
from .annotations import by_stem, read_lines, read_rows
from .columns import GENDERS, number_of

_TURN = re.compile(r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\s+(?P<turn>\S+)\s+(?P<label>\w+)\s+\[(?P<ratings>[^\]]*)")
_ANSWER = re.compile(r"[CA]-(?P<rater>\w+):(?P<answer>[^(]*)(?:\((?P<comment>.*)\))?")
_RATING = re.compile(r"(val|act|dom)\s+(\d+(?:\.\d+)?)")
_RATINGS = {"val": "valence", "act": "arousal", "dom": "dominance"}
_LABELS = {
    "Anger": "ang",
    "Disgust": "dis",
    "Excited": "exc",
    "Fear": "fea",
    "Frustration": "fru",
    "Happiness": "hap",
    "Neutral": "neu",
    "Other": "oth",
    "Sadness": "sad",
    "Surprise": "sur",
}
_TABLE = "iemocap_full_dataset.csv"
_TEXT = re.compile(r"(?P<turn>Ses\S+) \[[\d.]+-[\d.]+\]: (?P<text>.*)")


def read_iemocap(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads IEMOCAP: `Session1/dialog/EmoEvaluation/Ses01F_impro01.txt` labels `Session1/sentences/wav/.../*.wav`.

    The letter before the turn's number is the speaker: the man of session 1 says Ses01F_impro01_M011, despite the F in
    the dialogue's name, which stands for the one who wears the markers. Raters `E1` to `E6` are listeners; `F1` and
    `M1` and so on are the actors, who judge themselves. Their words are written as the labels: `neu` for `Neutral`. A
    rater who chose several emotions has a vote for each, and the ratings are in the first one.
    Copies without the evaluations may have a table instead, `iemocap_full_dataset.csv`.
    """
    recordings: dict[str, Path] | None = None
    texts: dict[str, str] = {}
    for path in files_in(root, "EmoEvaluation/*.txt"):
        if recordings is None:
            recordings = by_stem(root)
            texts = _texts(root, encoding)
        for match, answers in _turns(read_lines(path, encoding)):
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
                votes=_votes(answers),
                other=other_facts(other),
            )
    if recordings is None:
        yield from _table(root, encoding)


def _table(root: Path, encoding: str | None) -> Iterator[Record]:
    path = next(files_in(root, _TABLE), None)
    if path is None:
        return
    recordings, texts = by_stem(root), _texts(root, encoding)
    for row in read_rows(path, ("path", "emotion"), encoding):
        place = row["path"].replace("\\", "/")
        turn = Path(place).stem
        letter = turn.rpartition("_")[2][:1]
        yield Record(
            path=str(recordings.get(turn, root / place)),
            raw_label=row["emotion"],
            speaker=f"{turn[:5]}{letter}",
            gender=GENDERS.get(letter.lower()),
            text=texts.get(turn),
            session=turn[:5],
            dialogue=turn.rpartition("_")[0],
            other=other_facts({name: row.get(name) or None for name in ("method", "n_annotators", "agreement")}),
        )


def _texts(root: Path, encoding: str | None) -> dict[str, str]:
    lines = (line for path in files_in(root, "transcriptions/*.txt") for line in read_lines(path, encoding))
    return {match["turn"]: match["text"] for match in map(_TEXT.match, lines) if match}


def _turns(lines: Iterable[str]) -> Iterator[tuple[re.Match[str], list[re.Match[str]]]]:
    """Yields the first line of each turn, and those of its raters."""
    turn: re.Match[str] | None = None
    answers: list[re.Match[str]] = []
    for line in lines:
        if first := _TURN.match(line):
            if turn:
                yield turn, answers
            turn, answers = first, []
        elif answer := _ANSWER.match(line):
            answers.append(answer)
    if turn:
        yield turn, answers


def _votes(answers: Iterable[re.Match[str]]) -> tuple[Vote, ...]:
    labels: dict[str, list[str]] = {}
    ratings: dict[str, dict[str, float]] = {}
    for item in answers:
        chosen = labels.setdefault(item["rater"], [])
        if item[0].startswith("C"):
            words = [word.strip() for word in item["answer"].split(";")]
            chosen += [_LABELS.get(word, word) for word in words if word]
        else:
            values = {_RATINGS[name]: float(value) for name, value in _RATING.findall(item["answer"])}
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
    value = number_of(cell)
    lowest, highest = facts.rating_scale or (-math.inf, math.inf)
    return value if value is not None and lowest <= value <= highest else None
