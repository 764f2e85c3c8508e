"""The columns of a manifest under the names that people give them."""

import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from ..catalog.column_map import Columns, find_columns
from ..catalog.corpus_names import plain
from .table import Table

# Names of columns, without case, spaces and punctuation. Words that may mean something else in other tables are left
# out: `id`, `name`, `fold`, `length`, `utterance`.
_COLUMNS = {
    "file": "file filename filepath path audio audiofile audiofilename audiofilepath audiopath wav wavfile wavfilename "
    "wavpath recording clip fname relativepath soundfile",
    "label": "label labels rawlabel emotion emotions emotionlabel emotionname emotionclass emotioncategory emo class "
    "classname classlabel category emoclass",
    "speaker": "speaker speakerid speakername spk spkid spkr actor actorid subject subjectid participant participantid "
    "talker talkerid clientid spkrid",
    "start": "start starttime begin begintime onset onsettime xmin tmin",
    "end": "end endtime stop stoptime xmax tmax",
    "offset": "offset offsettime",
    "duration": "duration dur",
    "partition": "partition split datasplit set subset splitset",
    "gender": "gender sex speakergender speakersex",
    "language": "language languagecode lang langcode locale",
    "text": "text transcription transcript sentence",
    "session": "session sessionid",
    "dialogue": "dialogue dialogueid dialog dialogid conversation conversationid",
    "channel": "channel channelid audiochannel",
    "intensity": "intensity emotionintensity emotionalintensity",
    "take": "take takeid repetition",
    "sentiment": "sentiment",
    "arousal": "arousal activation emoact arousalrating arousalmean",
    "valence": "valence emoval valencerating valencemean",
    "dominance": "dominance emodom dominancerating dominancemean",
    "age": "age speakerage",
    "corpus": "corpus dataset database",
    "group": "group groupid",
}
_MEANING = {name: column for column, names in _COLUMNS.items() for name in names.split()}
_TIMES = ("start", "end", "offset", "duration")
_SECONDS = re.compile(r"(?:in)?(?:s|secs?|seconds?)$")
_MILLISECONDS = re.compile(r"(?:in)?(?:ms|msecs?|millis|milliseconds?)$")
RATINGS = ("arousal", "valence", "dominance")
TEXTS = ("gender", "language", "text", "session", "dialogue", "intensity", "take", "sentiment", "group")
# Words for partitions, without `eval`: it means validation beside a test partition, and test beside a validation one.
PARTITIONS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
EVALUATION = ("eval", "evaluation")
CHANNELS = {"left": "0", "l": "0", "a": "0", "right": "1", "r": "1", "b": "1"}  # A and B are the sides of a call
GENDERS = {
    **dict.fromkeys(
        ("female", "f", "w", "woman", "women", "females", "girl", "feminine", "female_feminine", "weiblich"), "female"
    ),
    **dict.fromkeys(
        ("male", "m", "man", "men", "males", "boy", "masculine", "male_masculine", "männlich", "maennlich"), "male"
    ),
    **dict.fromkeys(("child", "c"), "child"),
}
# What pandas, R and databases write for an unknown value. `Na` is a name, `none` a label, and a transcript any word.
UNKNOWN = ("", "nan", "NaN", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "none")
_NOTHING = ("", "nan", "NaN", "NaT", "#N/A", "<NA>")
_UNKNOWN = {"file": ("",), "label": _NOTHING, "text": _NOTHING}

NO_COLUMNS: Columns = MappingProxyType({})


def is_header(columns: Sequence[str], mapped: Columns = NO_COLUMNS, needed: Iterable[str] = ()) -> bool:
    """Whether columns include one for the recording, one for its label or a rating, and others, by names or a map."""
    try:
        meanings = set(_candidates(columns, find_columns(mapped, columns, "")))
    except ValueError:
        return False
    return meanings.issuperset(("file", *needed)) and not meanings.isdisjoint(("label", *RATINGS))


def meaning_of(name: str) -> str | None:
    """Returns the field of `Record`, or `file`, that a column is for by its name; None if the name tells nothing.

    >>> meaning_of("Speaker ID"), meaning_of("startTime [s]"), meaning_of("loudness")
    ('speaker', 'start', None)
    """
    letters = plain(name)
    without_unit = (_MEANING.get(unit.sub("", letters)) for unit in (_SECONDS, _MILLISECONDS))
    return _MEANING.get(letters) or next((meaning for meaning in without_unit if meaning in _TIMES), None)


