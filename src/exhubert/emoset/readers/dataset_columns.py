"""Finds the columns of a Hugging Face dataset by their names and types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ..audio_rows import is_list
from ..catalog import column_map
from .columns import RATINGS, TEXTS, meaning_of
from .dataset_files import Feature

# Names of columns beyond those of manifests, without case, spaces and punctuation; the best ones first.
_NAMES = {
    "label": "emotion majoremotion emotionlabel emotionname emotionclass emotioncategory primaryemotion "
    "dominantemotion mainemotion targetemotion emotiontag emo emoclass emotions label labels classlabel classname "
    "class category rawemotion rawlabel",
    "corpus": "corpus corpusname corpusid dataset datasetname datasetid database sourcedataset originaldataset "
    "sourcecorpus datasource source origin",
    "arousal": "arousal arousalmean meanarousal avgarousal arousalrating arousalscore activation emoact",
    "valence": "valence valencemean meanvalence avgvalence valencerating valencescore emoval",
    "dominance": "dominance dominancemean meandominance avgdominance dominancerating dominancescore emodom",
    "age": "age speakerage ageofspeaker",
    "name": "fileid audioid utteranceid uttid uttname utterancename audioname clipid clipname segmentid recordingid "
    "sampleid itemid",
    "speaker": "speaker speakerid spk spkid actor actorid clientid subject subjectid participant participantid",
    "text": "text transcription transcript sentence utterance normalizedtext rawtext",
}
_ORDER = {name: (field, rank) for field, names in _NAMES.items() for rank, name in enumerate(names.split())}
_WEAK_CORPUS = ("source", "origin", "datasource")  # which may also hold addresses or channels
_AUDIO = ("audio", "wav", "speech", "sound", "recording", "waveform", "signal", "wave", "voice", "file")
_BYTES = ("bytes", "content", "data", "audiobytes", "audiodata", "wavbytes", "audiocontent", "rawaudio")
_PICTURES = ("image", "img", "picture", "photo", "frame", "face", "spectrogram")
_OTHER_KINDS = ("image", "pdf", "nifti", "mesh")
_VIDEOS = ("video", "videofile", "mp4", "clip")
_SAMPLES = ("audio", "array", "samples", "waveform", "signal", "speech", "wav")
_RATES = ("samplingrate", "samplerate", "sr")
_INDEX = "__index_level_"  # of pandas
_PARTS = ("start", "end", "duration", "channel")
_FIELDS = ("label", "speaker", "partition", "corpus", "age", *RATINGS, *TEXTS)
_ONLY_MAPPED = ("group",)  # whose name says too little of what it holds


@dataclass
class Columns:
    """The meanings of the columns of one file.

    Attributes:
        audio: Column with the recordings.
        is_file: Whether it holds only paths of recordings.
        has_path: Whether it is of structs with a `path`.
        fields: Column of each field of `Record`; `label` and `partition` among them.
        parts: Columns for the part of a recording; only for paths.
        names: Further columns with names of the recordings.
        others: Columns that mean nothing here, but are small.
        bare_label: Whether the labels are numbers without names.
        weak_corpus: Whether the column for the corpus may hold something else.
        remarks: What a user should know.
    """

    audio: str
    is_file: bool = False
    has_path: bool = False
    fields: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    bare_label: bool = False
    weak_corpus: bool = False
    remarks: list[str] = field(default_factory=list)


def find_columns(
    schema: pa.Schema, features: Mapping[str, Feature], mapped: Mapping[str, str], source: str
) -> Columns | None:
    """Returns the meanings of columns by their names and types; None if none holds recordings.

    Args:
        schema: The columns.
        features: What the dataset says of them.
        mapped: Column of each field whose column has another than a usual name; it takes precedence.
        source: The file, for messages.

    Raises:
        ValueError: A mapped column doesn't exist, or several columns hold recordings.
    """
    given = column_map.find_columns(mapped, schema.names, source)
    meanings = {name: _meaning(name) for name in schema.names if name not in given.values()}
    audio = given.get("file") or _audio(schema, features, meanings, source)
    if audio is None:
        return None
    kind = _storage(schema.field(audio).type)
    result = Columns(audio, is_file=_is_text(kind), has_path=_has(kind, "path"))
    for name in _FIELDS:
        candidates = [column for column, (meaning, _) in meanings.items() if meaning == name and column != audio]
        candidates = [] if name in _ONLY_MAPPED else candidates
        candidates.sort(key=lambda column: meanings[column][1])
        chosen = given.get(name) or _chosen(name, candidates, schema, features, result)
        if chosen:
            result.fields[name] = chosen
    if result.is_file:
        if not {"label", "arousal", "valence", "speaker"} & result.fields.keys():
            return None
        found = {meaning: column for column, (meaning, _) in meanings.items() if meaning in _PARTS}
        result.parts = {part: given.get(part, found.get(part, "")) for part in _PARTS if part in given or part in found}
    used = {audio, *result.fields.values(), *result.parts.values()}
    result.names = [
        name
        for name, (meaning, _) in sorted(meanings.items(), key=lambda item: item[1][0] != "file")
        if meaning in ("file", "name") and name not in used and _is_word(schema.field(name).type)
    ]
    rest = (name for name in schema.names if name not in used and not name.startswith(_INDEX))
    result.others = [name for name in rest if _is_fact(schema.field(name).type)]
    result.weak_corpus = "corpus" not in given and _plain(result.fields.get("corpus", "")) in _WEAK_CORPUS
    return result


def _audio(
    schema: pa.Schema,
    features: Mapping[str, Feature],
    meanings: Mapping[str, tuple[str, int]],
    source: str,
) -> str | None:
    """Returns the column with recordings, or if there is none, with paths of them, with videos, or the only bytes."""
    held, paths, videos, contents = [], [], [], []
    for item in schema:
        kind, name = _storage(item.type), _plain(item.name)
        said = features[item.name].kind if item.name in features else ""
        if said in _OTHER_KINDS or name in _PICTURES:
            continue
        if said == "video" or (name in _VIDEOS and not _is_text(kind)):
            videos.append(item.name)
            continue
        contents += [item.name] if _is_binary(kind) else []
        is_audio = said == "audio" or meanings.get(item.name, ("", 0))[0] == "file" or name in (*_AUDIO, *_BYTES)
        has_samples = _is_samples(kind) and name in _SAMPLES and any(_plain(other) in _RATES for other in schema.names)
        if _has(kind, "bytes") or _has(kind, "array") or (_is_binary(kind) and is_audio) or has_samples:
            held.append(item.name)
        elif _is_text(kind) and (meanings.get(item.name, ("", 0))[0] == "file" or said == "audio" or name in _AUDIO):
            paths.append(item.name)
        elif said == "audio" or (_has(kind, "path") and is_audio):
            held.append(item.name)
    if not held:
        ranks = {name: rank for rank, name in enumerate((*_AUDIO, "audiopath", "filepath", "wavpath", "path"))}
        paths.sort(key=lambda name: ranks.get(_plain(name), len(ranks)))
        return next(iter([*paths, *videos, *(contents if len(contents) == 1 else [])]), None)
    declared = [name for name in held if name in features and features[name].kind == "audio"]
    exact = [name for name in held if _plain(name) in _AUDIO]
    for choice in (declared, exact, held):
        if len(choice) == 1:
            return choice[0]
    if plain := [name for name in held if _plain(name) == "audio"]:
        return plain[0]
    raise ValueError(
        f"{source}: the columns {', '.join(held)} all hold recordings. Map the one to use to audio, as "
        f"in --columns audio={held[0]}."
    )


def _chosen(
    name: str, candidates: Sequence[str], schema: pa.Schema, features: Mapping[str, Feature], result: Columns
) -> str | None:
    """Returns the best of several columns with one meaning whose type is right."""

    def classes(column: str) -> tuple[str, ...]:
        return features[column].classes if column in features else ()

    def kind(column: str) -> pa.DataType:
        return _storage(schema.field(column).type)

    if name in RATINGS:
        candidates = sorted(candidates, key=lambda column: not _is_number(kind(column)))
    if name != "label":
        candidates = sorted(candidates, key=lambda column: is_list(kind(column)))  # which may hold one value each
        return next((column for column in candidates if _is_word(_element(kind(column)))), None)
    words = [column for column in candidates if classes(column) or _is_text(_element(kind(column)))]
    numbers = [column for column in candidates if pa.types.is_integer(kind(column)) and column not in words]
    if len(words) > 1:
        result.remarks.append(f"the columns {' and '.join(words)} all name emotions; {words[0]} is used for the label")
    if not words and numbers:
        result.bare_label = True
        result.remarks.append(
            f"the labels in the column {numbers[0]} are numbers without names, so that they have no class. Name them "
            "in dataset_info of its README.md, or give their classes as a label map (--scheme)"
        )
    return next(iter([*words, *numbers]), None)


def _meaning(name: str) -> tuple[str, int]:
    """Returns the field that a column is for by its name, and the rank of the name; empty if the name tells nothing."""
    if found := _ORDER.get(_plain(name)):
        return found
    return meaning_of(name) or "", len(_ORDER)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _storage(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a column that is stored in another way."""
    if isinstance(kind, pa.BaseExtensionType):
        return _storage(kind.storage_type)
    return _storage(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _element(kind: pa.DataType) -> pa.DataType:
    return _storage(kind.value_type) if is_list(kind) else kind


def _has(kind: pa.DataType, name: str) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index(name) >= 0


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_samples(kind: pa.DataType) -> bool:
    return is_list(kind) and _is_number(_element(_element(kind)))


def _is_word(kind: pa.DataType) -> bool:
    return _is_text(_storage(kind)) or _is_number(_storage(kind))


def _is_fact(kind: pa.DataType) -> bool:
    """Whether values of a type may be facts; bytes and lists of numbers, which may be features, aren't."""
    kind = _storage(kind)
    if pa.types.is_struct(kind):
        return all(_is_fact(kind.field(index).type) for index in range(kind.num_fields))
    if is_list(kind):
        inner = _element(kind)
        return not _is_number(inner) and not is_list(inner) and _is_fact(inner)
    return not _is_binary(kind) and not pa.types.is_null(kind) and not pa.types.is_map(kind)
