"""Reads the YAML files of corpora, with a sentence for whatever is wrong in one."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..labelling.scheme import nearest

_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML has it


class CatalogError(ValueError):
    """An entry of a catalog can't be used; the message names the file and what to correct in it."""


class _Loader(_BASE):  # type: ignore[misc,valid-type]
    """Loads keys as the texts they are, and values by YAML 1.2, where `no`, `01` and `1:30` are texts, too."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {key.start_mark.line + 1}: a key is a list or map, expected a text")
            if key.value in result:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value} is there twice; keep one of them")
            result[key.value] = self.construct_object(value, deep=True)
        return result


for _tag, _expression, _first in (
    ("bool", "true|True|false|False", "tTfF"),
    ("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", "~nN\0"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_expression})$"), [*_first, ""])


def load_file(path: Path) -> dict[str, Any]:
    """Returns the contents of a YAML file that holds a map.

    Raises:
        CatalogError: The file can't be read, isn't valid YAML, has a key twice, or holds no map.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path} isn't UTF-8; save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise CatalogError(f"{path} isn't valid YAML: {' '.join(str(error).split())}.") from error
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path}: {error}.") from error
    if not isinstance(content, Mapping):
        raise CatalogError(f"{path} describes no corpus: expected keys such as id, paths and labels.")
    return dict(content)


def unknown_keys(values: Mapping[str, Any], known: Iterable[str], where: str = "") -> list[str]:
    """Returns a sentence for each key that isn't known."""
    names = list(known)
    every = f" Expected one of {', '.join(names)}."
    return [f"{where}there is no key {key}.{nearest(key, names) or every}" for key in values if key not in names]
