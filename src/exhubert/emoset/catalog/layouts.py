"""Patterns of file paths and the values in them: what a YAML file says of the names of a corpus's recordings."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields as dataclass_fields
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from ...search import SUFFIXES
from ..labelling.scheme import nearest
from ..record import Record

# A value of a field: a text with groups of the pattern, `Actor_{speaker}`; or values by code.
Rule = str | Mapping[str, Any]
ALIASES = {"emotion": "raw_label", "label": "raw_label", "split": "partition"}
FIELDS = tuple(
    item.name
    for item in dataclass_fields(Record)
    if item.name not in ("path", "row", "name", "corpus", "rating_scale", "votes", "other")
)
_NUMBERS: Mapping[str, type] = {
    "channel": int,
    **dict.fromkeys(("start", "end", "arousal", "valence", "dominance"), float),
}
_KINDS = {"digits": r"\d+", "letters": r"[^\W\d_]+"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ENDING = re.compile(r"\\?(\.\w+)$")


def is_regular_expression(pattern: str) -> bool:
    """Whether a pattern is a regular expression with named groups, not a text with placeholders."""
    return "(?P<" in pattern


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression of a pattern, for a whole path below the root, whatever its case.

    Its first group is the end of the path that the pattern describes.

    Args:
        pattern: Regular expression with groups named after fields of `Record`; or a text with placeholders, such as
            `{speaker}/{emotion}_{text}.wav`. A placeholder stands for one character or more within a part of the path,
            and for as few as possible; `{speaker:2}` for two characters, `{take:digits}` and `{emotion:letters}` for
            digits and letters, and `{speaker:[FM]..}` for what a regular expression matches. `{*}` is one that
            fills no field, and `*` stands for any characters within a part. Both kinds describe the end of the path.

    Raises:
        ValueError: It isn't a valid expression, or a brace isn't closed.

    >>> compiled("{speaker}/{emotion}_{text:digits}.wav").fullmatch("data/anna/joy_12.wav")["raw_label"]
    'joy'
    """
    expression = pattern if is_regular_expression(pattern) else _expression(pattern)
    try:
        return re.compile(rf"(?:.*/)?({expression})", re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} isn't a valid regular expression: {error}") from error


def _expression(pattern: str) -> str:
    parts, seen = [], set[str]()
    for text, name, kind in _tokens(pattern):
        parts.append(re.escape(text).replace(r"\*", "[^/]*"))
        name = ALIASES.get(name, name)
        what = rf"[^/]{{{kind}}}" if kind.isdecimal() else _KINDS.get(kind, kind or "[^/]+?")
        if name == "*":
            parts.append(f"(?:{what})")
        elif name in seen:
            parts.append(f"(?P={name})")
        elif name:
            seen.add(name)
            parts.append(f"(?P<{name}>{what})")
    expression = "".join(parts)
    # any recording, if the ending is left open
    return re.sub(r"(?<=\\\.)\[\^/\]\*$", "[^/.]+", expression)


def _tokens(pattern: str) -> Iterator[tuple[str, str, str]]:
    """Yields texts, each with the name and kind of the placeholder after it; the last has none."""
    rest = pattern
    while rest:
        text, brace, rest = rest.partition("{")
        if not brace:
            yield text, "", ""
            return
        depth, end = 1, 0
        while end < len(rest) and depth:
            depth += {"{": 1, "}": -1}.get(rest[end], 0)
            end += 1
        name, _, kind = rest[: end - 1].partition(":")
        if depth or not (name.isidentifier() or name == "*"):
            raise ValueError(
                f"the pattern {pattern!r}: {{{rest[:end]} isn't a placeholder such as {{speaker}} or {{text:digits}}. "
                "A regular expression has named groups, (?P<speaker>...)"
            )
        yield text, name, kind
        rest = rest[end:]


def suffixes_of(pattern: str) -> tuple[str, ...]:
    """Returns the endings of the recordings that a pattern describes: the one it ends in, or else all known ones.

    >>> suffixes_of("{speaker}_{emotion}.mp3")
    ('.mp3',)
    """
    ending = _ENDING.search(pattern)
    if ending and ending[1].lower() in SUFFIXES:
        return (ending[1].lower(),)
    return (".wav",) if is_regular_expression(pattern) else tuple(SUFFIXES)


