"""Exporting a finished classifier: folded, pruned, as ONNX, in 8 bits."""

from .steps import export, table

__all__ = ["export", "table"]
