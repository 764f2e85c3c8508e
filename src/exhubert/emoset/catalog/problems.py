"""What can be wrong in an entry of the catalog, one sentence each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields

from ...labels import SIX_CLASSES, emotion_classes
from ..labelling.scheme import nearest
from .column_map import column_field, unknown_fields
from .entries import KINDS, CatalogEntry

_LISTENER, _LABEL = "{rater}", "{label}"
# what the name of a column must hold, for each field of a vote
VOTES_HOLD = {"label": _LISTENER, "arousal": _LISTENER, "valence": _LISTENER, "dominance": _LISTENER, "count": _LABEL}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the form of BCP-47


def problems(facts: CatalogEntry, readers: Iterable[str]) -> list[str]:
    """Returns the problems of an entry, one sentence each; empty for a valid one. Tests check every entry with it."""
    messages = []
    for name, kinds in {"speakers": (int,), "utterances": (int,), "hours": (int, float)}.items():
        value = getattr(facts, name)
        if value != "unknown" and (type(value) not in kinds or value <= 0):
            messages.append(f"{name} is {value!r}, expected a positive number or unknown")
    messages += [
        f"languages: {tag!r} is no tag of a language, such as de or en-GB"
        for tag in facts.languages
        if not _LANGUAGE.fullmatch(tag)
    ]
    if facts.kind not in KINDS:
        messages.append(f"kind is {facts.kind!r}, expected one of {KINDS}")
    if facts.redistribution not in ("allowed", "forbidden", "unknown"):
        messages.append(f"redistribution is {facts.redistribution!r}")
    if facts.reader not in readers:
        messages.append(f"there is no reader {facts.reader!r}.{nearest(facts.reader, readers)}")
    for name in ("uncertain", "sources"):
        if unknown := set(getattr(facts, name)) - {item.name for item in fields(facts)}:
            messages.append(f"{name} names no field: {sorted(unknown)}")
    for name, archive in facts.archives.items():
        if type(archive.bytes) is not int or archive.bytes <= 0 or not re.fullmatch(r"[0-9a-f]{32}", str(archive.md5)):
            messages.append(
                f"archives: {name}: bytes is {archive.bytes!r} and md5 {archive.md5!r}, expected a number and 32 digits"
            )
    for item in fields(facts):
        if getattr(facts, item.name) in ("", None) and item.name not in ("paths", "table", "rating_scale", "file"):
            messages.append(f"{item.name} is empty; say unknown")
    messages += [
        f"releases: {name} is {size!r}, expected a number of utterances"
        for name, size in facts.releases.items()
        if not isinstance(size, int) or size <= 0
    ]
    messages += [f"columns: {fault}" for fault in unknown_fields(facts.columns)]
    messages += [f"paths: {fault}" for fault in facts.paths.problems()] if facts.paths else []
    if facts.reader == "by_name" and not facts.paths:
        messages.append("reader is by_name, which needs paths")
    messages += _table_problems(facts)
    messages += vote_problems(facts.votes)
    for raw, label in facts.labels.items():
        if label.basis not in ("source", "judgement", "user"):
            messages.append(f"{raw}: basis is {label.basis!r}")
        if (label.arousal is None) != (label.valence is None):
            messages.append(f"{raw}: arousal without valence or the reverse")
        elif label.class_name is not None and label.class_name not in SIX_CLASSES:
            messages.append(f"{raw}: no class {label.class_name!r}")
        if label.alternative is not None and label.alternative not in SIX_CLASSES:
            messages.append(f"{raw}: alternative {label.alternative!r} is no class")
        common = emotion_classes().get(label.emotion)
        own = (label.class_name, label.alternative, label.basis)
        if (
            common
            and own != (common.class_name, common.alternative, common.basis)
            and not label.why
            and label.basis != "user"
        ):
            messages.append(f"{raw}: {label.emotion} differs from the common map; say why")
    return messages


def _table_problems(facts: CatalogEntry) -> list[str]:
    """Returns the problems of `CatalogEntry.table` and the columns that it needs."""
    columns = {column_field(name) for name in facts.columns}
    table = facts.table
    if table is None:
        return ["reader is by_table, which needs table"] if facts.reader == "by_table" else []
    messages = [
        f"columns: there is no {field}, which the table needs" for field in ("file", "label") if field not in columns
    ]
    messages += [
        f"columns: {name} isn't read from the table of an entry"
        for name in facts.columns
        if column_field(name) in ("duration", "tables")
    ]
    for name, values in table.values.items():
        if column_field(name) not in columns:
            messages.append(f"table: values: {name} is no field that columns has.{nearest(name, columns)}")
        if not isinstance(values, Mapping):
            messages.append(f"table: values: {name} is {values!r}, expected `code: value` lines")
    if facts.votes:
        messages.append("votes: answers of listeners are read from a manifest, not from table")
    if bool(table.people) != bool(table.person):
        messages.append("table: people, a second table, and person, its column of speakers, are needed together")
    if table.people and "speaker" not in columns:
        messages.append("columns: there is no speaker, which the table's people need")
    return messages


def vote_problems(patterns: Mapping[str, str]) -> list[str]:
    """Returns the problems of `CatalogEntry.votes`, one sentence each; empty if it is valid."""
    problems = []
    for name, pattern in patterns.items():
        holds = VOTES_HOLD.get(name)
        if holds is None:
            problems.append(f"votes has {name!r}, expected some of {', '.join(VOTES_HOLD)}")
        elif not isinstance(pattern, str) or pattern.count(holds) != 1 or pattern == holds:
            problems.append(
                f"votes: {name} is {pattern!r}, expected a name of columns with {holds}, such as a{holds}_A"
            )
    return problems
