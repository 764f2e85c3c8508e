"""Divides the names of recordings into parts, and finds those that vary: the ground on which a layout is guessed."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath

_SEPARATORS = re.compile(r"([_\-. ]+)")
_RUNS = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_MOST = 0.8  # share of the paths that must have a level


@dataclass(frozen=True)
class Part:
    """A part of the paths: a folder, a part of a name between separators, or letters or digits within one.

    Attributes:
        level: 0 for the file's name, 1 for its folder, 2 for the folder above.
        token: Number of the part between separators, from 0; None for a whole folder or name.
        run: Number of the run of letters or digits in that part, from 0; None for the whole part.
        values: Its value in each path, in the order of `Names.paths`.
        width: Number of characters, if it is the same in all paths; else None.
    """

    level: int
    token: int | None
    run: int | None
    values: tuple[str, ...]
    width: int | None

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(self.values)

    @property
    def varies(self) -> bool:
        return len(self.counts) > 1

    @property
    def place(self) -> tuple[int, int, int]:
        """Order in the path, from its start."""
        return (-self.level, self.token or 0, -1 if self.run is None else self.run)

    def overlaps(self, other: "Part") -> bool:
        """Whether one of two parts is, or contains, the other."""
        if self.level != other.level:
            return False
        same_token = self.token == other.token or None in (self.token, other.token)
        return same_token and (self.run == other.run or None in (self.run, other.run))

    def __str__(self) -> str:
        where = ("name", "folder", "folder above")[self.level] if self.level < 3 else f"folder {self.level} above"
        token = "" if self.token is None else f", part {self.token + 1}"
        return f"{where}{token}{'' if self.run is None else f', piece {self.run + 1}'}"


@dataclass(frozen=True)
class Names:
    """The names of recordings, as far as they have one structure.

    Attributes:
        paths: Paths below the root, without endings, of those with the structure.
        others: Paths of the others.
        parts: All parts, in the order of the path; a part with runs is there as a whole, too.
        separators: What stands between the parts of each level, by level.
    """

    paths: tuple[str, ...]
    others: tuple[str, ...]
    parts: tuple[Part, ...]
    separators: dict[int, tuple[str, ...]]


def divide(paths: Sequence[str]) -> Names:
    """Divides paths below a root, with `/` between their parts and with endings."""
    split = {path: PurePosixPath(path).with_suffix("").as_posix().split("/") for path in paths}
    depths = Counter(len(parts) for parts in split.values())
    # the deepest level that nearly all have
    depth = max(n for n in depths if sum(count for m, count in depths.items() if m >= n) >= _MOST * len(paths))
    kept = [path for path, parts in split.items() if len(parts) >= depth]
    shapes = {path: _separators(split[path][-1]) for path in kept}
    main = Counter(shapes.values()).most_common(1)[0][0]
    if sum(shape == main for shape in shapes.values()) >= len(kept) / 2:
        kept = [path for path in kept if shapes[path] == main]
    parts, separators = [], {}
    for level in reversed(range(depth)):
        texts = [split[path][-1 - level] for path in kept]
        shape = Counter(map(_separators, texts)).most_common(1)[0]
        if shape[1] == len(texts) and shape[0]:
            separators[level] = shape[0]
            for token, values in enumerate(zip(*(_SEPARATORS.split(text)[::2] for text in texts), strict=True)):
                parts += _with_runs(level, token, values)
        else:
            parts += _with_runs(level, None, texts)
    chosen = set(kept)
    others = tuple(path for path in paths if path not in chosen)
    return Names(tuple(kept), others, tuple(sorted(parts, key=lambda part: part.place)), separators)


def _separators(text: str) -> tuple[str, ...]:
    return tuple(_SEPARATORS.findall(text))


def _with_runs(level: int, token: int | None, texts: Sequence[str]) -> list[Part]:
    whole = _part(level, token, None, texts)
    runs = _with_genders(_fixed_runs(texts) if whole.width else _free_runs(texts))
    if not whole.varies or len(runs) < 2:
        return [whole]
    return [whole, *(_part(level, token, number, values) for number, values in enumerate(runs))]


def _part(level: int, token: int | None, run: int | None, values: Sequence[str]) -> Part:
    widths = {len(value) for value in values}
    return Part(level, token, run, tuple(values), widths.pop() if len(widths) == 1 else None)


def _fixed_runs(texts: Sequence[str]) -> list[Sequence[str]]:
    """Runs of characters of one kind at the same places; small and capital letters are different kinds."""
    kinds = [frozenset(map(_kind, column)) for column in zip(*texts, strict=True)]
    if any(len(kind) > 1 for kind in kinds):
        return _free_runs(texts)
    starts = [0, *(index for index in range(1, len(kinds)) if kinds[index] != kinds[index - 1]), len(kinds)]
    return [[text[start:end] for text in texts] for start, end in pairwise(starts)]


def _with_genders(runs: list[Sequence[str]]) -> list[Sequence[str]]:
    """Joins a letter of the gender at the start with the number after it: F01 is a speaker."""
    if len(runs) > 2 and {letter.casefold() for letter in runs[0]} == {"f", "m"} and runs[1][0].isdecimal():
        return [[a + b for a, b in zip(runs[0], runs[1], strict=True)], *runs[2:]]
    return runs


def _kind(character: str) -> str:
    if character.isdecimal():
        return "digit"
    if character.isalpha():
        return "capital" if character.isupper() else "small"
    return "sign"


def _free_runs(texts: Sequence[str]) -> list[Sequence[str]]:
    """Runs of letters and digits of any length, if all texts have the same number and order of them."""
    runs = [_RUNS.findall(text) for text in texts]
    kinds = {tuple(run[0].isdecimal() for run in text) for text in runs}
    return list(zip(*runs, strict=True)) if len(kinds) == 1 else []