def seconds_per_unit(name: str) -> float:
    """Returns the unit of the times in a column by its name.

    >>> seconds_per_unit("start"), seconds_per_unit("End (ms)")
    (1.0, 0.001)
    """
    letters = plain(name)
    return 0.001 if letters not in _MEANING and _MEANING.get(_MILLISECONDS.sub("", letters)) in _TIMES else 1.0


def _candidates(columns: Sequence[str], chosen: Mapping[str, str]) -> dict[str, list[int]]:
    """Returns the indices of the columns for each meaning; a chosen column has no other one."""
    taken = {column: meaning for meaning, column in chosen.items()}
    result: dict[str, list[int]] = {}
    for index, name in enumerate(columns):
        meaning = taken.get(name) or meaning_of(name)
        if meaning and (name in taken or meaning not in chosen):
            result.setdefault(meaning, []).append(index)
    # `speech_file_name`, as the audio folders of `datasets` have it
    named = [index for index, name in enumerate(columns) if plain(name).endswith("filename")]
    return result if "file" in result or not named else result | {"file": named}


def columns_of(table: Table, mapped: Columns = NO_COLUMNS, needs_label: bool = True) -> dict[str, int]:
    """Returns the index of each column that is used, by its name in `Record` (and `duration`).

    Args:
        table: The table.
        mapped: The map of columns, see [`find_columns`]. It takes precedence over the usual names.
        needs_label: Whether each row needs a label or a rating.

    Raises:
        ValueError: The recording or the label has no column, or it isn't clear which one; or a column of the map
            doesn't exist.
    """
    chosen = find_columns(mapped, table.columns, table.source)
    candidates = _candidates(table.columns, chosen)
    rated = any(_has_numbers(table, index) for name in RATINGS for index in candidates.get(name, ()))
    needed = ["file", "label"] if needs_label and not rated else ["file"]
    if missing := [column for column in needed if column not in candidates]:
        found = ", ".join(table.columns) or "no header"
        raise ValueError(
            f"{table.source}: the column {' and '.join(missing)} is missing; found {found}. Expected "
            "file,label,speaker and, if known, start,end,partition,gender,language,text. Columns with other names are "
            "given by --columns, such as file=NAME,label=NAME."
        )
    result = {meaning: _chosen(table, meaning, indices) for meaning, indices in candidates.items()}
    if "offset" in result:
        _settle_offset(table, result)
    if "end" in result or "start" not in result:
        result.pop("duration", None)  # of the whole recording
    _settle_ratings(table, result, chosen)
    if "corpus" in result and "corpus" not in chosen and len(_values(table, result["corpus"])) < 2:
        del result["corpus"]
    if "partition" in result and "partition" not in chosen and not _holds_partitions(table, result["partition"]):
        del result["partition"]
    if "partition" not in result:
        others = set(range(len(table.columns))) - set(result.values())
        marked = [
            index for index in sorted(others) if not meaning_of(table.columns[index]) and _marks_rows(table, index)
        ]
        if len(marked) == 1:
            result["partition"] = marked[0]
    return result


def _settle_ratings(table: Table, result: dict[str, int], chosen: Collection[str]) -> None:
    """A rating is a number; valence in words, such as `positive`, is the sentiment."""
    for name in ("sentiment", *RATINGS):
        if name not in result or name in chosen:
            continue
        has_numbers = _has_numbers(table, result[name])
        if name == "valence" and not has_numbers:
            result.setdefault("sentiment", result[name])
        if has_numbers == (name == "sentiment"):
            del result[name]


def _chosen(table: Table, meaning: str, indices: list[int]) -> int:
    """Returns the only one of columns with the same meaning that has values, or has exactly this name, or any if equal.

    Raises:
        ValueError: It isn't clear which one.
    """
    filled = [index for index in indices if _values(table, index)] or indices[:1]
    if meaning == "label":  # words come before their codes
        filled = [index for index in filled if not all(map(is_number, _values(table, index)))] or filled
    if meaning == "partition":  # a `set` may be one of recordings
        filled = [index for index in filled if any(map(partition_word, _values(table, index)))] or filled
    exact = [index for index in filled if plain(table.columns[index]) == meaning]
    if len(filled) > 1 and len(exact) != 1 and not _are_equal(table, filled):
        names = " and ".join(table.columns[index] for index in filled)
        raise ValueError(
            f"{table.source}: the columns {names} all mean {meaning}; call the one to use {meaning}, and no other."
        )
    return (exact or filled)[0]


