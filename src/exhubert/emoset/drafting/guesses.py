"""Guesses which parts of names are the emotion, the speaker and the rest, each with its reasons."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ...labels import class_of_word, word_languages, words_with_prefix
from ..readers.columns import EVALUATION, GENDERS, PARTITIONS
from .name_parts import Names, Part

_FEW = 60  # recordings, below which nearly every value may be a new one
_MOST_CODES = 16  # emotions under names that are no words
_LEAST = 4.0  # score of a speaker from which one is named
_NOUNS = re.compile(r"(?:actor|speaker|spk|spkr|subject|subj|sub|talker|participant|person|voice)s?", re.IGNORECASE)
_EMOTION_NOUNS = re.compile(r"emo|emotion|label|class|affect|category", re.IGNORECASE)
_OTHER_NOUNS = re.compile(
    r"(?:sentence|sent|session|sess|take|text|utterance|utt|dialogue|dia|scene|part|set|disc|cd|clip|rec|recording)s?",
    re.IGNORECASE,
)
NUMBERED = re.compile(r"[a-z]{0,2}?[fmw]\d+", re.IGNORECASE)
_INTENSITIES = {
    *(
        [
            "lo",
            "low",
            "md",
            "mid",
            "medium",
            "hi",
            "high",
            "x",
            "xx",
            "xxx",
            "normal",
            "strong",
            "weak",
            "mild",
            "unspecified",
            "fort",
            "faible",
            "leve",
            "forte",
            "pr",
            "np",
        ]
    )
}


@dataclass(frozen=True)
class Guess:
    """What a part of the names may be.

    Attributes:
        field: `raw_label`, `speaker`, `gender`, `partition`, `intensity`, `text` or `take`.
        part: The part.
        score: Weight of the reasons; comparable within a field only.
        reasons: Why, as phrases.
        chosen: Whether the draft uses it.
    """

    field: str
    part: Part
    score: float
    reasons: tuple[str, ...]
    chosen: bool = False


def guesses(names: Names) -> list[Guess]:
    """Returns the candidates for each field, the best first; the emotion first, as speakers are those who have each."""
    varying = [part for part in names.parts if part.varies]
    if not varying:
        return []
    by_place = {(part.level, part.token, part.run): part for part in names.parts}
    before = {
        id(part): by_place[part.level, part.token - 1, None].values[0]
        for part in varying
        if part.token and part.run is None and not by_place[part.level, part.token - 1, None].varies
    }
    counted = [part for part in varying if _OTHER_NOUNS.fullmatch(before.get(id(part), ""))]
    people = [part for part in varying if _NOUNS.fullmatch(before.get(id(part), ""))]
    unlikely = [part for part in varying if any(_same(part, other) for other in (*counted, *people))]
    speech = [
        guess
        for part in varying
        if part not in unlikely and (guess := _emotion(part, varying, before.get(id(part), "")))
    ]
    emotions = sorted(speech, key=_order)
    emotion = emotions[0] if emotions else None
    spoken = [
        guess
        for part in varying
        if part not in counted
        and not _is_within_same(part, varying)
        and (guess := _speaker(part, varying, emotion, before.get(id(part), "")))
    ]
    speakers = sorted(spoken, key=_order)
    if speakers:
        free = [part for part in varying if not emotion or not part.overlaps(emotion.part)]
        speakers[0] = _in_name(speakers[0], free)
    best = [guess for guess in speakers[:1] if guess.score >= _LEAST]
    chosen = [emotion, *best] if emotion else best
    rest = _others(varying, chosen)
    taken = {id(guess) for guess in chosen}
    marked = [
        Guess(guess.field, guess.part, guess.score, guess.reasons, id(guess) in taken)
        for guess in (*emotions[:3], *speakers[:3])
    ]
    return [*marked, *rest]


def _order(guess: Guess) -> tuple[float, int, tuple[int, int, int]]:
    """The best first; of equally good ones that in the name, as copies often lack the folders."""
    return (-round(guess.score, 1), guess.part.level, guess.part.place)


def _emotion(part: Part, parts: Iterable[Part], before: str) -> Guess | None:
    values, total = part.counts, len(part.values)
    if _is_gender(part) or not all(re.search(r"\w", value) for value in values):
        return None
    reasons, score = [], 0.0
    words = sum(count for value, count in values.items() if class_of_word(value, word_languages()))
    if words >= total / 2:
        score += 10 * words / total
        reasons.append(f"emotion words ({', '.join(list(values)[:3])})")
    elif guess := language_of_codes(values):
        language, share = guess
        length = min(len(value) for value in values)
        score += share * (6 if length >= 3 else 3)
        reasons.append(f"codes that begin emotion words ({language})")
    if _EMOTION_NOUNS.fullmatch(before):
        score += 4
        reasons.append(f"follows {before!r}")
    if len(values) > min(40 if reasons else _MOST_CODES, _limit(total, 2)):
        return None
    alphabet = "".join(sorted(value.casefold() for value in values))
    if "abcdefghijklmnopqrstuvwxyz".startswith(alphabet):
        score -= 2  # takes
    elif words < total / 2 and all(value[0].isupper() for value in values):
        score += 0.5
    if 4 <= len(values) <= 12:
        score += 2
        reasons.append(f"a small set of {len(values)}")
    elif len(values) == 3 or len(values) <= 30:
        score += 1 if len(values) >= 3 else 0
    spread = max((_coverage(part, other) for other in parts if _may_cross(part, other)), default=0.0)
    score += 2 * spread
    if spread > 0.8:
        reasons.append("spread evenly over other parts")
    if all(map(NUMBERED.fullmatch, values)) and len(values) > 2:
        score -= 3
    return Guess("raw_label", part, score, tuple(reasons)) if reasons and score >= 2 else None


def language_of_codes(values: Iterable[str]) -> tuple[str, float] | None:
    """Returns the language in which most codes begin emotion words, and their share; None for fewer than half."""
    codes = [value for value in values if value.isalpha()]
    if len(codes) < 3 or any(len(code) > 6 for code in codes):
        return None
    shares = {
        language: sum(bool(words_with_prefix(code, language)) for code in codes) / len(codes)
        for language in word_languages()
    }
    best = max(shares, key=lambda language: (shares[language], language == "en"))
    return (best, shares[best]) if shares[best] >= 0.5 else None


def _speaker(
    part: Part,
    parts: list[Part],
    emotion: Guess | None,
    before: str,
) -> Guess | None:
    values, total = part.counts, len(part.values)
    if len(values) > len(part.values) * 0.9 or _is_gender(part) or _is_partition(part) or _has_intensities(part):
        return None
    if emotion and (emotion.part.overlaps(part) or _determines(emotion.part, part) or _has_words(part)):
        return None
    reasons, score = [], 0.0
    if _NOUNS.fullmatch(before):
        score += 4
        reasons.append(f"follows {before!r}")
    if all(map(NUMBERED.fullmatch, values)) and len({re.sub(r"\d", "", value).casefold() for value in values}) > 1:
        score += 4
        reasons.append(f"letters of genders with numbers ({', '.join(list(values)[:2])})")
    twins = [other for other in parts if other.level and other is not part and _determines(other, part)]
    if part.level or any(_determines(part, other) for other in twins):
        score += 3
        reasons.append("a folder for each")
    is_name = (part.level, part.token, part.run) == (0, None, None)  # bare numbers of files are no speakers
    if part.level == 0 and (part.token or 0) == 0 and (part.run or 0) == 0 and not is_name:
        score += 2
        reasons.append("first in the name")
    elif part.level == 0 and part.place == max(other.place for other in parts if other.level == 0):
        score += 0.5
    if any(_is_gender(other) and not part.overlaps(other) and _determines(part, other) for other in parts):
        score += 2
        reasons.append("each has one gender")
    if len(values) > _limit(total, 3) and score < 4:
        return None
    identities = len(reasons)
    if all(value.isalpha() for value in values):
        score += 1
        reasons.append("names or initials")
    if len(values) >= 3:
        score += 1
    coverage = _coverage(part, emotion.part) if emotion else 0.0
    score += 2 * coverage
    if coverage > 0.7:
        reasons.append("nearly each has every emotion")
    return Guess("speaker", part, score, tuple(reasons)) if score >= 2 and identities else None


def _in_name(guess: Guess, parts: Iterable[Part]) -> Guess:
    """Moves a guess from a folder to the part of the name that says the same."""
    if not guess.part.level:
        return guess
    part = next((part for part in parts if not part.level and part.run is None and _same(part, guess.part)), None)
    return Guess(guess.field, part, guess.score, (*guess.reasons, f"as the {guess.part}")) if part else guess


def _others(parts: list[Part], chosen: list[Guess]) -> list[Guess]:
    """Gives the parts that are left to gender, partition, intensity, text and take."""
    free = [part for part in parts if not any(part.overlaps(guess.part) for guess in chosen)]
    free = [part for part in free if part.level == 0 or _is_gender(part) or _is_partition(part)]
    # the pieces of a second place of the speaker
    twins = [part for part in parts if any(_same(part, guess.part) for guess in chosen)]
    free = [part for part in free if not any(part.overlaps(twin) for twin in twins)]
    result: list[Guess] = []

    def take(field: str, part: Part, *reasons: str) -> None:
        result.append(Guess(field, part, 1.0, reasons, True))
        free[:] = [other for other in free if not other.overlaps(part)]

    for field, test, reason in (
        ("gender", _is_gender, "words or letters of genders"),
        ("partition", _is_partition, "words for partitions"),
        ("intensity", _has_intensities, "words or letters of intensities"),
    ):
        if part := next(filter(test, free), None):
            take(field, part, reason)
    free[:] = [part for part in free if not any(_determines(guess.part, part) for guess in chosen)]
    whole = [part for part in free if part.run is None or not any(p.run is None and p.overlaps(part) for p in free)]
    text = max(whole, key=lambda part: len(part.counts), default=None)
    if text and len(text.counts) > 2:
        take("text", text, f"the most values that are left ({len(text.counts)})")
    whole = [part for part in free if part.run is None or not any(p.run is None and p.overlaps(part) for p in free)]
    if whole:
        part = max(whole, key=lambda part: part.place)
        if len(part.counts) <= 30:
            take("take", part, "few values, last of those left")
    return result


def _has_words(part: Part) -> bool:
    words = sum(count for value, count in part.counts.items() if class_of_word(value, word_languages()))
    return words >= len(part.values) / 2


def _is_gender(part: Part) -> bool:
    values = {value.casefold() for value in part.counts}
    return len(values) > 1 and values <= {*GENDERS}


def _is_partition(part: Part) -> bool:
    return {value.casefold() for value in part.counts} <= {*PARTITIONS, *EVALUATION}


def _has_intensities(part: Part) -> bool:
    return {value.casefold() for value in part.counts} <= _INTENSITIES


def _is_within_same(part: Part, parts: Iterable[Part]) -> bool:
    """Whether a part is a piece of one that says the same, such as KJ of KJ0."""
    wholes = (other for other in parts if other.run is None and other.overlaps(part))
    return part.run is not None and any(_same(part, whole) for whole in wholes)


def _may_cross(part: Part, other: Part) -> bool:
    return not part.overlaps(other) and 2 <= len(other.counts) <= len(other.values) // 2


def _limit(total: int, share: int) -> float:
    """Most values that a part which says the same of many recordings has among so many of them."""
    return max(2, total / share if total >= _FEW else 0.8 * total)


def _coverage(part: Part, other: Part) -> float:
    """Share of the pairs of values of two parts that occur, of those that can, from 0 to 1."""
    pairs = Counter(zip(part.values, other.values, strict=True))
    return len(pairs) / min(len(part.counts) * len(other.counts), len(part.values))


def _determines(part: Part, other: Part) -> bool:
    """Whether each value of a part goes with one value of another part."""
    return len(set(zip(part.values, other.values, strict=True))) == len(part.counts)


def _same(part: Part, other: Part) -> bool:
    """Whether two parts say the same: each value of one goes with one value of the other."""
    return len(part.counts) == len(other.counts) and _determines(part, other)
