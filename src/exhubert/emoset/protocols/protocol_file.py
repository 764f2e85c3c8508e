"""Reads protocols from YAML files; a wrong file gets a sentence with its key, what was found and what was expected."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..dealing.partition import PARTITIONS
from ..labelling.scheme import compose_yaml, nearest
from ..readers.columns import EVALUATION
from ..readers.columns import PARTITIONS as PARTITION_WORDS
from .protocol import (
    ANY_CORPUS,
    BUILT_IN,
    FOLDER,
    NOTHING,
    FoldRule,
    LeaveOut,
    Protocol,
    Selection,
    Share,
    natural_key,
)

_REQUIRED = ("name", "source", "corpora", "keeps_apart", "folds")
_KEYS = (*_REQUIRED, "columns", "notes")
_FOLD_KEYS = ("name", *PARTITIONS)
_FORMS = "`leave_out: COLUMN`, `lists: PATTERN`, or a list of folds with name, train, validation and test"


def shipped_protocols() -> dict[str, Path]:
    """Returns the files of the named protocols, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_protocol(name: str) -> Protocol | None:
    """Returns the protocol of a shipped name or a YAML file; None for a name of `BUILT_IN`.

    Raises:
        ValueError: There is no such protocol, or its file is wrong; the message says where.
    """
    if name in BUILT_IN:
        return None
    path = shipped_protocols().get(name, Path(name).expanduser())
    if path.suffix.lower() not in (".yaml", ".yml") and not path.is_file():
        names = [*BUILT_IN, *shipped_protocols()]
        raise ValueError(
            f"No protocol {name!r}; there are {', '.join(names)}, or a YAML file of your own.{nearest(name, names)}"
        )
    return read_protocol(path)


