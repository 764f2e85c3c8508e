"""What the task `audio-classification` makes where exhubert is installed."""

from transformers import AudioClassificationPipeline


class AudioClassification(AudioClassificationPipeline):
    """An `ExHuBERTPipeline` for an ExHuBERT, and transformers' own pipeline for every other model."""

    def __new__(cls, model, *args, **kwargs):
        if getattr(getattr(model, "config", None), "model_type", None) == "exhubert":
            from .pipeline_exhubert import ExHuBERTPipeline

            return ExHuBERTPipeline(model, *args, **kwargs)
        return AudioClassificationPipeline(model, *args, **kwargs)
