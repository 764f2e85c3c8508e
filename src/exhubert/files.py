"""How the project writes: files that are complete or absent, JSON, Markdown tables, and figures in one style."""

import contextlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

INK, ACCENT, PALE, CHANCE = "#1f2933", "#2364aa", "#9fb3c8", "#c0392b"  # text, data, data in the background, chance
TEMPORARY = re.compile(r"\.exhubert-\w+\.incomplete")  # names of files and folders that are being written
_MARK = "exhubert"  # in the metadata of pictures, which have it in these bytes: PNG, SVG, PDF, JPEG
_LARGEST_PICTURE = 100_000_000  # bytes; larger files aren't ours
_MARKS_IN_FILES = (
    b"tEXtSoftware\0exhubert",
    b"<dc:title>exhubert</dc:title>",
    b"/Creator (exhubert)",
    b"\xff\xfe\0\x0aexhubert",
)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a new name beside `path` to write to; the file takes the place of `path` if the block succeeds."""
    part = path.with_name(f".exhubert-{secrets.token_hex(8)}.incomplete")  # never a name that exists
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes text as UTF-8 beside `path` and puts it in place when it is complete."""
    with named_in_errors(path), replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


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
    # a mark that says who made the picture; no version or date, so that the same figures give the same bytes
    options: dict[str, Any] = {
        ".png": {"metadata": {"Software": _MARK}},
        ".svg": {"metadata": {"Creator": _MARK, "Date": None}},
        ".pdf": {"metadata": {"Creator": _MARK, "CreationDate": None}},
        ".jpg": {"pil_kwargs": {"comment": _MARK}},
        ".jpeg": {"pil_kwargs": {"comment": _MARK}},
    }
    figure.savefig(path, dpi=130, **options.get(path.suffix.lower(), {}))


def is_own_picture(path: Path) -> bool:
    """Whether `save_figure` wrote an image file."""
    try:
        content = path.read_bytes() if path.stat().st_size < _LARGEST_PICTURE else b""
    except OSError:
        return False
    return any(mark in content for mark in _MARKS_IN_FILES)