def read_protocol(path: Path) -> Protocol:
    """Reads a protocol from a YAML file.

    Values are the texts as they are written: `03` and `no` are speakers like any other. Paths are relative to the file.

    Raises:
        ValueError: The file is missing or isn't such a protocol; the message names the key, what was found and what
            was expected.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such protocol file.")
    node = compose_yaml(path)
    content = _plain(node, path) if node else None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected `key: value` lines with {', '.join(_REQUIRED)}.")
    _check_keys(path, "", content, _KEYS, _REQUIRED)
    texts = {key: _text(path, key, content.get(key) or "") for key in ("name", "source", "notes")}
    for key in ("name", "source"):
        if not texts[key]:
            raise ValueError(f"{path}: {key} is empty.")
    corpora, apart = (_texts(path, key, content[key]) for key in ("corpora", "keeps_apart"))
    if NOTHING in apart and len(apart) > 1:
        raise ValueError(f"{path}: keeps_apart is {', '.join(apart)}; expected {NOTHING} alone, or columns.")
    return Protocol(
        path=path,
        corpora=() if corpora == (ANY_CORPUS,) else corpora,
        keeps_apart=() if apart == (NOTHING,) else apart,
        folds=_folds(path, content["folds"]),
        columns=_file(path, "columns", _text(path, "columns", content["columns"])) if content.get("columns") else None,
        content=content,
        **texts,
    )


def _folds(path: Path, value: Any) -> LeaveOut | tuple[FoldRule, ...]:
    if isinstance(value, dict) and "leave_out" in value:
        _check_keys(path, "folds", value, ("leave_out", "groups", "validation"), ("leave_out", "validation"))
        groups = _groups(path, value.get("groups"))
        validation = value["validation"]
        if validation != "next" and not (isinstance(validation, dict) and "share" in validation):
            raise ValueError(
                f"{path}: folds: validation is {_shown(validation)}, expected `next` for the next group, or "
                "`{share: 0.2, by: speaker}` for a part of the train partition."
            )
        share = None if validation == "next" else _share(path, "folds: validation", validation)
        return LeaveOut(_text(path, "folds: leave_out", value["leave_out"]), groups, share)
    if isinstance(value, dict) and "lists" in value:
        _check_keys(path, "folds", value, ("lists", "validation"), ("lists",))
        share = value.get("validation")
        return _listed_folds(
            path,
            _text(path, "folds: lists", value["lists"]),
            _share(path, "folds: validation", share) if "validation" in value else None,
        )
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: folds is {_shown(value)}, expected {_FORMS}.")
    rules = tuple(_rule(path, number, item) for number, item in enumerate(value, start=1))
    names = [rule.name for rule in rules]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{path}: folds: {', '.join(twice)} is the name of two folds; give each its own.")
    return rules


def _rule(path: Path, number: int, value: Any) -> FoldRule:
    where = f"folds, no. {number}"
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {where} is {_shown(value)}, expected name, train, validation and test.")
    name = _text(path, f"{where}: name", value.get("name") or "")
    _check_keys(path, f"fold {name}" if name else where, value, _FOLD_KEYS, _FOLD_KEYS)
    parts = {part: _selection(path, f"fold {name}: {part}", value[part], part) for part in PARTITIONS}
    if sum(isinstance(item, Selection) and item.rest for item in parts.values()) > 1:
        raise ValueError(f"{path}: fold {name}: two partitions are `rest`; only one can be.")
    return FoldRule(name, **parts)  # type: ignore[arg-type]


def _selection(path: Path, where: str, value: Any, part: str) -> Selection | Share:
    if value == "rest":
        return Selection({}, rest=True)
    if part == "validation" and isinstance(value, dict) and "share" in value:
        return _share(path, where, value)
    if not isinstance(value, dict) or not value:
        share = ", or `{share: 0.2, by: speaker}`" if part == "validation" else ""
        raise ValueError(
            f"{path}: {where} is {_shown(value)}, expected a column with its values, such as `{{speaker: [a, b]}}`, "
            f"`{{list: FILE}}`, or `rest`{share}."
        )
    if "list" in value:
        _check_keys(path, where, value, ("list",), ())
        return Selection({}, tuple(_file(path, where, name) for name in _texts(path, f"{where}: list", value["list"])))
    return Selection({column: _texts(path, f"{where}: {column}", given) for column, given in value.items()})


def _share(path: Path, where: str, value: Any) -> Share:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {where} is {_shown(value)}, expected `{{share: 0.2, by: speaker}}`.")
    _check_keys(path, where, value, ("share", "by"), ("share", "by"))
    try:
        share = float(value["share"])
    except (TypeError, ValueError):
        share = 0.0
    if not 0 < share < 1:
        raise ValueError(f"{path}: {where}: share is {_shown(value['share'])}, expected a number between 0 and 1.")
    return Share(share, _text(path, f"{where}: by", value["by"]))


def _groups(path: Path, value: Any) -> dict[str, tuple[str, ...]]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) < 2:
        raise ValueError(
            f"{path}: folds: groups is {_shown(value)}, expected two groups or more, each with a list of values, such "
            "as `{pair 1: [anna, ben], pair 2: [cara, dan]}`."
        )
    groups = {name: _texts(path, f"folds: groups: {name}", values) for name, values in value.items()}
    members = [item for values in groups.values() for item in values]
    if twice := [item for item in dict.fromkeys(members) if members.count(item) > 1]:
        raise ValueError(
            f"{path}: folds: groups: {', '.join(twice)} is in two groups. Write `group: [values]`, each value once."
        )
    return groups


def _listed_folds(path: Path, pattern: str, share: Share | None) -> tuple[FoldRule, ...]:
    """The folds of the files that a pattern with `{fold}` and `{partition}` matches."""
    if "{partition}" not in pattern:
        raise ValueError(
            f"{path}: folds: lists is {pattern!r}, expected a path with {{partition}} in place of train, valid or "
            "test, and {fold} in place of the fold's number, such as fold_{fold}/emodb_{partition}_fold_{fold}.jsonl."
        )
    found: dict[str, dict[str, Path]] = {}
    full = Path(pattern).expanduser()
    full = full if full.is_absolute() else path.parent / full
    for file, fold, word in _matches(full):
        parts = found.setdefault(fold, {})
        if word in parts:
            raise ValueError(f"{path}: folds: lists: both {parts[word]} and {file} are the {word} list of fold {fold}.")
        parts[word] = file
    if not found:
        raise ValueError(f"{path}: folds: lists: no file matches {full}.")
    rules = []
    for fold in sorted(found, key=natural_key):
        name = f"fold {fold}" if fold else "lists"
        parts = _partitions_of(found[fold])
        files = ", ".join(str(file) for file in found[fold].values())
        if missing := [part for part in ("train", "test") if part not in parts]:
            raise ValueError(f"{path}: {name} has no list for {' and '.join(missing)}; found {files}.")
        if "validation" in parts and share:
            raise ValueError(
                f"{path}: {name} has a list for validation, {parts['validation']}; leave out `validation`."
            )
        if "validation" not in parts and not share:
            raise ValueError(
                f"{path}: {name} has no list for validation; found {files}. Add `validation: {{share: 0.2, by: "
                "speaker}` to the folds, which holds out a part of train."
            )
        chosen = {part: Selection({}, (file,)) for part, file in parts.items()}
        rules.append(FoldRule(name, chosen["train"], chosen.get("validation") or share, chosen["test"]))  # type: ignore[arg-type]
    return tuple(rules)


def _matches(full: Path) -> Iterable[tuple[Path, str, str]]:
    """Files that match a pattern, each with its fold and its word for the partition."""
    fixed = next(i for i, part in enumerate(full.parts) if "{fold}" in part or "{partition}" in part)
    root, rest = Path(*full.parts[:fixed]), "/".join(full.parts[fixed:])
    expression = ""
    for piece in re.split(r"(\{fold\}|\{partition\})", rest):
        name = piece[1:-1] if piece in ("{fold}", "{partition}") else None
        if name is None:
            expression += re.escape(piece)
        elif f"(?P<{name}>" in expression:
            expression += f"(?P={name})"
        else:
            expression += f"(?P<{name}>" + (r"[^/]+?)" if name == "fold" else r"[A-Za-z]+)")
    wildcard = re.sub(r"\{fold\}|\{partition\}", "*", re.sub(r"[\[\]*?]", "?", rest))
    for file in sorted(root.glob(wildcard)):
        match = re.fullmatch(expression, file.relative_to(root).as_posix())
        if match and file.is_file() and match["partition"].lower() in {*PARTITION_WORDS, *EVALUATION}:
            yield file, match.groupdict().get("fold") or "", match["partition"].lower()


def _partitions_of(files: Mapping[str, Path]) -> dict[str, Path]:
    """Lists by partition; `eval` is validation beside a test list, and test otherwise."""
    known = {PARTITION_WORDS[word]: file for word, file in files.items() if word in PARTITION_WORDS}
    for word, file in files.items():
        if word in EVALUATION:
            known.setdefault("validation" if "test" in known else "test", file)
    return known


def _file(path: Path, where: str, name: str) -> Path:
    file = Path(name).expanduser()
    file = file if file.is_absolute() else path.parent / file
    if not file.is_file():
        raise ValueError(f"{path}: {where}: there is no file {file}.")
    return file


def _check_keys(
    path: Path, where: str, value: Mapping[str, Any], known: Sequence[str], required: Sequence[str]
) -> None:
    place = f"{path}: {where}" if where else str(path)
    for key in value:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"expected {', '.join(known)}."
            raise ValueError(f"{place}: unknown key `{key}`; {hint}")
    if missing := [key for key in required if value.get(key) in (None, "", [], {})]:
        hint = " Say where it comes from, such as a paper or `own`." if missing == ["source"] else ""
        if missing == ["validation"]:
            hint = " Choose it, such as `{share: 0.2, by: speaker}` for a part of train."
        raise ValueError(f"{place} lacks {', '.join(missing)}.{hint}")


def _texts(path: Path, where: str, value: Any) -> tuple[str, ...]:
    """A text, or a list of texts."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) and item for item in values):
        raise ValueError(f"{path}: {where} is {_shown(value)}, expected a value or a list of values.")
    return tuple(dict.fromkeys(values))


def _text(path: Path, where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{path}: {where} is {_shown(value)}, expected a text.")
    return " ".join(value.split())


def _shown(value: Any) -> str:
    text = "empty" if value in (None, "", [], {}) else repr(value)
    return text if len(text) < 60 else f"{text[:60]}..."


def _plain(node: yaml.Node, path: Path) -> Any:
    """The value of a YAML node, with scalars as texts and null as None."""
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, path) for item in node.value]
    result: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{path}, line {line}: a list or map can't be a key.")
        if key.value in result:
            raise ValueError(f"{path}, line {line}: `{key.value}` is there twice in one place; keep one of them.")
        result[key.value] = _plain(value, path)
    return result
