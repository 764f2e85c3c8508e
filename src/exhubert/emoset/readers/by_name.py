"""Reader for corpora whose file paths hold all annotations: one regular expression for each corpus."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...search import files_in
from ..record import Record

Fields = dict[str, Any]
GENDERS = {"f": "female", "m": "male", "c": "child", "female": "female", "male": "male"}
# Folders of laryngograph signals, which corpora ship under the names of their recordings: EMO-DB 2.0 has `laryngo`.
NOT_SPEECH = re.compile(r"laryngo(?:graph|gram)?s?|lar|egg|lx|electroglottogra(?:ph|m)s?", re.IGNORECASE)
_RECORD_FIELDS = set(Record.__dataclass_fields__)


@dataclass(frozen=True)
class Layout:
    """Naming scheme of the files of one corpus.

    Attributes:
        pattern: Regular expression for the end of the path below the root, with `/` between its parts. Groups named
            after fields of `Record` fill them; `gender` may be a letter.
        suffixes: Suffixes of the files to read, in lower case.
        finish: Completes the fields if a pattern is not enough; returns None if the file isn't part of the corpus.
        fixed: Fields with the same value for every utterance.
        known: Regular expressions for values of groups in the published corpus. They tell whether a folder that nobody
            named is this corpus; a folder that was named is read without them.
        others: Regular expression for the end of the paths of the release's other recordings, which are no utterances.
        fewest_labels: Number of different labels below which a folder that nobody named isn't taken for this corpus,
            because its paths hold nothing of its own but labels.
    """

    pattern: str
    suffixes: tuple[str, ...] = (".wav",)
    finish: Callable[[Fields, Path], Fields | None] = lambda fields, path: fields
    fixed: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    others: str = ""
    fewest_labels: int = 1

    def match(self, path: str) -> re.Match[str] | None:
        """Matches a path below the root, with `/` between its parts."""
        return re.fullmatch(rf"(?:.*/)?{self.pattern}", path, re.IGNORECASE)

    def has_known(self, match: re.Match[str]) -> bool:
        """Whether the groups of a match have the speakers, texts and codes of the published corpus."""
        return all(re.fullmatch(values, match[group] or "", re.IGNORECASE) for group, values in self.known.items())


def _emo_db(fields: Fields, path: Path) -> Fields | None:
    fields["gender"] = "male" if fields["speaker"] in {"03", "10", "11", "12", "15"} else "female"
    if fields.pop("raw"):
        # version 2 also ships raw recordings: speech on the first channel, a laryngograph on the second
        if path.with_name(path.name.replace("xx.", ".")).exists():
            return None
        fields["channel"] = 0
    return fields


def _emofilm(fields: Fields, path: Path) -> Fields:
    # dubbed versions of one film clip share a number and stay in one partition, whoever speaks
    fields["group"] = fields.pop("clip")
    return fields


def _esd(fields: Fields, path: Path) -> Fields:
    number = int(fields["speaker"])
    fields["language"] = "zh-CN" if number <= 10 else "en"
    fields["gender"] = "male" if number in {4, 5, 6, 8, 10, 11, 12, 13, 14, 20} else "female"
    fields["partition"] = {"evaluation": "validation"}.get(fields["partition"], fields["partition"])
    return fields


def _ravdess(fields: Fields, path: Path) -> Fields | None:
    if (fields.pop("modality"), fields.pop("channel_kind")) != ("03", "01"):
        return None  # song, video, or the soundtrack of a video
    words = ("Neutral", "Calm", "Happy", "Sad", "Angry", "Fearful", "Disgust", "Surprised")
    code = int(fields["raw_label"])
    fields["raw_label"] = words[code - 1] if 1 <= code <= len(words) else fields["raw_label"]
    actor = int(fields["speaker"])
    fields["speaker"] = f"Actor_{actor:02d}"
    fields["gender"] = "male" if actor % 2 else "female"
    fields["intensity"] = {"01": "normal", "02": "strong"}.get(fields["intensity"], fields["intensity"])
    return fields


def _tess(fields: Fields, path: Path) -> Fields:
    fields["speaker"] = "OAF" if fields["speaker"].upper() in ("OA", "OAF") else "YAF"
    fields["raw_label"] = fields["raw_label"].lower()
    return fields


def _emotiw(fields: Fields, path: Path) -> Fields:
    fields["group"] = fields.pop("film")
    fields["partition"] = {"train": "train", "val": "validation", "test": "test"}[fields["partition"].lower()]
    return fields


def _lower_label(fields: Fields, path: Path) -> Fields:
    fields["raw_label"] = fields["raw_label"].replace("_", " ").lower()
    return fields


_EU_EMOTION = (
    "(?:afraid|angry|ashamed|bored|disappointed|disgusted|excited|frustrated|happy|hurt|interested|jealous|joking|kind|"
    "neutral|proud|sad|sneaky|surprised|unfriendly|worried)"
    "(?:[ _]low[ _]intensity)?"
)

LAYOUTS = {
    "casia": Layout(
        r"(?P<speaker>[^/]+)/(?P<raw_label>angry|fear|happy|neutral|sad|surprise)/(?P<text>\d+)\.wav",
        known={"speaker": "liuchanhg|wangzhe|zhaoquanyin|zhaozuoxiang"},
    ),
    "crema_d": Layout(
        r"(?P<speaker>\d{4})_(?P<text>[A-Z]{3})_(?P<raw_label>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})\.wav",
        known={
            "speaker": r"10(?:0[1-9]|[1-8]\d|9[01])",
            "text": "IEO|TIE|IOM|IWW|TAI|MTI|IWL|ITH|DFA|ITS|TSI|WSI",
            "intensity": "LO|MD|HI|XX?",
        },
    ),
    "demos": Layout(
        r"(?:(?P<intensity>PR|NP)_)?(?P<gender>[fm])_(?P<speaker>\d\d)_(?P<raw_label>[a-z]{3})(?P<text>\d\d)(?P<take>[a-z])\.wav",
        known={"speaker": r"0[1-9]|[1-6]\d"},
    ),
    "emo_db": Layout(
        r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<raw_label>[A-Z])(?P<take>[a-z])(?P<raw>xx)?\.wav",
        finish=_emo_db,
        fixed={"language": "de"},
        known={"speaker": "03|08|09|1[0-6]", "text": "a0[12457]|b0[1239]|b10"},
    ),
    "emofilm": Layout(
        r"(?P<gender>[fm])_(?P<raw_label>[a-z]{3})(?P<clip>\d+)(?P<take>[a-z])(?P<language>en|es|it)(?:_16k)?\.wav",
        finish=_emofilm,
    ),
    "emotiw_2014": Layout(
        r"(?P<partition>Train|Val|Test)_AFEW/(?P<raw_label>[A-Za-z]+)/(?P<film>\d{3})\d{6}\.(?:avi|wav)",
        (".avi", ".wav"),
        _emotiw,
        others=r"Test_AFEW/\d{9}\.(?:avi|wav)",  # its labels were withheld
    ),
    "emovo": Layout(
        r"(?P<raw_label>[a-z]{3})-(?P<speaker>(?P<gender>[fm])\d)-(?P<text>[a-z]\d)\.wav",
        known={"speaker": "[fm][1-3]", "text": "b[1-3]|l[1-4]|n[1-5]|d[12]"},
    ),
    # the folder names the speaker: files of subject 11 are called s12_*, and numbering varies (s_3_su_1, s16_su_3avi)
    "enterface": Layout(
        r"(?P<speaker>subject ?\d+)/[^/]+/(?:[^/]+/)?s_?\d+_(?P<raw_label>[a-z]{2})(?:_(?P<text>\d+)(?:avi)?)?\.avi",
        (".avi",),
        known={"speaker": r"subject ?(?:[1-9]|[1-3]\d|4[0-4])"},
    ),
    "esd": Layout(
        r"(?P<speaker>\d{4})/(?P<raw_label>Neutral|Angry|Happy|Sad|Surprise)/"
        r"(?:(?P<partition>train|evaluation|test)/)?\d{4}_(?P<text>\d{6})\.wav",
        finish=_esd,
        known={"speaker": r"00(?:0[1-9]|1\d|20)"},
    ),
    "eu_emoss": Layout(
        rf"EDITED/(?P<raw_label>{_EU_EMOTION})/[^/]+\.mp4",
        (".mp4",),
        _lower_label,
        others=rf"(?:Original/(?:{_EU_EMOTION})/[^/]+\.mov|UK Voices/.+\.mp3)",
        fewest_labels=12,
    ),
    "eu_ev": Layout(
        rf"Original/(?P<raw_label>{_EU_EMOTION})/[^/]+\.mp3",
        (".mp3",),
        _lower_label,
        others=rf"Fixed - amplified volume/(?:{_EU_EMOTION})/[^/]+\.mp3",
        fewest_labels=12,
    ),
    "mesd": Layout(r"(?P<raw_label>[A-Z][a-z]+)_(?P<gender>[FMC])_(?P<text>[AB]_[^/]+)\.wav"),
    "ravdess": Layout(
        r"(?P<modality>\d\d)-(?P<channel_kind>\d\d)-(?P<raw_label>\d\d)-(?P<intensity>\d\d)-(?P<text>\d\d)-(?P<take>\d\d)-"
        r"(?P<speaker>\d\d)\.wav",
        finish=_ravdess,
        known={
            "modality": "0[1-3]",
            "channel_kind": "0[12]",
            "intensity": "0[12]",
            "text": "0[12]",
            "take": "0[12]",
            "speaker": r"0[1-9]|1\d|2[0-4]",
        },
    ),
    "savee": Layout(
        r"(?P<speaker>DC|JE|JK|KL)[/_](?P<raw_label>[a-z]{1,2})(?P<text>\d\d)\.wav",
        fixed={"gender": "male"},
        known={"text": r"0[1-9]|[12]\d|30"},
    ),
    "subesco": Layout(
        # one published file name has a stray bracket: F_02_MONIKA_S_2_SURPRISE_3].wav
        r"(?P<speaker>(?P<gender>[FM])_\d\d_[A-Z]+)_S_(?P<text>\d+)_(?P<raw_label>[A-Z]+)_(?P<take>\d+)\]?\.wav",
        known={"speaker": r"[FM]_(?:0[1-9]|10)_[A-Z]+", "text": "[1-9]|10", "take": "[1-5]"},
    ),
    "tess": Layout(
        r"(?P<speaker>OAF|YAF|OA|YA)_(?P<text>[^/]+)_(?P<raw_label>[a-z]+)\.wav",
        finish=_tess,
        fixed={"gender": "female"},
    ),
    "urdu": Layout(
        # serial numbers have two or three digits
        r"(?P<speaker>S(?P<gender>[MF])\d+)_F(?P<take>\d+)_(?P<raw_label>[AHNS])\d+\.wav",
        fixed={"language": "ur"},
    ),
}


def read_by_name(corpus: str, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists the files below `root` whose path matches the corpus's pattern, and skips all others.

    Copies of TESS that contain the whole set twice yield each utterance twice; `exhubert.emoset.listing.list_corpus`
    keeps the first of identical recordings.
    """
    layout = LAYOUTS[corpus]
    for path in files(root, layout.suffixes):
        match = layout.match(path.relative_to(root).as_posix())
        if match is None:
            continue
        fields = layout.finish(match.groupdict() | dict(layout.fixed), path)
        if fields is None:
            continue
        if fields.get("gender"):
            fields["gender"] = GENDERS[fields["gender"].lower()]
        yield Record(file=path, **{name: value for name, value in fields.items() if name in _RECORD_FIELDS})


def files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Lists files below `root` with one of the suffixes, in a stable order, see [`exhubert.search.files_in`].

    Leaves out folders of signals that are no speech (see `NOT_SPEECH`).
    """
    return (path for path in files_in(root) if path.name.lower().endswith(suffixes) and not _is_beside(path, root))


def signals_beside(root: Path) -> list[Path]:
    """Lists the files that `files` leaves out as signals that are no speech."""
    return [path for path in files_in(root) if _is_beside(path, root)]


def _is_beside(path: Path, root: Path) -> bool:
    return any(map(NOT_SPEECH.fullmatch, path.relative_to(root).parts[:-1]))
