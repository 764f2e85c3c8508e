"""Label schemes: YAML files in which users give labels another class."""

import difflib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ...labels import SIX_CLASSES

SCHEMES = ("default", "alternative", "corpus_valence")
ALL_CORPORA = "*"
CLASSES = "classes"

Scheme = dict[str, dict[str, str | None]]


def read_scheme(path: Path) -> Scheme:
    """Reads a label scheme: corpus ids, or `*` for all corpora, each with `raw label: class` lines.

    Corpora and labels are the texts as they are written: `no`, `01` and `null` are labels like any other.

    Returns:
        The class of each raw label of each corpus; None for labels to drop.

    Raises:
        ValueError: The file doesn't exist, isn't such a map, names something twice, or names a class that isn't one of
            the six.
    """
    scheme, order = read_map(path)
    if order is not None:
        raise ValueError(
            f"{path}: `classes` makes a label space of its own, which is chosen when a dataset is opened "
            f"(`load(..., labels={str(path)!r})`, `--labels`); a dataset is built with the six classes."
        )
    for corpus, labels in scheme.items():
        for label, name in labels.items():
            if name is not None and name not in SIX_CLASSES:
                raise ValueError(
                    f"{path}: {corpus}: {label}: {name}; a class is one of {', '.join(SIX_CLASSES)}, or null to drop. "
                    "Other classes are chosen when a dataset is opened, with `labels`."
                )
    return scheme


def read_map(path: Path) -> tuple[Scheme, list[str] | None]:
    """Reads a map from labels to classes of any name, in the form of [`read_scheme`], and the order of the classes.

    Returns:
        The class of each label of each corpus, None for labels to drop; and the list under `classes`, None without it.

    Raises:
        ValueError: The file doesn't exist, isn't such a map, or names something twice.
    """
    if not path.is_file():
        raise ValueError(f"No label scheme {str(path)!r}: expected {', '.join(SCHEMES)}, or a YAML file.")
    root = compose_yaml(path)
    if root is None:
        raise ValueError(f"{path} is empty; expected corpus ids, each with `raw label: class` lines.")
    scheme: Scheme = {}
    order = None
    for corpus, labels in _items(root, path):
        if corpus == CLASSES and isinstance(labels, yaml.SequenceNode):
            order = _names(labels, path)
            continue
        scheme[corpus] = {}
        for label, node in _items(labels, path):
            if not isinstance(node, yaml.ScalarNode):
                raise ValueError(f"{path}: {corpus}: {label}: a list or map; a class is one name, or null to drop.")
            scheme[corpus][label] = None if node.tag == "tag:yaml.org,2002:null" else node.value
    return scheme, order


def _names(node: yaml.SequenceNode, path: Path) -> list[str]:
    names = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]
    if len(names) < len(node.value) or len(set(names)) < len(names) or not all(names):
        raise ValueError(f"{path}: `{CLASSES}` holds the names of the classes in their order, each once.")
    return names


def scheme_facts(scheme: str | Path) -> dict[str, Any]:
    """What a summary says of a label scheme: its `name`, and for a file its `map` and the `sha256` of its content."""
    if scheme in SCHEMES:
        return {"name": str(scheme)}
    path = Path(scheme)
    return {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "map": read_scheme(path)}


def compose_yaml(path: Path) -> yaml.Node | None:
    """Reads a YAML file without giving its values a type, so that `no`, `03` and `1e3` stay the texts they are.

    Raises:
        ValueError: The file isn't UTF-8 or isn't valid YAML.
    """
    try:
        return yaml.compose(path.read_text(encoding="utf-8-sig"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} isn't UTF-8; save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} isn't valid YAML: {' '.join(str(error).split())}.") from error


def _items(node: yaml.Node, path: Path) -> list[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode) or not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        line = node.start_mark.line + 1
        raise ValueError(f"{path}, line {line}: expected corpus ids, each with `raw label: class` lines.")
    names = [key.value for key, _ in node.value]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{path} names {', '.join(twice)} twice in one place; keep one of them.")
    return [(key.value, value) for key, value in node.value]


def check_corpora(
    path: Path, scheme: Scheme, corpora: Iterable[str], where: str = "in the catalog or among those to build"
) -> None:
    """Raises `ValueError` if a scheme names a corpus that isn't among those known; it names the nearest one."""
    known = list(corpora)
    for corpus in scheme:
        if corpus != ALL_CORPORA and corpus not in known:
            raise ValueError(f"{path}: no corpus {corpus!r} is {where}.{nearest(corpus, known)}")


def check_labels(path: Path, scheme: Scheme, corpus: str, labels: Iterable[str]) -> None:
    """Raises `ValueError` if a scheme names a raw label of a corpus, or of `*`, that isn't among those that exist."""
    known = sorted(set(labels))
    if missing := [label for label in scheme.get(corpus, {}) if label not in known]:
        lack = "none of the corpora has a label" if corpus == ALL_CORPORA else f"{corpus} has no label"
        hint = nearest(missing[0], known) or f" The labels are {', '.join(known[:20])}."
        raise ValueError(f"{path}: {lack} {missing[0]!r}.{hint}")


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns a question for the nearest of several names, whatever its case; empty if none is near.

    >>> nearest("emodb", ["emo_db", "urdu"])
    ' Did you mean emo_db?'
    """
    by_lower = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean {by_lower[close[0]]}?" if close else ""
