"""The web page that takes a recording and shows its emotion through time."""

from .page import Limits, serve

__all__ = ["Limits", "serve"]
