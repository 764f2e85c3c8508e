"""ExHuBERT: speech emotion recognition with an extended HuBERT, native to Hugging Face.

Importing the package registers the model with the Auto classes. Everything that needs more than torch and
transformers is imported on first use.
"""

import importlib
from typing import Any

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification
from transformers import Wav2Vec2FeatureExtractor as _FeatureExtractor
from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES as _PIPELINE_NAMES
from transformers.pipelines import PIPELINE_REGISTRY as _PIPELINES

from ._version import __version__
from .configuration_exhubert import SIX_CLASSES, ExHuBERTConfig
from .conversion.extension import IdentityReport, default_feature_extractor, identity_report
from .modeling_exhubert import ExHuBERTForSequenceClassification, ExHuBERTModel

_LAZY = {"ExHuBERTPipeline": "pipeline_exhubert", "load_audio": "audio"}
_SUBMODULES = {"audio", "card", "emoset", "evaluation", "inference", "labels", "training"}

AutoConfig.register("exhubert", ExHuBERTConfig, exist_ok=True)
AutoModel.register(ExHuBERTConfig, ExHuBERTModel, exist_ok=True)
AutoModelForAudioClassification.register(ExHuBERTConfig, ExHuBERTForSequenceClassification, exist_ok=True)
AutoFeatureExtractor.register(ExHuBERTConfig, _FeatureExtractor, exist_ok=True)
_PIPELINE_NAMES["exhubert"] = ExHuBERTForSequenceClassification.__name__  # or the pipeline logs that it is unknown
_PIPELINES.supported_tasks["audio-classification"]["impl"] = "exhubert.dispatch.AudioClassification"


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "SIX_CLASSES",
    "ExHuBERTConfig",
    "ExHuBERTForSequenceClassification",
    "ExHuBERTModel",
    "ExHuBERTPipeline",
    "IdentityReport",
    "__version__",
    "default_feature_extractor",
    "identity_report",
    "load_audio",
]
