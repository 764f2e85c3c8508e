"""The catalog: one YAML file of facts for each corpus, and the map of its raw labels to the six classes."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..labels import class_name, class_of_word

_FOLDER = Path(__file__).parent / "catalog"


@dataclass(frozen=True)
class LabelMap:
    """The class of one raw label of a corpus.

    Attributes:
        emotion: The emotion in English.
        arousal: `low` or `high`.
        valence: `negative`, `neutral` or `positive`.
        basis: `source` where the paper or its model card gives it, else `judgement`.
        alternative: Another class that could be defended, or None.
    """

    emotion: str
    arousal: str
    valence: str
    basis: str = "judgement"
    alternative: str | None = None

    @property
    def class_name(self) -> str:
        return class_name(self.arousal, self.valence)


@dataclass(frozen=True)
class CatalogEntry:
    """The facts of one corpus. What isn't known says `unknown`.

    Attributes:
        id: Name used in code, folders and datasets.
        name: Usual short name.
        full_name: Full name.
        languages: BCP-47 tags.
        kind: `acted`, `induced`, `natural` or `synthetic`.
        access: How it can be obtained.
        licence: Its terms, with the doubt where sources differ.
        homepage: Where it is published.
        reference: The publication to cite.
        speakers: Number of speakers.
        utterances: Number of utterances.
        hours: Duration in hours.
        reader: The reader for its layout.
        layout: The pattern of its files.
        labels: Raw label to class. Empty for a manifest whose labels are emotion words or class names.
        notes: Oddities worth knowing.
    """

    id: str
    name: str
    full_name: str
    languages: list[str]
    kind: str
    access: str
    licence: str
    homepage: str
    reference: str
    speakers: int | str
    utterances: int | str
    hours: float | str
    reader: str
    layout: str
    labels: Mapping[str, LabelMap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def class_of(self, raw_label: str) -> str | None:
        """The class of a raw label, None where it maps to nothing and is dropped."""
        if self.labels:
            return self.labels[raw_label].class_name if raw_label in self.labels else None
        return class_of_word(raw_label)


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Every entry by id, in alphabetical order."""
    return {path.stem: _parse(path) for path in sorted(_FOLDER.glob("*.yaml"))}


def entry(corpus: str) -> CatalogEntry:
    """The entry of a corpus.

    Raises:
        KeyError: No such corpus; the message names the nearest ids.
    """
    if corpus not in catalog():
        close = difflib.get_close_matches(corpus, catalog(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(catalog())}."
        raise KeyError(f"The catalog has no corpus {corpus!r}; {hint} Read a corpus of your own as `manifest`.")
    return catalog()[corpus]


def _parse(path: Path) -> CatalogEntry:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {item.name for item in fields(CatalogEntry)}
    if values.get("id") != path.stem or not values.keys() <= known:
        raise ValueError(
            f"{path}: the id must be the file's name and the keys must be among {sorted(known)}; "
            f"found id {values.get('id')!r} and {sorted(values.keys() - known)}."
        )
    values["labels"] = {str(raw): LabelMap(**facts) for raw, facts in (values.get("labels") or {}).items()}
    return CatalogEntry(**values)
