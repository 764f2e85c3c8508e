"""`python -m exhubert.annotate`, the name of `exhubert annotate` for `accelerate launch -m`; and its results."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "read_annotations":
        from ..inference.annotation import read_annotations

        return read_annotations
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["read_annotations"]