def _are_equal(table: Table, indices: Sequence[int]) -> bool:
    first, *others = (table.values[index] for index in indices)
    return all(values == first for values in others) and all(
        len({cells[index] for index in indices}) == 1 for _, cells in table.rows
    )


def _settle_offset(table: Table, result: dict[str, int]) -> None:
    """`offset` is the end beside `onset`, and the start beside `duration`."""
    offset = result.pop("offset")
    if "start" in result and "end" not in result and plain(table.columns[result["start"]]).startswith("onset"):
        result["end"] = offset
    elif "duration" in result and "start" not in result and "end" not in result:
        result["start"] = offset
    elif not {"start", "end"} <= result.keys():
        raise ValueError(f"{table.source}: the column offset may mean start or end; call it start or end.")


def _holds_partitions(table: Table, index: int) -> bool:
    """Whether a column is for partitions: a `set` may also be one of recordings, such as A and B."""
    words = _values(table, index)
    return "set" not in plain(table.columns[index]) or any(partition_word(word) for word in words)


def _marks_rows(table: Table, index: int) -> bool:
    """Whether a column holds nothing but words for partitions, whatever its name, such as `usage`."""
    words = {value.lower() for value in _values(table, index)}
    return (
        len(words) > 1 and words <= {*PARTITIONS, *EVALUATION} and "train" in {PARTITIONS.get(word) for word in words}
    )


def _values(table: Table, index: int) -> set[str]:
    return table.values[index] - {*UNKNOWN}


def _has_numbers(table: Table, index: int) -> bool:
    return any(map(is_number, _values(table, index)))


def known(column: str, cell: str) -> bool:
    """Whether a cell holds a value, not a word for an unknown one."""
    return cell not in _UNKNOWN.get(column, UNKNOWN)


def partition_word(text: str) -> str | None:
    """Returns the word for a partition in a text, such as `test` in `Test set 2`; None for no word or several.

    >>> [partition_word(text) for text in ("TRAIN", "Test2", "dev-clean", "holdout")]
    ['train', 'test', 'dev', None]
    """
    found = words(text) & {*PARTITIONS, *EVALUATION}
    return found.pop() if len(found) == 1 else None


def words(name: str) -> set[str]:
    """Returns the words of a name, in lower case.

    >>> sorted(words("emotion.Train2"))
    ['emotion', 'train']
    """
    return set(re.findall("[a-z]+", name.lower()))


def unused_columns(table: Table, columns: Mapping[str, int]) -> dict[str, int]:
    """Returns the index of the columns that have values but no meaning, or another column with the same meaning."""
    result: dict[str, int] = {}
    for index in sorted(set(range(len(table.columns))) - set(columns.values())):
        name = table.columns[index]
        if _values(table, index):
            result[name if name and name not in result else f"{name} column {index + 1}".strip()] = index
    return result


def with_suggestion(name: str, columns: Mapping[str, int]) -> str:
    """Returns the name of a column that isn't used, followed by the name that may have been meant."""
    return f"{name}{_suggestion(name, [other for other, meaning in _MEANING.items() if meaning not in columns])}"


def _suggestion(name: str, free: Sequence[str]) -> str:
    close = difflib.get_close_matches(plain(name), free, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close and not meaning_of(name) else ""


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point or comma."""
    return number_of(cell) is not None


def number_of(cell: str | None) -> float | None:
    """Returns the finite number in a cell, with a decimal point or comma; None for anything else, or no cell.

    >>> number_of("2,5"), number_of("-1"), number_of("2+"), number_of("inf")
    (2.5, -1.0, None, None)
    """
    try:
        number = float((cell or "").replace(",", ".", 1))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def as_number(cell: str, what: str) -> float:
    """Returns the number in a cell as [`number_of`]; raises `ValueError` if there is none, with `what` it is for."""
    number = number_of(cell)
    if number is None:
        raise ValueError(f"{what} is {cell!r}, expected a number.")
    return number


def gender_of(text: str | None) -> str | None:
    """Returns `female`, `male` or `child` for a word or letter that means one; other texts as they are."""
    return GENDERS.get(text.strip().lower(), text) if text else None


def with_evaluation(words: Iterable[str | None]) -> dict[str, str]:
    """Returns the words for partitions, with `eval` if it can only mean the one that other words leave over."""
    rest = {"validation", "test"} - {PARTITIONS.get(word) for word in words if word}
    return PARTITIONS | (dict.fromkeys(EVALUATION, rest.pop()) if len(rest) == 1 else {})
