"""The `exhubert` command: options in, sentences out. The work is done by the other folders."""

from .main import main

__all__ = ["main"]
