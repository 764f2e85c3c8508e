"""How the project writes: files that are complete or absent, JSON, Markdown tables, and figures in one style."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

INK, ACCENT, PALE, CHANCE = "#1f2933", "#2364aa", "#9fb3c8", "#c0392b"  # text, data, data in the background, chance


def write_whole(path: Path, text: str) -> None:
    """Writes text as UTF-8 beside `path` and puts it in place when it is complete."""
    part = path.with_name(path.name + ".incomplete")
    try:
        with named_in_errors(path):
            part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError:  # on a full disk, what was written would take up what is left
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Adds the name of a file to errors of writing it, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_json(path: Path, content: Any, ensure_ascii: bool = True) -> None:
    """Writes a value as indented JSON, complete or not at all."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=ensure_ascii) + "\n")


def read_json(path: Path, remedy: str = "") -> Any:
    """Reads a JSON file.

    Args:
        path: Of the file.
        remedy: What to do if the file is missing, such as `recipes/train.py writes it`.

    Raises:
        FileNotFoundError: There is no such file; the message ends in the remedy.
        ValueError: The file isn't JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {remedy}." if remedy else f"{path} is missing.")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} isn't valid JSON ({error}); it may have been cut off or edited.") from error


def markdown_table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    r"""A Markdown table.

    >>> print(markdown_table(["arm", "UAR %"], [["exhubert", 61.2]]))
    | arm | UAR % |
    |---|---|
    | exhubert | 61.2 |
    """
    lines = [_line(header), "|" + "---|" * len(header)]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def save_figure(figure: Any, path: str | Path) -> None:
    """Writes a matplotlib figure; the file's ending decides on the format. Makes the folder if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # no version of matplotlib in PNGs, so that the same figures give the same bytes
    metadata = {"Software": None} if path.suffix.lower() == ".png" else None
    figure.savefig(path, dpi=130, metadata=metadata)
