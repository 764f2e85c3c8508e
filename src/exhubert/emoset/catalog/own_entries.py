"""Entries of the catalog that users write themselves: short forms, defaults, and a sentence for each mistake."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...labels import SIX_CLASSES, arousal_valence, class_of_word
from ..labelling.scheme import nearest
from ..readers import READERS
from .column_map import checked_scale
from .entries import AnnotationTable, Archive, CatalogEntry, LabelMap, Layout, parse_entry
from .files import CatalogError, unknown_keys
from .layouts import ALIASES
from .problems import problems

# Maps of texts, with the number of levels of maps that their values may have.
_TEXT_MAPS = {"columns": 0, "sources": 0, "fixed": 0, "only": 0, "known": 0, "values": 1}
UNFINISHED = "?"  # the class of a label in a draft that nobody has completed
# What a user's entry says if its YAML file doesn't.
_DEFAULTS = {
    "languages": ["und"],
    "kind": "unknown",
    "access": "your own",
    "redistribution": "unknown",
    **dict.fromkeys(("licence", "homepage", "reference", "speakers", "utterances", "hours"), "unknown"),
}


def own_entry(content: Mapping[str, Any], path: Path, shipped: Mapping[str, CatalogEntry]) -> CatalogEntry:
    """Returns the entry of a user's YAML file. Only `paths` or `labels` is needed; other facts default to `unknown`.

    Args:
        content: What is in the file.
        path: The file, after which the corpus is named if the YAML names no id.
        shipped: The entries that come with the package. One is replaced if the YAML says `replaces: true`.

    Raises:
        CatalogError: Something in it is wrong; the message names each problem with its key.
    """
    values = dict(content)
    replaces = values.pop("replaces", False)
    faults = _form_problems(values)
    if not faults:
        corpus = str(values.get("id", path.stem))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", corpus):
            faults.append(f"id is {corpus!r}; use letters, digits, _ and -")
        if corpus in shipped and replaces is not True:
            faults.append(
                f"the package has an entry {corpus}; to use this one instead, add `replaces: true`, else another id"
            )
        values |= {"id": corpus}
        values = {"name": corpus, "full_name": values.get("name", corpus), **_DEFAULTS} | values
        reader = "by_name" if "paths" in values else "by_table" if "table" in values else "manifest"
        values = {"reader": reader, "file": str(path)} | values
        values.setdefault("layout", values["paths"]["pattern"] if "paths" in values else shipped["manifest"].layout)
        if unfinished := [raw for raw, value in (values.get("labels") or {}).items() if _is_unfinished(value)]:
            more = f" and {len(unfinished) - 10} more" if len(unfinished) > 10 else ""
            raise CatalogError(
                f"{path} isn't completed. In place of {UNFINISHED}, give the labels {', '.join(unfinished[:10])}{more} "
                f"an emotion such as anger, a class ({', '.join(SIX_CLASSES)}), or null for no class."
            )
        try:
            languages = values["languages"]
            values["labels"] = {
                raw: label_facts(raw, value, languages) for raw, value in (values.get("labels") or {}).items()
            }
            if (scale := values.get("rating_scale")) is not None:
                values["rating_scale"] = checked_scale(scale, "rating_scale")
            facts = parse_entry(values)
            faults += problems(facts, READERS)
        except ValueError as error:
            faults.append(str(error).rstrip("."))
    if faults:
        raise CatalogError(f"{path}: {'. '.join(fault.rstrip('.') for fault in faults)}.")
    return facts


def _form_problems(values: dict[str, Any]) -> list[str]:
    """Completes short forms of values in place; returns a sentence for each key that is unknown or of a wrong kind."""
    messages = unknown_keys(values, [item.name for item in fields(CatalogEntry) if item.name != "file"] + ["replaces"])
    if isinstance(values.get("paths"), str):
        values["paths"] = {"pattern": values["paths"]}
    if isinstance(paths := values.get("paths"), Mapping):
        messages += unknown_keys(paths, [item.name for item in fields(Layout)], "paths: ")
        if not isinstance(paths.get("pattern"), str):
            messages.append("paths: pattern is missing, such as '{speaker}/{emotion}_{text}.wav'")
        layout = _texts(paths, Layout, "paths: ", messages)
        for key in ("fixed", "values", "only", "known"):
            if isinstance(layout.get(key), Mapping):
                layout[key] = {ALIASES.get(name, name): value for name, value in layout[key].items()}
        values["paths"] = layout
    if isinstance(table := values.get("table"), Mapping):
        messages += unknown_keys(table, [item.name for item in fields(AnnotationTable)], "table: ")
        if "file" not in table:
            messages.append("table: file is missing, the name of the table")
        values["table"] = _texts(table, AnnotationTable, "table: ", messages)
    archives = values.get("archives")
    for name, facts in archives.items() if isinstance(archives, Mapping) else ():
        if not isinstance(facts, Mapping) or {*facts} != {item.name for item in fields(Archive)}:
            messages.append(f"archives: {name} is {facts!r}, expected its bytes and md5")
    if isinstance(labels := values.get("labels"), list):  # words alone
        values["labels"] = labels = {str(label): str(label) for label in labels}
    if not isinstance(labels, Mapping | None):
        messages.append(f"labels is {labels!r}, expected `label: emotion` lines")
    elif labels:
        values["labels"] = {raw: _label_texts(raw, facts, messages) for raw, facts in labels.items()}
    values |= _texts(values, CatalogEntry, "", messages)
    return messages


def _label_texts(raw_label: str, facts: Any, messages: list[str]) -> Any:
    if not isinstance(facts, Mapping):
        return facts
    where = f"labels: {raw_label}: "
    messages += unknown_keys(facts, [*(item.name for item in fields(LabelMap)), "class"], where)
    return _texts(facts, LabelMap, where, messages)


def _texts(values: Mapping[str, Any], kind: Any, where: str, messages: list[str]) -> dict[str, Any]:
    """Returns values with texts in place of numbers where texts are meant; adds a sentence for each of a wrong kind."""
    result = dict(values)
    for item in fields(kind):
        if item.name not in values or item.name == "labels":
            continue
        value, form = values[item.name], str(item.type)
        if form.startswith("collections.abc.Mapping") or item.name in ("paths", "table"):
            if not isinstance(value, Mapping):
                messages.append(f"{where}{item.name} is {value!r}, expected `key: value` lines")
            elif item.name in _TEXT_MAPS:
                depth = _TEXT_MAPS[item.name]
                result[item.name] = {
                    name: _text(part, depth, f"{where}{item.name}: {name}", messages) for name, part in value.items()
                }
        elif item.type is bool:
            if not isinstance(value, bool):
                messages.append(f"{where}{item.name} is {value!r}, expected true or false")
        elif item.type is int or form == "list[int]":
            numbers = value if isinstance(value, list) and item.type is not int else [value]
            result[item.name] = value if item.type is int else numbers
            if not numbers or any(type(number) is not int or number <= 0 for number in numbers):
                kind = "a whole number" if item.type is int else "a list of whole numbers"
                messages.append(f"{where}{item.name} is {value!r}, expected {kind} above 0")
        elif form.startswith(("list", "tuple[str")):
            result[item.name] = [str(part) for part in value] if isinstance(value, list) else [str(value)]
            parts = value if isinstance(value, list) else [value]
            if not parts or any(part is None or isinstance(part, (Mapping, list)) for part in parts):
                messages.append(f"{where}{item.name} is {value!r}, expected a list of texts")
        elif item.type is str or (form == "str | None" and value is not None):
            result[item.name] = str(value)
            if isinstance(value, (Mapping, list)) or value is None:
                messages.append(f"{where}{item.name} is {value!r}, expected a text")
    return result


def _text(value: Any, depth: int, where: str, messages: list[str]) -> Any:
    """Returns a value as a text, and a map of values, which may have `depth` levels, as a map of texts."""
    if isinstance(value, Mapping) and depth:
        return {name: _text(part, depth - 1, f"{where}: {name}", messages) for name, part in value.items()}
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    messages.append(f"{where} is {value!r}, expected a text{' or `code: value` lines' if depth else ''}")
    return ""


def _is_unfinished(value: Any) -> bool:
    return UNFINISHED in ((value.get("emotion"), value.get("class")) if isinstance(value, Mapping) else (value,))


def label_facts(raw_label: str, value: Any, languages: Sequence[str]) -> dict[str, Any]:
    """Returns the attributes of `LabelMap` for what somebody's YAML file says of a raw label.

    Args:
        raw_label: The label as the corpus writes it.
        value: An emotion in English or in one of the languages; the name of a class; null for a label without a class;
            or a map of attributes, with `class` in place of arousal and valence.
        languages: BCP-47 tags of the corpus.

    Raises:
        ValueError: There is no such class, or the emotion isn't known.
    """
    if value is None:
        return {"emotion": raw_label, "arousal": None, "valence": None, "basis": "user"}
    facts = dict(value) if isinstance(value, Mapping) else {"emotion": str(value)}
    emotion = str(facts.get("emotion", raw_label))
    named = facts.pop("class", None)
    if named is not None and named not in SIX_CLASSES:
        raise ValueError(
            f"labels: {raw_label}: {named!r} is no class, expected one of {', '.join(SIX_CLASSES)}."
            f"{nearest(str(named), SIX_CLASSES)}"
        )
    if "arousal" not in facts and "valence" not in facts:
        name = named or class_of_word(emotion, languages)
        if name is None:
            raise ValueError(
                f"labels: {raw_label}: the class of {emotion!r} isn't known. Name it: "
                f"`{raw_label}: {{emotion: {emotion}, class: high_negative}}`, with one of {', '.join(SIX_CLASSES)}; "
                "or null for no class"
            )
        facts["arousal"], facts["valence"] = arousal_valence(name)
    facts["emotion"] = raw_label if emotion in SIX_CLASSES else emotion
    return {"basis": "user", "arousal": None, "valence": None} | facts
