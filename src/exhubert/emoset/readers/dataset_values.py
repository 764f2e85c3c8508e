"""Values of a dataset's cells as records hold them: texts, numbers, languages and names of recordings."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from .columns import UNKNOWN
from .columns import number_of as number_in

_LONG = 32  # lists with more elements are measurements, not facts
_LANGUAGES = {"farsi": "fa", "mandarin": "zh", "mandarin chinese": "zh", "bangla": "bn", "castilian": "es"}
_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{2,8})*", re.IGNORECASE)


def name_of(value: Any) -> str | None:
    """Returns the name of a recording without folders of somebody's machine.

    >>> name_of("/home/anna/wav/a.wav"), name_of("Actor_01/a.wav"), name_of("C:\\\\sound\\\\a.wav")
    ('a.wav', 'Actor_01/a.wav', 'a.wav')
    """
    text = text_of(value)
    if text is None:
        return None
    text = text.replace("\\", "/")
    if text.startswith("/") or "://" in text or PureWindowsPath(text).drive:
        return text.rpartition("/")[2] or None
    return "/".join(part for part in text.split("/") if part not in ("", ".", "..")) or None


class Names:
    """Names of the rows of one file, each different: the first column whose names are, or the first with the row."""

    def __init__(self, columns: Sequence[Sequence[str | None]]):
        distinct = [names for names in columns if None not in names and len(set(names)) == len(names)]
        self.names = distinct[0] if distinct else next((names for names in columns if any(names)), [])
        counts = Counter(self.names)
        self.repeated = {name for name, number in counts.items() if number > 1}
        self.taken = set(counts)

    def __getitem__(self, row: int) -> str | None:
        name = self.names[row] if self.names else None
        if name is None or name not in self.repeated:
            return name
        path = PurePosixPath(name)
        new = path.with_name(f"{path.stem}-{row}{path.suffix}").as_posix()
        return new if new not in self.taken else f"{row}/{name}"


def text_of(value: Any, classes: Sequence[str] = (), unknown: Sequence[str] = UNKNOWN) -> str | None:
    """Returns a value as text: a class by its name, whole numbers without a fraction; None for an unknown one.

    >>> text_of(1, ["anger", "joy"]), text_of(3.0), text_of(-1, ["anger"]), text_of("NaN")
    ('joy', '3', None, None)
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() else value
    if classes and isinstance(value, int) and not isinstance(value, bool):
        return classes[value] if 0 <= value < len(classes) else None if value < 0 else str(value)
    if value is None or isinstance(value, (bytes, dict, list)):
        return None
    text = str(value).strip()
    return None if text in unknown else text


def number_of(value: Any) -> float | None:
    """Returns a value as a finite number; None if it isn't one."""
    text = text_of(value)
    return None if text is None else number_in(text)


def language_of(value: str | None) -> str | None:
    """Returns the tag of a language that is written as a tag or by its English name, or the value if it is neither.

    >>> language_of("German"), language_of("pt_BR"), language_of("dialect of a valley")
    ('de', 'pt-BR', 'dialect of a valley')
    """
    if value is None:
        return None
    name = value.casefold().strip()
    if name in _LANGUAGES:
        return _LANGUAGES[name]
    if _TAG.fullmatch(value) and len(re.split("[-_]", value)[0]) <= 3:
        return value.replace("_", "-")
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    return TO_LANGUAGE_CODE.get(name, value)


def json_value(value: Any) -> Any:
    """Returns a value as JSON holds it, without bytes and long lists; None if nothing is left."""
    if isinstance(value, dict):
        items = {str(name): json_value(item) for name, item in value.items()}
        return {name: item for name, item in items.items() if item is not None} or None
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value] if 0 < len(value) <= _LONG else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, bytes) or value == "":
        return None
    return str(value)
