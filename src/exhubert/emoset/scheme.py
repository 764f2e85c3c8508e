"""Label schemes: YAML files in which users give raw labels another class."""

import difflib
from collections.abc import Iterable
from pathlib import Path

import yaml

from ..labels import SIX_CLASSES

SCHEMES = ("default", "alternative", "corpus_valence")
ALL_CORPORA = "*"

Scheme = dict[str, dict[str, str | None]]


def read_scheme(path: Path) -> Scheme:
    """Reads a label scheme: corpus ids, or `*` for all corpora, each with `raw label: class` lines.

    Corpora and labels are the texts as they are written: `no`, `01` and `null` are labels like any other.

    Returns:
        The class of each raw label of each corpus; None for labels to drop.

    Raises:
        ValueError: The file doesn't exist, isn't such a map, names something twice, or names an unknown class.
    """
    if not path.is_file():
        raise ValueError(f"No label scheme {str(path)!r}: expected {', '.join(SCHEMES)}, or a YAML file.")
    root = compose_yaml(path)
    if root is None:
        raise ValueError(f"{path} is empty; expected corpus ids, each with `raw label: class` lines.")
    scheme: Scheme = {}
    for corpus, labels in _items(root, path):
        scheme[corpus] = {}
        for label, node in _items(labels, path):
            is_null = node.tag == "tag:yaml.org,2002:null"
            if not is_null and node.value not in SIX_CLASSES:
                found = node.value if isinstance(node, yaml.ScalarNode) else "a list or map"
                raise ValueError(
                    f"{path}: {corpus}: {label}: {found}; a class is one of {', '.join(SIX_CLASSES)}, or null to drop."
                )
            scheme[corpus][label] = None if is_null else node.value
    return scheme


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


def check_corpora(path: Path, scheme: Scheme, corpora: Iterable[str]) -> None:
    """Raises `ValueError` if a scheme names a corpus that isn't among those known; it names the nearest one."""
    known = list(corpora)
    for corpus in scheme:
        if corpus != ALL_CORPORA and corpus not in known:
            raise ValueError(
                f"{path}: no corpus {corpus!r} is in the catalog or among those to build.{nearest(corpus, known)}"
            )


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
