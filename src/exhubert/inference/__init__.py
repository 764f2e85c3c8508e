"""From recordings to emotions over time: classification, embeddings, streams, annotation formats, pictures."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotation import annotate, read_annotations
    from .prediction import Prediction, Window, marginals, place
    from .recordings import embed, follow, follow_channels, load_pipeline, predict, predict_all, predict_channels

_MODULE_OF = {
    "Prediction": "prediction",
    "Window": "prediction",
    "annotate": "annotation",
    "embed": "recordings",
    "follow": "recordings",
    "follow_channels": "recordings",
    "load_pipeline": "recordings",
    "marginals": "prediction",
    "place": "prediction",
    "predict": "recordings",
    "predict_all": "recordings",
    "predict_channels": "recordings",
    "read_annotations": "annotation",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:  # these import torch and transformers, which takes seconds
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Prediction",
    "Window",
    "annotate",
    "embed",
    "follow",
    "follow_channels",
    "load_pipeline",
    "marginals",
    "place",
    "predict",
    "predict_all",
    "predict_channels",
    "read_annotations",
]
