"""The columns of a manifest under the names that people give them."""

import difflib
import re
from collections.abc import Mapping, Sequence

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
    "intensity": "intensity emotionintensity",
    "take": "take takeid repetition",
    "sentiment": "sentiment valence",
    "group": "group groupid",
}
_MEANING = {name: column for column, names in _COLUMNS.items() for name in names.split()}
_TIMES = ("start", "end", "offset", "duration")
_TIME_UNIT = re.compile(r"(?:in)?(?:s|sec|secs|second|seconds)$")
TEXTS = ("gender", "language", "text", "session", "dialogue", "intensity", "take", "sentiment", "group")
# what `_record` takes
COLUMNS_READ = ("file", "label", "speaker", "start", "end", "duration", "channel", "partition", *TEXTS)
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


def is_header(columns: Sequence[str], mapped: Columns | None = None) -> bool:
    """Whether names of columns include one for the recording and one for its label, by their names or by a map."""
    try:
        known = find_columns(mapped or {}, columns, "")
    except ValueError:
        return False
    return {"file", "label"} <= {*known, *map(_meaning, columns)}


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


def columns_of(table: Table, mapped: Columns | None = None) -> dict[str, int]:
    """Returns the index of each column that is used, by its name in `Record` (and `duration`).

    Args:
        table: The table.
        mapped: The map of columns, see [`find_columns`]. It takes precedence over the usual names.

    Raises:
        ValueError: The recording or the label has no column, or it isn't clear which one; or a column of the map
            doesn't exist.
    """
    given = find_columns(mapped or {}, table.columns, table.source)
    own = {meaning: table.columns.index(name) for meaning, name in given.items()}
    candidates: dict[str, list[int]] = {meaning: [index] for meaning, index in own.items()}
    for index, name in enumerate(table.columns):
        if index not in own.values() and (meaning := _meaning(name)) and meaning not in own:
            candidates.setdefault(meaning, []).append(index)
    if missing := [column for column in ("file", "label") if column not in candidates]:
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
    if "sentiment" in result and "sentiment" not in own and any(map(is_number, _values(table, result["sentiment"]))):
        del result["sentiment"]  # a rating
    if "partition" in result and "partition" not in own and not _holds_partitions(table, result["partition"]):
        del result["partition"]
    if "partition" not in result:
        marked = [index for index, name in enumerate(table.columns) if not _meaning(name) and _marks_rows(table, index)]
        if len(marked) == 1:
            result["partition"] = marked[0]
    return {meaning: index for meaning, index in result.items() if meaning in COLUMNS_READ}


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
    words = {value.lower() for value in _values(table, index)}
    return "set" not in _plain(table.columns[index]) or bool(words & {*PARTITIONS, *EVALUATION})


def _marks_rows(table: Table, index: int) -> bool:
    """Whether a column holds nothing but words for partitions, whatever its name, such as `usage`."""
    words = {value.lower() for value in _values(table, index)}
    return (
        len(words) > 1 and words <= {*PARTITIONS, *EVALUATION} and "train" in {PARTITIONS.get(word) for word in words}
    )


def _values(table: Table, index: int) -> set[str]:
    return {cells[index] for _, cells in table.rows} - {*UNKNOWN}


def values_of(cells: Sequence[str], columns: Mapping[str, int]) -> dict[str, str]:
    """Returns the known values of a row, by column."""
    values = {name: cells[index] for name, index in columns.items()}
    return {name: value for name, value in values.items() if value not in _UNKNOWN.get(name, UNKNOWN)}


def unused_columns(table: Table, columns: Mapping[str, int]) -> list[str]:
    """Returns the names of the columns that have values but aren't used, with the name that may have been meant."""
    others = set(range(len(table.columns))) - set(columns.values())
    names = [table.columns[index] for index in sorted(others) if _values(table, index)]
    free = [name for name, meaning in _MEANING.items() if meaning not in columns]
    return [f"{name}{_suggestion(name, free)}" if name else "one without a name" for name in names]


def _suggestion(name: str, free: Sequence[str]) -> str:
    close = difflib.get_close_matches(_plain(name), free, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close and not _meaning(name) else ""


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