def value_of(rule: Rule, field: str, groups: Mapping[str, str | None]) -> str | None:
    """Returns the value of a field by a rule.

    Args:
        rule: A text with groups in braces; or values by code, where `*`, `?` and `[]` stand for other characters as in
            names of files, and the key `of` names the group with the code, that of the field by default, or is a text
            with groups. A code that isn't listed stays as it is, if it is the field's own or such a text.
        field: The field.
        groups: What the groups of the pattern matched.

    Returns:
        The value; None if a group matched nothing.

    >>> value_of("Actor_{speaker}", "speaker", {"speaker": "07"})
    'Actor_07'
    >>> value_of({"of": "speaker", "*[13579]": "male", "*": "female"}, "gender", {"speaker": "07"})
    'male'
    """
    if isinstance(rule, str):
        names = _PLACEHOLDER.findall(rule)
        known = all(groups.get(ALIASES.get(name, name)) is not None for name in names)
        return _PLACEHOLDER.sub(lambda item: groups[ALIASES.get(item[1], item[1])] or "", rule) if known else None
    source = _source(rule, field)
    code = value_of(source, field, groups) if "{" in source else groups.get(source)
    if code is None:
        return None
    values = {key: value for key, value in rule.items() if key != "of"}
    if code in values:
        return values[code]
    patterns = (key for key in values if fnmatchcase(code.casefold(), key.casefold()))
    return values.get(next(patterns, ""), code if source == field or "{" in source else None)


def _source(rule: Mapping[str, Any], field: str) -> str:
    name = str(rule.get("of", field))
    return ALIASES.get(name, name)


def typed(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Returns the fields of `Record` among those given, numbers as numbers.

    Raises:
        ValueError: A number isn't one; the message names the path.
    """
    result = {name: value for name, value in fields.items() if name in FIELDS}
    for name in _NUMBERS.keys() & result.keys():
        if result[name] is not None:
            try:
                result[name] = _NUMBERS[name](result[name])
            except ValueError as error:
                raise ValueError(f"{path}: {name} is {result[name]!r}, expected a number.") from error
    return result


def layout_problems(
    pattern: str,
    suffixes: Iterable[str],
    fixed: Mapping[str, Any],
    values: Mapping[str, Rule],
    conditions: Mapping[str, Mapping[str, str]],
    texts: Mapping[str, str],
    others: str,
    facts: Iterable[str] = (),
) -> list[str]:
    """Returns the problems of a layout, one sentence each.

    Args:
        pattern, suffixes, fixed, values, others, facts: Those of `exhubert.emoset.catalog.Layout`.
        conditions: Its maps of groups to regular expressions, by their keys in the YAML file.
        texts: Its texts with groups in braces, likewise.
    """
    try:
        groups = set(compiled(pattern).groupindex)
    except ValueError as error:
        return [f"{error}"]
    messages = [
        f"suffixes: {suffix!r} isn't the ending of a file, such as .wav" for suffix in suffixes if suffix[:1] != "."
    ]
    used = set[str]()
    for key, mapping in conditions.items():
        used |= mapping.keys()
        messages += [_no_group(f"{key}: {name}", name, groups) for name in mapping if name not in groups]
        messages += [fault for name, text in mapping.items() if (fault := _fault(f"{key}: {name}", text))]
    if fault := _fault("others", others):
        messages.append(fault)
    own = (*FIELDS, *facts)
    for name in (*fixed, *values):
        if name not in own:
            where = "fixed" if name in fixed else "values"
            messages.append(f"{where}: {name} is no field of a recording.{nearest(name, FIELDS)}")
    templates = dict(texts)
    for name, rule in values.items():
        if isinstance(rule, Mapping):
            wrong = [value for value in rule.values() if not isinstance(value, str)]
            messages += [f"values: {name}: {value!r} is no text; write it between quotation marks" for value in wrong]
            source = _source(rule, name)
            if "{" in source:
                templates[f"values: {name}"] = source
                continue
            used.add(source)
            if source not in groups:
                messages.append(_no_group(f"values: {name}", source, groups))
        else:
            templates[f"values: {name}"] = str(rule)
    for key, text in templates.items():
        names = {ALIASES.get(name, name) for name in _PLACEHOLDER.findall(text)}
        used |= names
        messages += [_no_group(key, name, groups) for name in sorted(names - groups)]
    messages += [
        f"pattern: {name} is no field of a recording, and nothing else uses it.{nearest(name, [*FIELDS, *ALIASES])}"
        for name in sorted(groups - used - set(own))
    ]
    if "raw_label" not in groups | fixed.keys() | values.keys():
        messages.append("nothing says which emotion a recording has: the pattern needs {emotion}, or fixed a raw_label")
    return messages


def _no_group(where: str, name: str, groups: Iterable[str]) -> str:
    known = sorted(groups)
    return f"{where}: the pattern has no group {name}.{nearest(name, known) or f' It has {known}.'}"


def _fault(where: str, expression: str) -> str | None:
    try:
        re.compile(expression)
    except re.error as error:
        return f"{where}: {expression!r} isn't a valid regular expression: {error}"
    return None
