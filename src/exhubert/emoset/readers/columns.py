"""The columns of a manifest under the names that people give them."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from ..column_map import Columns, find_columns
from .table import Table

# Names of columns, without case, spaces and punctuation. Words that may mean something else in other tables are left
# out: `id`, `name`, `fold`, `length`, `utterance`.
_COLUMNS = {
    "file": "file filename filepath path audio audiofile audiofilename audiofilepath audiopath wav wavfile wavfilename "
    "wavpath recording clip fname relativepath soundfile",
    "label": "label labels rawlabel emotion emotions emotionlabel emotionname emotionclass emotioncategory emo class "
    "classname classlabel category",
    "speaker": "speaker speakerid speakername spk spkid spkr actor actorid subject subjectid participant participantid "
    "talker talkerid clientid",
    "start": "start starttime begin begintime onset onsettime xmin tmin",
    "end": "end endtime stop stoptime xmax tmax",
    "offset": "offset offsettime",
    "duration": "duration dur",
    "partition": "partition split datasplit set subset",
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
_TIME_UNIT = re.compile(r"(?:in)?(?:s|sec|secs|second|seconds)$")
RATINGS = ("arousal", "valence", "dominance")
TEXTS = ("gender", "language", "text", "session", "dialogue", "intensity", "take", "sentiment", "group")
# Words for partitions, without `eval`: it means validation beside a test partition, and test beside a validation one.
PARTITIONS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
EVALUATION = ("eval", "evaluation")
# What pandas, R and databases write for an unknown value. `Na` is a name, and a transcript may be any word.
UNKNOWN = ("", "nan", "NaN", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "none")
_UNKNOWN = {"file": ("",), "label": ("",), "text": ("", "nan", "NaN", "NaT", "#N/A", "<NA>")}

NO_COLUMNS: Columns = MappingProxyType({})


def is_header(columns: Sequence[str], mapped: Columns = NO_COLUMNS, needed: Iterable[str] = ()) -> bool:
    """Whether columns include one for the recording, one for its label or a rating, and others, by names or a map."""
    try:
        meanings = set(_candidates(columns, find_columns(mapped, columns, "")))
    except ValueError:
        return False
    return meanings.issuperset(("file", *needed)) and not meanings.isdisjoint(("label", *RATINGS))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _meaning(name: str) -> str | None:
    """Returns the column that a name stands for: `startTime [s]` for `start`."""
    plain = _plain(name)
    without_unit = _MEANING.get(_TIME_UNIT.sub("", plain))
    return _MEANING.get(plain) or (without_unit if without_unit in _TIMES else None)


def meaning_of(name: str) -> str | None:
    """Returns the field of `Record`, or `file`, that a column is for by its name; None if the name tells nothing.

    >>> meaning_of("Speaker ID"), meaning_of("loudness")
    ('speaker', None)
    """
    return _meaning(name)


def _candidates(columns: Sequence[str], chosen: Mapping[str, str]) -> dict[str, list[int]]:
    """Returns the indices of the columns for each meaning; a chosen column has no other one."""
    taken = {column: meaning for meaning, column in chosen.items()}
    result: dict[str, list[int]] = {}
    for index, name in enumerate(columns):
        meaning = taken.get(name) or _meaning(name)
        if meaning and (name in taken or meaning not in chosen):
            result.setdefault(meaning, []).append(index)
    # `speech_file_name`, as the audio folders of `datasets` have it
    named = [index for index, name in enumerate(columns) if _plain(name).endswith("filename")]
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
        marked = [index for index in sorted(others) if not _meaning(table.columns[index]) and _marks_rows(table, index)]
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
    """Returns the only one of columns with the same meaning that has values, or that has exactly this name."""
    filled = [index for index in indices if _values(table, index)] or indices[:1]
    exact = [index for index in filled if _plain(table.columns[index]) == meaning]
    if len(filled) > 1 and len(exact) != 1:
        names = " and ".join(table.columns[index] for index in filled)
        raise ValueError(f"{table.source}: the columns {names} all mean {meaning}; call the one to use {meaning}.")
    return (exact or filled)[0]


def _settle_offset(table: Table, result: dict[str, int]) -> None:
    """`offset` is the end beside `onset`, and the start beside `duration`."""
    offset = result.pop("offset")
    if "start" in result and "end" not in result and _plain(table.columns[result["start"]]).startswith("onset"):
        result["end"] = offset
    elif "duration" in result and "start" not in result and "end" not in result:
        result["start"] = offset
    elif not {"start", "end"} <= result.keys():
        raise ValueError(f"{table.source}: the column offset may mean start or end; call it start or end.")


def _holds_partitions(table: Table, index: int) -> bool:
    """Whether a column is for partitions: a `set` may also be one of recordings, such as A and B."""
    words = _values(table, index)
    return "set" not in _plain(table.columns[index]) or any(partition_word(word) for word in words)


def _marks_rows(table: Table, index: int) -> bool:
    """Whether a column holds nothing but words for partitions, whatever its name, such as `usage`."""
    words = {value.lower() for value in _values(table, index)}
    return (
        len(words) > 1 and words <= {*PARTITIONS, *EVALUATION} and "train" in {PARTITIONS.get(word) for word in words}
    )


def _values(table: Table, index: int) -> set[str]:
    return table.values[index] - {*UNKNOWN}


def _has_numbers(table: Table, index: int) -> bool:
    return any(is_number(value.replace(",", ".", 1)) for value in _values(table, index))


def known(column: str, cell: str) -> bool:
    """Whether a cell holds a value, not a word for an unknown one."""
    return cell not in _UNKNOWN.get(column, UNKNOWN)


def partition_word(text: str) -> str | None:
    """Returns the word for a partition in a text, such as `test` in `Test set 2`; None for no word or several.

    >>> [partition_word(text) for text in ("TRAIN", "Test2", "dev-clean", "holdout")]
    ['train', 'test', 'dev', None]
    """
    words = {*re.findall("[a-z]+", text.lower())} & {*PARTITIONS, *EVALUATION}
    return words.pop() if len(words) == 1 else None


def unused_columns(table: Table, columns: Mapping[str, int]) -> dict[str, int]:
    """Returns the index of the columns that have values but no meaning, or another column with the same meaning."""
    others = set(range(len(table.columns))) - set(columns.values())
    return {table.columns[index] or f"column {index + 1}": index for index in sorted(others) if _values(table, index)}


def with_suggestion(name: str, columns: Mapping[str, int]) -> str:
    """Returns the name of a column that isn't used, followed by the name that may have been meant."""
    return f"{name}{_suggestion(name, [other for other, meaning in _MEANING.items() if meaning not in columns])}"


def _suggestion(name: str, free: Sequence[str]) -> str:
    close = difflib.get_close_matches(_plain(name), free, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close and not _meaning(name) else ""


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point or comma."""
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return True
