"""ExHuBERT: speech emotion recognition with an extended HuBERT, native to Hugging Face.

Importing the package registers the model with the Auto classes of transformers: at once if transformers is loaded, and
otherwise as soon as it is. The package itself imports neither transformers nor torch before one of them is needed.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

import wrapt

from ._version import __version__

if TYPE_CHECKING:
    from .audio import load_audio
    from .configuration_exhubert import ExHuBERTConfig
    from .conversion.identity import IdentityReport, identity_report
    from .conversion.loading import default_feature_extractor
    from .labels import SIX_CLASSES
    from .modeling_exhubert import ExHuBERTForSequenceClassification, ExHuBERTModel
    from .pipeline_exhubert import ExHuBERTPipeline

_MODULE_OF = {
    "ExHuBERTConfig": "configuration_exhubert",
    "ExHuBERTForSequenceClassification": "modeling_exhubert",
    "ExHuBERTModel": "modeling_exhubert",
    "ExHuBERTPipeline": "pipeline_exhubert",
    "IdentityReport": "conversion.identity",
    "SIX_CLASSES": "labels",
    "default_feature_extractor": "conversion.loading",
    "identity_report": "conversion.identity",
    "load_audio": "audio",
}
_SUBMODULES = {
    "app", "audio", "conversion", "cpu", "demo", "emoset", "evaluation", "export", "hub", "inference", "labels",
    "training",
}  # fmt: skip


@wrapt.when_imported("transformers")
def _import_model(_: Any) -> None:
    # if the configuration is what imports transformers, the model follows when the configuration is complete
    if f"{__name__}.configuration_exhubert" not in sys.modules:
        importlib.import_module(f"{__name__}.modeling_exhubert")


@wrapt.when_imported(f"{__name__}.configuration_exhubert")
def _import_model_of_configuration(_: Any) -> None:
    importlib.import_module(f"{__name__}.modeling_exhubert")


@wrapt.when_imported(f"{__name__}.modeling_exhubert")
def _register(modeling: Any) -> None:
    """Registers the model with the Auto classes and with `pipeline("audio-classification")`."""
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModel,
        AutoModelForAudioClassification,
        Wav2Vec2FeatureExtractor,
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES
    from transformers.pipelines import PIPELINE_REGISTRY

    classifier = modeling.ExHuBERTForSequenceClassification
    AutoConfig.register("exhubert", modeling.ExHuBERTConfig, exist_ok=True)
    AutoModel.register(modeling.ExHuBERTConfig, modeling.ExHuBERTModel, exist_ok=True)
    AutoModelForAudioClassification.register(modeling.ExHuBERTConfig, classifier, exist_ok=True)
    AutoFeatureExtractor.register(modeling.ExHuBERTConfig, Wav2Vec2FeatureExtractor, exist_ok=True)
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES["exhubert"] = classifier.__name__  # or the pipeline logs a warning
    task = PIPELINE_REGISTRY.supported_tasks["audio-classification"]
    task["impl"] = f"{__name__}.pipeline_exhubert.AudioClassification"


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    if name == "kernels":  # its former name
        return importlib.import_module(".cpu", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
