"""Files that are there whole or not at all."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes text as UTF-8 beside `path` and puts it in place when it is complete."""
    part = path.with_name(path.name + ".incomplete")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)
